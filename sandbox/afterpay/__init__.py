"""Simulates Afterpay's Online API v2.

Sources, by the tags in the docstrings: [spec] the OpenAPI documents · [docs] the guides at developers.cash.app. A fact
that is in neither is marked as a guess.
"""

PROVIDER = "afterpay"
