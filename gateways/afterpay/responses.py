"""Afterpay's responses as models, and the outcomes that follow from them. Pure; nothing is sent here.

Sources: Afterpay's OpenAPI documents (checkouts, payments, configuration) and developers.cash.app, read 2026-11-23."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

from domain.comparison import ShownRefund
from domain.decline import decline_by
from domain.errors import InvalidAmount
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.afterpay.errors import code_of, error_response
from gateways.base import AttemptRequest
from gateways.failures import MalformedResponse
from gateways.json_api import ProviderResponse
from gateways.provider_model import End, ProviderModel, Text, Word, newest

_STATUSES = frozenset({"APPROVED", "DECLINED"})
_DECLINED = frozenset({"AUTH_DECLINED", "CAPTURE_DECLINED"})
_CAPTURED = frozenset({"CAPTURED", "PARTIALLY_CAPTURED"})
# EXPIRED is documented as the type of an event only; as a state it can mean nothing else.
_RELEASED = frozenset({"VOIDED", "EXPIRED"})
_STATES = _DECLINED | _CAPTURED | _RELEASED | {"AUTH_APPROVED"}
# Amounts are added up by type: an event of another type may be money as well.
_EVENT_TYPES = _DECLINED | _RELEASED | {"AUTH_APPROVED", "CAPTURED"}
# All refusals of a reversal have one code and differ by their message (documents of 2026, read 2026-11-28).
_REVERSED = "payment reversal previously processed"
_REVERSING = "order in pending reversal, no captures/auth accepted"
_NOT_REVERSIBLE = frozenset({"order outside reversal window", "payment not eligible for a reversal"})


def _instant(value: object) -> object:
    if not isinstance(value, str):
        return value
    instant = datetime.fromisoformat(value)
    if instant.tzinfo is None:
        raise ValueError("an instant without its zone")
    return instant


# --- models -----------------------------------------------------------------------------------------


class AfterpayModel(ProviderModel):
    """The base of the models: Afterpay writes its fields in camelCase."""

    model_config = ConfigDict(alias_generator=to_camel)


class Amount(AfterpayModel):
    """An amount in decimal text, which may be zero."""

    amount: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,14}(\.[0-9]{1,6})?$")]
    currency: Text


# Events that release money; each is listed among the refunds as well, without a reference.
_RELEASES = ("VOIDED", "EXPIRED")


class Configuration(AfterpayModel):
    """The account's limits. An account without a minimum has none in the response."""

    minimum_amount: Amount | None = None
    maximum_amount: Amount


class Checkout(AfterpayModel):
    """A checkout and the address at which the customer approves it. The token is stored: printable ASCII.

    `expires`: three hours after the checkout was made (documents of 2026, read 2026-11-28)."""

    token: Annotated[str, StringConstraints(pattern="^[ -~]{1,255}$")]
    redirect_checkout_url: Annotated[str, StringConstraints(pattern="^https?://")]
    expires: End = None


class PaymentEvent(AfterpayModel):
    """One step of a payment. `expires`: until when an authorization holds.

    `payment_event_merchant_reference`: the attempt's id, if Celeriac made this capture."""

    type: Word = None
    amount: Amount
    created: End = None
    expires: Annotated[datetime, BeforeValidator(_instant)] | None = None
    payment_event_merchant_reference: str | None = None


class Refund(AfterpayModel):
    """A refund; a void is listed as one too, without references.

    `refund_merchant_reference`: the attempt's id, if Celeriac made the refund."""

    refund_id: str | None = None
    amount: Amount
    refunded_at: End = None
    refund_merchant_reference: str | None = None


class Payment(AfterpayModel):
    """The payment of a checkout's token. `refunds`: read by `find_refund`, which requires it."""

    id: Text
    token: Text
    status: Word = None
    payment_state: Word = None
    original_amount: Amount
    open_to_capture_amount: Amount
    events: list[PaymentEvent]
    refunds: list[Refund] | None = None

    @property
    def is_declined(self) -> bool:
        """Whether Afterpay refused the payment. There are no reasons, and the customer may try a new checkout."""
        return self.payment_state in _DECLINED

    @property
    def is_open(self) -> bool:
        """Whether money is held that can be captured or voided."""
        return self.payment_state in ("AUTH_APPROVED", "PARTIALLY_CAPTURED")

    def has_capture_of(self, attempt: AttemptRequest) -> bool:
        """Tell whether the payment shows the capture of an attempt."""
        captures = self.events_of("CAPTURED")
        return any(event.payment_event_merchant_reference == attempt.attempt_id for event in captures)

    def events_of(self, type: str) -> list[PaymentEvent]:
        """Return the events of a type, oldest first."""
        return [event for event in self.events if event.type == type]

    def happened_at(self, *types: str) -> datetime | None:
        """Return when the last event of these types happened; None if one of them has no time."""
        return newest(event.created for event in self.events if event.type in types)


class ReversalRefusal(AfterpayModel):
    """The refusal of a reversal. `message`: one of four sentences."""

    message: Word = None


def minor_units(amount: Amount, currency: str) -> int:
    """Return an amount in minor units. Raises MalformedResponse for another currency or too many decimals.

    >>> [minor_units(Amount(amount=text, currency="AUD"), "AUD") for text in ("37.00", "0.00")]
    [3700, 0]
    """
    if amount.currency != currency:
        raise MalformedResponse("Amount.currency")
    if not amount.amount.strip("0."):
        return 0
    try:
        return Money.parse(amount.amount, currency).minor
    except InvalidAmount:
        raise MalformedResponse("Amount.amount") from None


# --- outcomes ---------------------------------------------------------------------------------------


def outcome_of_checkout(checkout: Checkout) -> ActionRequired:
    """Return where the customer approves."""
    action = {"type": "redirect", "redirect_url": checkout.redirect_checkout_url}
    return ActionRequired(checkout.token, action, checkout.expires)


def outcome_of_charge(payment: Payment, token: str, attempt: AttemptRequest) -> Outcome:
    """Return the outcome of a charge or an authorization. Raises MalformedResponse."""
    outcome = outcome_of_payment(payment, token, attempt.money.currency)
    is_whole = not isinstance(outcome, Approved) or outcome.captured == outcome.authorized
    if attempt.verb is Verb.CHARGE and payment.payment_state in _CAPTURED and not is_whole:
        # A charge is captured at once and in whole.
        return InDoubt("contradicting_answer", token)
    return attempt.compared(outcome)


def outcome_of_payment(payment: Payment, token: str, currency: str) -> Outcome:
    """Return how a payment stands, in minor units of `currency`. Raises MalformedResponse."""
    doubt = doubt_about_words(payment, token)
    if doubt is not None:
        return doubt
    state = payment.payment_state
    if payment.token != token or (payment.status == "DECLINED") != payment.is_declined:
        return InDoubt("contradicting_answer", token)
    if payment.is_declined:
        return Declined(token, decline_by("afterpay", str(state)))
    if state in _RELEASED:
        return Approved(token, voided=True, at=payment.happened_at(*_RELEASED))
    if state == "AUTH_APPROVED":
        held = minor_units(payment.open_to_capture_amount, currency)
        expiry, at = _expires_at(payment), payment.happened_at(str(state))
        return Approved(token, authorized=held, authorization_expires_at=expiry, at=at)
    captured = sum(minor_units(event.amount, currency) for event in payment.events_of("CAPTURED"))
    original = minor_units(payment.original_amount, currency)
    at = payment.happened_at("CAPTURED")
    return Approved(token, authorized=original, captured=captured, at=at) if captured else InDoubt("no_capture", token)


def doubt_about_words(payment: Payment, token: str) -> InDoubt | None:
    """Return doubt if the payment or one of its events has an unknown word; None if all are known."""
    if payment.status not in _STATUSES:
        return payment.in_doubt("status", token)
    if payment.payment_state not in _STATES:
        return payment.in_doubt("payment_state", token)
    unknown = next((event for event in payment.events if event.type not in _EVENT_TYPES), None)
    return unknown.in_doubt("type", token) if unknown else None


def _expires_at(payment: Payment) -> datetime:
    authorizations = payment.events_of("AUTH_APPROVED")
    if not authorizations or authorizations[-1].expires is None:
        raise MalformedResponse("PaymentEvent.expires")
    return authorizations[-1].expires


def find_refund(payment: Payment, attempt: AttemptRequest) -> Refund | None:
    """Return the refund of an attempt, by its id or by Afterpay's; None if there is none. Raises MalformedResponse."""
    if "refunds" not in payment.model_fields_set:
        # Without the list nothing shows that the refund was not made.
        raise MalformedResponse("Payment.refunds")
    for refund in payment.refunds or ():
        is_named = attempt.reference is not None and refund.refund_id == attempt.reference
        if is_named or refund.refund_merchant_reference == attempt.attempt_id:
            return refund
    return None


def shown_refunds(payment: Payment, currency: str) -> list[ShownRefund]:
    """Return the refunds of a payment, without the voids that Afterpay lists among them. Raises MalformedResponse."""
    if "refunds" not in payment.model_fields_set:
        raise MalformedResponse("Payment.refunds")
    voids = [minor_units(event.amount, currency) for type in _RELEASES for event in payment.events_of(type)]
    shown = []
    for refund in payment.refunds or ():
        amount = minor_units(refund.amount, currency)
        if refund.refund_merchant_reference is None and amount in voids:
            voids.remove(amount)
        elif refund.refund_id:
            outcome = Approved(refund.refund_id, refunded=amount, at=refund.refunded_at)
            shown.append(ShownRefund(refund.refund_id, outcome, refund.refund_merchant_reference))
    return shown


def outcome_of_refund(refund: Refund | None, money: Money) -> Outcome:
    """Return the outcome of a refund, which Afterpay makes at once; None: there is none. Raises MalformedResponse."""
    if refund is None:
        return NotSent("not_created")
    if not refund.refund_id:
        raise MalformedResponse("Refund.refundId")
    if minor_units(refund.amount, money.currency) != money.minor:
        return InDoubt("amount_mismatch", refund.refund_id)
    return Approved(refund.refund_id, refunded=money.minor, at=refund.refunded_at)


def outcome_of_reversal(response: ProviderResponse, token: str) -> Outcome | None:
    """Return the outcome of a reversal; None if Afterpay refuses it, because it is too late for one."""
    if response.status == 204:
        return InDoubt("reversal_pending", token)
    if code_of(response) == "invalid_token":
        return None
    if response.status != 412:
        return InDoubt(error_response(response).reason, token)
    refusal = ReversalRefusal.parse(response.fields)
    message = (refusal.message or "").lower().rstrip(".")
    if message == _REVERSED:
        return Approved(token, voided=True)
    if message == _REVERSING:
        return InDoubt("reversal_pending", token)
    return None if message in _NOT_REVERSIBLE else refusal.in_doubt("message", token)
