"""Imitates PayPal's REST API as its sandbox behaves: Orders v2, Payments v2, access tokens, signed webhooks.

Sources of the facts, by the tags used in the docstrings: [spec] github.com/paypal/paypal-rest-api-specifications
(Orders 2.13, Payments 2.5, Webhooks 1.11) · [docs] developer.paypal.com. A fact marked "unverified" was found in no
source that could be read, and the imitation takes the most plausible course.

What comes of a payment is its course, set for an approved order by the control route `/_sandbox/paypal/<id>/course`
and for a saved account by its vault id, `sandbox_<course>`. A course is COMPLETED, PENDING (the bank answers later),
a processor's response code such as 5120 (the capture is DECLINED), REFUND_PENDING (so are its refunds), or the issue
that the call is refused with, such as INSTRUMENT_DECLINED.

Beside payments: `/_sandbox/paypal/<capture id>/dispute` opens a dispute and brings it on, and
`/_sandbox/paypal/<id>/happen` lets an event be told of a subscription or a saved account of any id.
"""
