"""The errors that refuse a request. Each docstring says when; the message says what to do instead."""


class CeleriacError(Exception):
    """Anything that Celeriac refuses on purpose. `type`: a stable name for clients."""

    type = "error"

    def __init__(self, message: str = "", **members: str | list[str]) -> None:
        """Take the sentence, and what a program reads beside it."""
        super().__init__(message)
        self.members = members


class InvalidRequest(CeleriacError):
    """The request is malformed, or breaks a rule that does not depend on stored state."""

    type = "invalid_request"


class InvalidAmount(InvalidRequest):
    """The amount is not a positive number with the precision of its currency."""

    type = "invalid_amount"


class UnknownCurrency(InvalidRequest):
    """ISO 4217 does not list the code, or gives it no minor unit (gold, test codes)."""

    type = "unknown_currency"


class UnsupportedMethod(InvalidRequest):
    """The payment method is not available here, or not for this currency or request."""

    type = "unsupported_payment_method"


class InstrumentBlocked(InvalidRequest):
    """The payment method is not charged while its customer is away: it is dead, or the consent is withdrawn."""

    type = "instrument_blocked"


class MethodDeclined(InvalidRequest):
    """The issuer refuses a payment method that is to be saved."""


class CardNumberRefused(InvalidRequest):
    """A text in the request looks like a card number. It is neither stored nor repeated."""

    type = "card_number_refused"


class NotFound(CeleriacError):
    """No such object, or one of another application: the response does not tell the two apart."""

    type = "not_found"


class Conflict(CeleriacError):
    """The stored state does not allow the request."""

    type = "conflict"


class CollectionInProgress(Conflict):
    """Another payment is collecting this invoice right now; two at once could charge twice."""

    type = "collection_in_progress"


class AmountAboveOpen(Conflict):
    """The amount is more than what is outstanding, authorized or refundable."""

    type = "amount_above_open"


class InvoiceMismatch(Conflict):
    """The stored invoice or subscription has another user or currency than the request."""

    type = "invoice_mismatch"


class AmbiguousName(Conflict):
    """Several applications have an object of this name, and the request does not say whose is meant."""

    type = "ambiguous_name"


class FraudBlocked(CeleriacError):
    """The fraud rules, or a limit of tries, refuse the request. No provider has heard of it."""

    type = "fraud_blocked"


class ReviewRequired(CeleriacError):
    """The fraud rules ask for a person's decision, for which this door cannot wait."""

    type = "review_required"


class TryLater(CeleriacError):
    """Others have taken all slots of a limit, and may give some back within moments."""

    type = "try_later"


class IdempotencyKeyReused(CeleriacError):
    """The Idempotency-Key was used before with another request."""

    type = "idempotency_key_reused"


class IdempotencyKeyInUse(CeleriacError):
    """The first request with this Idempotency-Key is still running."""

    type = "idempotency_key_in_use"


class IllegalTransition(CeleriacError):
    """The transition table has no such event in this state."""

    type = "illegal_transition"


class LeaseLost(CeleriacError):
    """The lease on an attempt ended while a worker held it; another worker decides now."""

    type = "lease_lost"


class WebhookRefused(CeleriacError):
    """The signature, age or form of a webhook is wrong. Nothing of it is trusted or stored."""

    type = "webhook_refused"


class WebhookDeferred(CeleriacError):
    """It cannot be told right now whether a webhook is genuine. The response makes the provider deliver it again."""

    type = "webhook_deferred"
