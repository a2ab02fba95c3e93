"""Simulates two products of Coinbase: Business checkouts, and the older Commerce charges.

Sources, by the tags in the docstrings: [docs] docs.cdp.coinbase.com · [sdk] the official packages cdp-sdk 1.51.0 and
coinbase-commerce 1.0.1 · [hook0] documentation.hook0.com. A fact marked "unverified" is in no source that could be
read; the sandbox then does what is most plausible. There is no blockchain: addresses, transactions, rates and
confirmations are invented.
"""
