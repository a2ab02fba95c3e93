"""Simulates Klarna for direct merchants: Payments v1, Hosted Payment Page 1.1, Order Management v1, customer tokens v1.

Sources, by the tags in the docstrings: [spec] Klarna's OpenAPI files · [docs] docs.klarna.com, read 2026-11-23. A fact
marked "unverified" is in neither; the sandbox then does what is most plausible.

Test customers, by a mark in the e-mail of their billing address: `+denied` is refused [docs]; `+pend-accept` and
`+pend-reject` stay in fraud review for hours before Klarna decides (these marks are unverified). The test token for a
payment without the customer is `customer-token`, with the same marks.
"""
