"""One bench a provider, each found by the suite by itself."""
