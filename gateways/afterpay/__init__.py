"""The adapter of Afterpay."""
