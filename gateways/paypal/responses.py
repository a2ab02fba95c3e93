"""Reads PayPal's orders, captures and refunds into outcomes. A COMPLETED order alone proves no payment.

What it raises for an answer that makes no sense is listed in `gateways.json_api.MALFORMED`. Source: Orders v2 and
Payments v2, read 2026-11-23."""

from __future__ import annotations

from datetime import UTC, datetime
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
from gateways.failures import reason_word
from gateways.json_api import text
from gateways.paypal.errors import decline_of
from gateways.paypal.requests import from_paypal

_TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
_REFUSED = ("DECLINED", "DENIED", "FAILED")
_HELD = ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED")
_APPROVE_LINKS = ("payer-action", "approve", "redirect")


def payments_of(body: Any, kind: str) -> list[Any]:
    """Return the `authorizations`, `captures` or `refunds` of an order, oldest first."""
    units = body["purchase_units"]
    return [payment for unit in units for payment in (unit.get("payments") or {}).get(kind) or []]


def authorization_of(body: Any) -> Any | None:
    """Return the authorization that holds the order's money, or else the last one."""
    found = payments_of(body, "authorizations")
    return next((held for held in found if held["status"] in _HELD), found[-1] if found else None)


def capture_of(body: Any) -> Any | None:
    """Return the capture of an order that can be refunded, now or once it is no longer pending."""
    found = payments_of(body, "captures")
    return next((capture for capture in found if capture["status"] not in _REFUSED), None)


def made_by(attempt_id: str, things: list[Any]) -> Any | None:
    """Return what was made for an attempt, if it is there."""
    return next(iter(_of_attempt(attempt_id, things)), None)


def _of_attempt(attempt_id: str, things: list[Any]) -> list[Any]:
    return [thing for thing in things if thing.get("invoice_id") == attempt_id]


def approve_link(body: Any) -> str | None:
    """Return where the buyer is sent to."""
    links = {link["rel"]: link["href"] for link in body.get("links") or []}
    found = next((links[rel] for rel in _APPROVE_LINKS if rel in links), None)
    return found if isinstance(found, str) and found.startswith("http") else None


def waiting_for_buyer(reference: str, link: str | None) -> ActionRequired:
    """Return that the buyer has to approve."""
    return ActionRequired(reference, {"type": "redirect", **({"redirect_url": link} if link else {})})


def outcome_of_order(body: Any, attempt: AttemptRequest) -> Outcome:
    """Return how an order stands, for its charge or for a capture or void of it."""
    reference, status = text(body["id"]), body["status"]
    if reference != (attempt.charge_reference or attempt.reference or reference):
        raise ValueError("another order than was asked for")
    captures, authorization = payments_of(body, "captures"), authorization_of(body)
    if any(capture["status"] not in (*_TAKEN, *_REFUSED, "PENDING") for capture in captures):
        return InDoubt("unknown_status", reference)
    taken = [from_paypal(capture["amount"]) for capture in captures if capture["status"] in _TAKEN]
    if taken:
        held = from_paypal(authorization["amount"]) if authorization else None
        return _captured(reference, attempt, sum(money.minor for money in taken), held, {m.currency for m in taken})
    if any(capture["status"] == "PENDING" for capture in captures):
        return Pending(reference)
    # An earlier capture's refusal says nothing about this one.
    own = captures if attempt.verb is not Verb.CAPTURE else _of_attempt(attempt.attempt_id, captures)
    if own and (attempt.verb is Verb.CAPTURE or authorization is None):
        return Declined(reference, decline_of(own[-1]))
    if authorization is not None:
        return _authorized(reference, attempt, authorization)
    return _unpaid(reference, status, body, attempt)


def _captured(
    reference: str, attempt: AttemptRequest, captured: int, held: Money | None, currencies: set[str]
) -> Outcome:
    if currencies != {attempt.money.currency}:
        return InDoubt("other_currency", reference)
    if attempt.verb is Verb.CHARGE and captured != attempt.money.minor:
        return InDoubt("other_amount", reference)
    return Approved(reference, authorized=held.minor if held else captured, captured=captured)


def _authorized(reference: str, attempt: AttemptRequest, authorization: Any) -> Outcome:
    status, held = authorization["status"], from_paypal(authorization["amount"])
    if status == "VOIDED":
        return Approved(reference, voided=True)
    if status == "PENDING":
        return Pending(reference)
    if status in _REFUSED:
        return Declined(reference, decline_of(authorization))
    if status != "CREATED":
        return InDoubt("captures_missing", reference)
    if held.currency != attempt.money.currency or (
        attempt.verb is Verb.AUTHORIZE and held.minor != attempt.money.minor
    ):
        return InDoubt("other_amount", reference)
    expires_at = datetime.fromisoformat(authorization["expiration_time"])
    # A time without a zone is UTC.
    expires_at = expires_at if expires_at.tzinfo else expires_at.replace(tzinfo=UTC)
    return Approved(reference, authorized=held.minor, authorization_expires_at=expires_at)


def _unpaid(reference: str, status: str, body: Any, attempt: AttemptRequest) -> Outcome:
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
            return waiting_for_buyer(reference, approve_link(body))
    return InDoubt("nothing_shown" if status == "COMPLETED" else "unknown_status", reference)


def outcome_of_capture(body: Any, attempt: AttemptRequest, reference: str, held: int) -> Outcome:
    """Return what came of capturing an authorization of `held` minor units. `reference`: the order's."""
    status = body["status"]
    if status == "PENDING":
        return Pending(reference)
    if status in _REFUSED:
        return Declined(reference, decline_of(body))
    if status not in _TAKEN:
        return InDoubt("unknown_status", reference)
    if from_paypal(body["amount"]) != attempt.money:
        return InDoubt("other_amount", reference)
    return Approved(reference, authorized=held, captured=attempt.money.minor)


def outcome_of_refund(body: Any, asked: Money | None = None) -> Outcome:
    """Return how a refund stands; `asked`: how much it was meant to give back, where that is known."""
    reference, status = text(body["id"]), body["status"]
    if status == "PENDING":
        return Pending(reference)
    if status in ("FAILED", "CANCELLED"):
        reason = reason_word((body.get("status_details") or {}).get("reason"), "") or None
        return Declined(reference, Decline(status, DeclineClass.HARD, decline_code=reason))
    if status != "COMPLETED":
        return InDoubt("unknown_status", reference)
    money = from_paypal(body["amount"])
    if asked is not None and money != asked:
        return InDoubt("other_amount", reference)
    return Approved(reference, refunded=money.minor)
