"""Simulates the payment providers over HTTP and keeps a ledger of its own, against which tests compare the product.

The sandbox stays outside the product: neither imports the other. Each provider is a package. All providers share the
clock, the ledger, the fault injection, the webhook delivery and the control API.
"""
