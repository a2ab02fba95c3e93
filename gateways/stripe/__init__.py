"""The adapter of Stripe."""
