"""Simulates PayPal's REST API as its sandbox behaves: Orders v2, Payments v2, Payment Method Tokens v3, access tokens,
signed webhooks.

Sources, by the tags in the docstrings: [spec] github.com/paypal/paypal-rest-api-specifications (Orders 2.13, Payments
2.5, Webhooks 1.11) · [docs] developer.paypal.com. A fact marked "unverified" is in no source that could be read; the
sandbox then does what is most plausible.

The outcome of a payment is its scenario. For an order and for a saved account, the control route
`/_sandbox/paypal/<id>/scenario` sets it; in the vault id `sandbox_<scenario>`, which nobody has saved, it is the second
part. A scenario is COMPLETED, PENDING (the bank decides later), a processor's response code such as 5120 (the capture
is DECLINED), REFUND_PENDING (the refunds stay pending), or the issue with which the call is refused, such as
INSTRUMENT_DECLINED.

`/_sandbox/paypal/<capture id>/dispute` opens a dispute and moves it on. `/_sandbox/paypal/<id>/emit` sends an event
about a subscription or a saved account of any id, also one that the sandbox does not keep.
"""
