"""The adapter of PayPal."""
