"""Stripe's PaymentIntents, Refunds and payment errors as outcomes. It sends nothing.

Source: docs.stripe.com/api and the SDK 16.1.0 (API 2026-10-28.endive), read 2026-11-23."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from domain.check_results import Authentication, CheckResults
from domain.comparison import ShownRefund
from domain.decline import DeclineClass, classify, decline_by
from domain.instrument import Instrument
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from gateways.base import AttemptRequest
from gateways.failures import MalformedResponse, reason_word
from gateways.provider_model import ProviderModel, Text, UnixTime, Word, from_unix
from gateways.stripe.instruments import Mark, MethodShown, an_object
from gateways.stripe.money import from_stripe
from gateways.stripe.next_actions import NextAction, next_action

# Card authorizations last seven days when the charge does not say (docs: place a hold on a payment method).
_AUTHORIZATION_WINDOW = timedelta(days=7)

# Methods whose charge is made when it takes the money, and those capture methods. A bank decides about a debit days
# after its charge was made ("delayed notification", docs.stripe.com/payments/ach-direct-debit, read 2026-11-28).
_TAKEN_AT_ONCE = frozenset({"afterpay_clearpay", "card", "customer_balance", "klarna"})
# The customer has failed a 3-D Secure challenge, or left it (docs.stripe.com/error-codes, read 2026-11-29). A redirect
# method, which has no card, ends with them as well.
_FAILED_AUTHENTICATIONS = frozenset({"payment_intent_authentication_failure", "setup_intent_authentication_failure"})
# Classes that a code of no table has, too.
_MILD = (DeclineClass.TECHNICAL, DeclineClass.SOFT)
PROVIDER = "stripe"
# The reason of a refund that was made because the payment was fraud.
FRAUDULENT = "fraudulent"
_CAPTURED_AT_ONCE = frozenset({"automatic", "automatic_async"})

Amount = Annotated[int, Field(ge=0)]


class Created(ProviderModel):
    """A new object, of which only the id is needed."""

    id: Text


class ConfirmableIntent(ProviderModel):
    """A PaymentIntent or SetupIntent that a front end confirms.

    `client_secret` is a credential: never stored or logged."""

    id: Text
    client_secret: Text = Field(repr=False)


class PaymentError(ProviderModel):
    """The error object, also as an intent's `last_payment_error`. Many refusals omit their code.

    `payment_method`: the one that was tried, shown with a decline. `charge`: the id of the charge that failed, if one
    was made."""

    type: Word = None
    code: str | None = None
    param: str | None = None
    message: str | None = None
    decline_code: str | None = None
    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None
    charge: Mark = None
    payment_method: Annotated[MethodShown | None, BeforeValidator(an_object)] = None

    @property
    def try_reference(self) -> str | None:
        """What tells this try from the one before: its charge, or the method where none was made."""
        return self.charge or (self.payment_method.id if self.payment_method else None)


class _Charge(ProviderModel):
    id: Mark = None
    created: UnixTime
    payment_method: Mark = None
    payment_method_details: MethodShown | None = None

    @property
    def method(self) -> str | None:
        """The type of its payment method."""
        return self.payment_method_details.type if self.payment_method_details else None

    @property
    def instrument(self) -> Instrument | None:
        """The card or account that was tried."""
        return self.payment_method_details.instrument(self.payment_method) if self.payment_method_details else None

    @property
    def check_results(self) -> CheckResults | None:
        """What was checked of the card that was tried."""
        return self.payment_method_details.check_results if self.payment_method_details else None


class PaymentIntent(ProviderModel):
    """A PaymentIntent. A field that only some statuses need is optional here and demanded where it is read.

    `latest_charge`: an id, or the charge where the call expands it."""

    id: Text
    status: Word = None
    currency: Text
    amount: Amount
    amount_received: Amount | None = None
    amount_capturable: Amount | None = None
    created: UnixTime | None = None
    canceled_at: UnixTime | None = None
    capture_method: str | None = None
    latest_charge: _Charge | str | None = None
    next_action: NextAction | None = None
    last_payment_error: PaymentError | None = None


class Refund(ProviderModel):
    """A Refund, whose status may be null (SDK 16.1.0). `reason`: of whoever made it, in a word of Stripe's."""

    id: Text
    status: Word = None
    amount: Amount
    currency: Text
    created: UnixTime
    failure_reason: str | None = None
    reason: Mark = None
    metadata: dict[str, str] | None = None


class ListedEvent(ProviderModel):
    """An event in a list, of which the id names the place of the next page."""

    id: Text


class EventPage(ProviderModel):
    """One page of the list of events, newest first."""

    data: list[Any]
    has_more: bool


class RefundPage(ProviderModel):
    """One page of a list of refunds, newest first."""

    data: list[Refund]
    has_more: bool


class _RefundedCharge(ProviderModel):
    refunds: RefundPage | None = None


class IntentWithRefunds(ProviderModel):
    """A PaymentIntent whose charge is expanded with its refunds."""

    latest_charge: _RefundedCharge | str | None = None


def outcome_of_requested(intent: PaymentIntent, reference: str, attempt: AttemptRequest) -> Outcome:
    """Return what the requested PaymentIntent says of its attempt; another intent, or another currency, is doubt."""
    if intent.id != reference:
        return InDoubt("another_object", reference)
    if intent.currency.upper() != attempt.money.currency:
        return InDoubt("another_currency", reference)
    return attempt.compared(outcome_of_intent(intent))


def outcome_of_intent(intent: PaymentIntent) -> Outcome:
    """Return what a PaymentIntent says about its attempt."""
    reference, currency = intent.id, intent.currency
    match intent.status:
        case "succeeded":
            received = from_stripe(_demanded(intent.amount_received, "amount_received"), currency)
            authorized, at = from_stripe(intent.amount, currency), _charged_at(intent)
            return _with_charge(intent, Approved(reference, authorized=authorized, captured=received, at=at))
        case "requires_capture":
            capturable = from_stripe(_demanded(intent.amount_capturable, "amount_capturable"), currency)
            expiry, at = _capture_before(intent), _made_at(intent)
            held = Approved(reference, authorized=capturable, authorization_expires_at=expiry, at=at)
            return _with_charge(intent, held)
        case "canceled":
            return Approved(reference, voided=True, at=from_unix(intent.canceled_at))
        case "processing":
            charge = _charge_of(intent)
            return Pending(reference, instrument=charge.instrument if charge else None)
        case "requires_action":
            return ActionRequired(reference, next_action(intent.next_action))
        case "requires_payment_method" if intent.last_payment_error is not None:
            error = intent.last_payment_error
            return outcome_of_failed_confirm(reference, error, _failed_charge(intent, error))
        case "requires_payment_method" | "requires_confirmation":
            return NotSent("not_confirmed", reference=reference)
    return intent.in_doubt("status", reference)


def outcome_of_refund(refund: Refund) -> Outcome:
    """Return what a Refund says about its attempt."""
    match refund.status:
        case "succeeded":
            amount = from_stripe(refund.amount, refund.currency)
            return Approved(refund.id, refunded=amount, at=from_unix(refund.created))
        case "pending" | "requires_action":
            return Pending(refund.id, refunding=from_stripe(refund.amount, refund.currency))
        case "failed" | "canceled":
            code = refund.failure_reason or f"refund_{refund.status}"
            return Declined(refund.id, decline_by(PROVIDER, code))
    return refund.in_doubt("status", refund.id)


def shown_refund(refund: Refund) -> ShownRefund:
    """Return a refund as it is compared with the books."""
    attempt_id = (refund.metadata or {}).get("attempt_id")
    return ShownRefund(refund.id, outcome_of_refund(refund), attempt_id, refund.reason == FRAUDULENT)


def refunds_shown_by(intent: Any) -> list[ShownRefund]:
    """Return the newest refunds of an intent whose charge is expanded, whoever made them. Raises MalformedResponse."""
    charge = IntentWithRefunds.parse(intent).latest_charge
    refunds = charge.refunds if isinstance(charge, _RefundedCharge) else None
    return [shown_refund(refund) for refund in refunds.data] if refunds is not None else []


def has_more_refunds(intent: Any) -> bool:
    """Tell whether an intent may have refunds that its expanded charge does not show. Raises MalformedResponse."""
    charge = IntentWithRefunds.parse(intent).latest_charge
    refunds = charge.refunds if isinstance(charge, _RefundedCharge) else None
    return refunds is None or refunds.has_more


def _charge_of(intent: PaymentIntent) -> _Charge | None:
    """Return the newest charge; None where it is only named."""
    return intent.latest_charge if isinstance(intent.latest_charge, _Charge) else None


def _with_charge(intent: PaymentIntent, outcome: Approved) -> Approved:
    charge = _charge_of(intent)
    if charge is None:
        return outcome
    return replace(outcome, instrument=charge.instrument, checks=charge.check_results)


def _failed_charge(intent: PaymentIntent, error: PaymentError) -> _Charge | None:
    """Return the charge of a failed confirm. The newest one may be of an earlier try: a challenge that failed has
    none."""
    charge = _charge_of(intent)
    if charge is None:
        return None
    if error.charge is not None:
        return charge if charge.id == error.charge else None
    method = error.payment_method.id if error.payment_method else None
    return charge if method in (charge.payment_method, None) else None


def outcome_of_failed_confirm(reference: str, error: PaymentError, charge: _Charge | None = None) -> Outcome:
    """Return why an intent waits for another payment method: nothing was charged, but not always was it declined.
    `charge`: the one that failed, where it is shown."""
    code = error.code
    match error.type:
        case "card_error":
            return outcome_of_decline(reference, error, charge)
        case "invalid_request_error" if code is not None and classify(code) not in _MILD:
            # A failed 3-D Secure challenge has this type (sample in stripe-android, read 2026-11-28). Only a code of
            # the decline table is one: the class for all others would be invented.
            return outcome_of_decline(reference, error, charge)
        case "invalid_request_error":
            return NotSent(reason_word(code, error.type), is_retryable=False, reference=reference)
        case "api_error" | "idempotency_error":
            return NotSent(reason_word(code, error.type), reference=reference)
    return error.in_doubt("type", reference)


def outcome_of_decline(reference: str | None, error: PaymentError, charge: _Charge | None = None) -> Outcome:
    """Return what a decline says, with its codes unchanged. `charge`: the one that failed, where it is shown."""
    method = error.payment_method
    shown = charge.instrument if charge else None
    instrument = shown or (method.instrument() if method else None)
    decline = decline_by(
        PROVIDER,
        error.code or "card_declined",
        decline_code=error.decline_code,
        advice_code=error.advice_code,
        network_advice_code=error.network_advice_code,
        network_decline_code=error.network_decline_code,
        network=instrument.network if instrument else None,
    )
    kind = AuthenticationRequired if decline.code == "authentication_required" else Declined
    return kind(reference, decline, instrument, _checks_of_failed(error, charge), error.try_reference)


def _checks_of_failed(error: PaymentError, charge: _Charge | None) -> CheckResults | None:
    method = error.payment_method
    shown = charge.check_results if charge else None
    checks = shown or (method.check_results if method else None)
    if checks is not None and error.code in _FAILED_AUTHENTICATIONS:
        return replace(checks, authentication=Authentication.FAILED)
    return checks


def _made_at(intent: PaymentIntent) -> datetime | None:
    """Return when the charge was made; None where it is only named."""
    charge = _charge_of(intent)
    return from_unix(charge.created) if charge else None


def _charged_at(intent: PaymentIntent) -> datetime | None:
    """Return when the money was taken. A charge shows that only if it was taken as soon as it was made: of a later
    capture and of a debit, the balance transaction shows it, which not every key may read."""
    charge = _charge_of(intent)
    is_taken_at_once = charge is not None and charge.method in _TAKEN_AT_ONCE
    return _made_at(intent) if is_taken_at_once and intent.capture_method in _CAPTURED_AT_ONCE else None


def _capture_before(intent: PaymentIntent) -> datetime:
    charge = _charge_of(intent)
    details = charge.payment_method_details if charge else None
    if details is not None and details.card is not None and details.card.capture_before:
        return datetime.fromtimestamp(details.card.capture_before, UTC)
    return datetime.fromtimestamp(_demanded(intent.created, "created"), UTC) + _AUTHORIZATION_WINDOW


def _demanded(value: int | None, field: str) -> int:
    """Return a field that this status needs. Raises MalformedResponse."""
    if value is None:
        raise MalformedResponse(f"PaymentIntent.{field}")
    return value
