"""Imitates the two ways to be paid through Coinbase: Business checkouts, and the older Commerce charges.

Sources of the facts, by the tags used in the docstrings: [docs] docs.cdp.coinbase.com · [sdk] the official packages
cdp-sdk 1.51.0 and coinbase-commerce 1.0.1 · [hook0] documentation.hook0.com. A fact marked "unverified" was found in
no source that could be read, and the imitation takes the most plausible course. No chain is behind it: addresses,
transactions, rates and confirmations are made up.
"""
