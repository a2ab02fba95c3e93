"""Afterpay's Online API v2, as its OpenAPI documents and guides at developers.cash.app describe it.

[spec] marks what the OpenAPI documents say, [docs] the guides; what neither says is said to be a guess."""

PROVIDER = "afterpay"
