"""Imitates the payment providers over HTTP, with books of its own, so that the product can be tested against
a truth.

Outside the product: nothing here imports the product and nothing of the product imports this. Each provider
is a package; the clock, the ledger, the faults, the webhook delivery and the control API are shared by all of
them.
"""
