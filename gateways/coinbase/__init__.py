"""The adapter of Coinbase Business: checkouts priced in a national currency and paid in USDC on Base."""
