"""Imitates Klarna for direct merchants: Payments v1, Hosted Payment Page 1.1, Order Management v1, customer
tokens v1.

Sources, by the tags used in the docstrings: [spec] Klarna's OpenAPI files · [docs] docs.klarna.com, read
2026-11-23. A fact marked "unverified" was found in neither, and the imitation takes the most plausible course.

Test customers, by the e-mail of their billing address: `+denied` is refused [docs]; `+pend-accept` and
`+pend-reject` are assessed for hours before Klarna says yes or no (the marks are unverified). Test tokens of
customers who are away: `customer-token`, with the same marks.
"""
