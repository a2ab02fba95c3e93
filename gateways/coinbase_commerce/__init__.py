"""The adapter of Coinbase Commerce, the older Charge API: charges paid in coins of many networks."""
