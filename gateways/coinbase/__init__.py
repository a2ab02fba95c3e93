"""The adapter of Coinbase: Business checkouts, and the older Commerce charges."""
