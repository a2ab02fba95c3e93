"""The refusals that the domain can utter. The docstring of each says when; the message says what to do."""


class CeleriacError(Exception):
    """Anything that Celeriac refuses on purpose; `type` is a stable name for clients."""

    type = "error"


class InvalidRequest(CeleriacError):
    """The request cannot be understood or is against a rule that needs no stored state to see."""

    type = "invalid_request"


class InvalidAmount(InvalidRequest):
    """An amount that is not a positive number with the precision that its currency has."""

    type = "invalid_amount"


class UnknownCurrency(InvalidRequest):
    """A code that ISO 4217 does not list, or one without a minor unit (gold, test codes)."""

    type = "unknown_currency"


class UnsupportedMethod(InvalidRequest):
    """The payment method is not available at all, or not in this currency."""

    type = "unsupported_payment_method"


class CardNumberRefused(InvalidRequest):
    """A string in the request looks like a card number; it is neither stored nor repeated."""

    type = "card_number_refused"


class NotFound(CeleriacError):
    """No such object, or it belongs to another application: the two are not told apart."""

    type = "not_found"


class Conflict(CeleriacError):
    """The stored state does not allow what was asked."""

    type = "conflict"


class CollectionInProgress(Conflict):
    """Another payment is collecting this invoice right now; two at once could charge twice."""

    type = "collection_in_progress"


class AmountAboveOpen(Conflict):
    """More was asked than is open on the invoice, capturable on the authorization or refundable."""

    type = "amount_above_open"


class InvoiceMismatch(Conflict):
    """The stored invoice names another user or currency than the request does."""

    type = "invoice_mismatch"


class IdempotencyKeyReused(CeleriacError):
    """The Idempotency-Key was used before with another request."""

    type = "idempotency_key_reused"


class IdempotencyKeyInUse(CeleriacError):
    """The first request with this Idempotency-Key is still running."""

    type = "idempotency_key_in_use"


class IllegalTransition(CeleriacError):
    """The state machine has no such arrow: a caller asked for something that cannot follow."""

    type = "illegal_transition"


class LeaseLost(CeleriacError):
    """The lease on an attempt ended while it was being worked on; another holder decides now."""

    type = "lease_lost"


class WebhookRefused(CeleriacError):
    """A webhook whose signature, age or shape is wrong; nothing of it is trusted or stored."""

    type = "webhook_refused"
