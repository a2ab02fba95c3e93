"""Afterpay (Clearpay in the UK): checkouts that the customer approves, then payments of their tokens."""
