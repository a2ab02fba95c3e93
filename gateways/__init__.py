"""The providers, each in a package behind one contract."""
