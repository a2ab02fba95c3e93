"""Pure rules, one file a module: no server, no network, no clock."""
