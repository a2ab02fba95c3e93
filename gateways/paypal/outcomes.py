"""What follows from PayPal's orders, captures and refunds: the outcomes of charges, captures, voids and refunds."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.money import Money
from domain.outcome import (
    ActionRequired,
    Approved,
    AuthenticationRequired,
    CustomerApproved,
    Declined,
    InDoubt,
    NotSent,
    Outcome,
    Pending,
)
from domain.payment import Verb
from gateways.base import AttemptRequest
from gateways.failures import MalformedResponse
from gateways.paypal.checks import checks_of
from gateways.paypal.responses import (
    AUTHORIZATION_STATUSES,
    REFUSED,
    TAKEN,
    Authorization,
    Capture,
    Order,
    PaymentResource,
    Refund,
    Refusable,
    approve_link,
    authorization_of,
    decline_of,
    doubt_about_payments,
    of_attempt,
)
from gateways.provider_model import newest

# Then PayPal deletes an unapproved order (its answer in paypal/Checkout-PHP-SDK, issue 84, read 2026-11-28).
_APPROVED_WITHIN = timedelta(hours=3)


def waiting_for_buyer(reference: str, link: str | None, created_at: datetime | None = None) -> ActionRequired:
    """Return that the buyer has to approve, at the link if there is one. `created_at`: of the order, where known."""
    action = {"type": "redirect"} | ({"redirect_url": link} if link else {})
    return ActionRequired(reference, action, created_at and created_at + _APPROVED_WITHIN)


def outcome_of_order(order: Order, attempt: AttemptRequest) -> Outcome:
    """Return how an order stands, for its charge or for a capture or void of it. Raises MalformedResponse."""
    doubt = doubt_about_payments(order)
    if doubt is not None:
        return doubt
    captures, authorization = order.captures, authorization_of(order)
    taken = [capture for capture in captures if capture.status in TAKEN]
    if taken:
        return _captured(order.id, attempt, taken, authorization)
    if any(capture.status == "PENDING" for capture in captures):
        return Pending(order.id)
    # The refusal of an earlier capture says nothing about this one.
    own = captures if attempt.verb is not Verb.CAPTURE else of_attempt(attempt.attempt_id, captures)
    if own and (attempt.verb is Verb.CAPTURE or authorization is None):
        return _declined(order.id, own[-1])
    if authorization is not None:
        return _authorized(order.id, attempt, authorization)
    return _unpaid(order, attempt)


def _declined(reference: str, refused: Refusable) -> Declined:
    """Return why a capture or an authorization was refused. An order may have several, one a try."""
    return Declined(reference, decline_of(refused), checks=checks_of(refused), try_reference=refused.id)


def _captured(
    reference: str, attempt: AttemptRequest, taken: list[Capture], authorization: Authorization | None
) -> Outcome:
    amounts = [capture.amount.money for capture in taken]
    captured = sum(money.minor for money in amounts)
    authorized = authorization.amount.money.minor if authorization else captured
    if {money.currency for money in amounts} != {attempt.money.currency}:
        return InDoubt("other_currency", reference)
    at = newest(capture.create_time for capture in taken)
    checks = checks_of(authorization, *taken)
    return attempt.compared(Approved(reference, authorized=authorized, captured=captured, at=at, checks=checks))


def _authorized(reference: str, attempt: AttemptRequest, authorization: Authorization) -> Outcome:
    status, held = authorization.status, authorization.amount.money
    if status == "VOIDED":
        return Approved(reference, voided=True, at=authorization.update_time)
    if status == "PENDING":
        return Pending(reference)
    if status in REFUSED:
        return _declined(reference, authorization)
    if status != "CREATED":
        return InDoubt("captures_missing", reference)
    if held.currency != attempt.money.currency:
        return InDoubt("other_currency", reference)
    expiry, at = authorization.expires_at, authorization.create_time
    checks = checks_of(authorization)
    return Approved(reference, authorized=held.minor, authorization_expires_at=expiry, at=at, checks=checks)


def _unpaid(order: Order, attempt: AttemptRequest) -> Outcome:
    reference, status = order.id, order.status
    match status:
        case "APPROVED":
            return CustomerApproved(reference)
        case "VOIDED":
            return Approved(reference, voided=True)
        case "PAYER_ACTION_REQUIRED" if attempt.method_token is not None:
            return AuthenticationRequired(reference, Decline(status, DeclineClass.NEEDS_CUSTOMER))
        case "CREATED" | "SAVED" if attempt.method_token is not None:
            return NotSent("not_completed", reference=reference)
        case "CREATED" | "SAVED" | "PAYER_ACTION_REQUIRED":
            return waiting_for_buyer(reference, approve_link(order), order.create_time)
        case "COMPLETED":
            return InDoubt("nothing_shown", reference)
    return order.in_doubt("status", reference)


def outcome_of_capture(capture: Capture, attempt: AttemptRequest, reference: str, held: int) -> Outcome:
    """Return the outcome of capturing an authorization of `held` minor units. `reference`: the order's."""
    if capture.status == "PENDING":
        return Pending(reference)
    if capture.status in REFUSED:
        return _declined(reference, capture)
    if capture.status not in TAKEN:
        return capture.in_doubt("status", reference)
    if capture.amount.money != attempt.money:
        return InDoubt("other_amount", reference)
    return Approved(reference, authorized=held, captured=attempt.money.minor, at=capture.create_time)


def outcome_of_void(body: Any, reference: str) -> Outcome:
    """Return the outcome of voiding an authorization: PayPal responds with nothing, or with the authorization."""
    if body is None:
        return Approved(reference, voided=True)
    authorization = PaymentResource.parse(body)
    if authorization.status == "VOIDED":
        return Approved(reference, voided=True, at=authorization.update_time)
    is_known = authorization.status in AUTHORIZATION_STATUSES
    return InDoubt("not_voided", reference) if is_known else authorization.in_doubt("status", reference)


def outcome_of_closing(order: Order, attempt: AttemptRequest) -> Outcome:
    """Return the outcome of leaving an order: it is closed, unless money has moved or may move."""
    outcome = outcome_of_order(order, attempt)
    if isinstance(outcome, Approved | Pending | InDoubt):
        return outcome
    # A refused payment ends an order, and our capture does not pass one whose buyer has to act first.
    is_over = isinstance(outcome, Declined) or order.status == "PAYER_ACTION_REQUIRED"
    return Approved(order.id, voided=True, may_still_charge=not is_over)


def outcome_of_missing(reference: str) -> Outcome:
    """Return the outcome of closing an order that PayPal does not show.

    PayPal deletes an order that is not approved within hours. An order that it does not show yet looks the same, so a
    capture that we sent may still charge it."""
    return Approved(reference, voided=True, may_still_charge=True)


def outcome_of_refund(refund: Refund, expected: Money | None = None) -> Outcome:
    """Return how a refund stands. `expected`: the amount that it should give back, where we know it."""
    if refund.status == "PENDING":
        return Pending(refund.id, refunding=refund.amount.money.minor if refund.amount else 0)
    if refund.has_failed:
        reason = refund.status_details.reason if refund.status_details else None
        return Declined(refund.id, Decline(str(refund.status), DeclineClass.HARD, decline_code=reason))
    if refund.status != "COMPLETED":
        return refund.in_doubt("status", refund.id)
    if refund.amount is None:
        raise MalformedResponse("Refund.amount")
    money = refund.amount.money
    if expected is not None and money != expected:
        return InDoubt("other_amount", refund.id)
    return Approved(refund.id, refunded=money.minor, at=refund.create_time)
