"""Klarna's responses as models, and the outcomes that follow from them. Pure; nothing is sent here.

Sources: Klarna's Payments API v1, Hosted Payment Page API 1.1 and Order Management API v1, read 2026-11-23."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

from domain.comparison import ShownRefund
from domain.decline import decline_by
from domain.outcome import Approved, CustomerApproved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest
from gateways.failures import MalformedResponse
from gateways.klarna.hosted_page import HostedPage
from gateways.provider_model import End, ProviderModel, Text, Word, newest

# The longest reference that the database stores.
_LONGEST_REFERENCE = 255

_OPEN_PAGE = frozenset({"WAITING", "IN_PROGRESS", "MANUAL_ID_CHECK", "BACK"})
_CLOSED_PAGE = frozenset({"CANCELLED", "DISABLED"})
_FAILED_PAGE = frozenset({"FAILED", "ERROR"})

_ENDED_ORDER = frozenset({"CANCELLED", "EXPIRED", "CLOSED"})
_ORDER_STATUSES = _ENDED_ORDER | {"AUTHORIZED", "PART_CAPTURED", "CAPTURED"}
_FRAUD_STATUSES = frozenset({"ACCEPTED", "PENDING", "REJECTED"})


def _instant(value: object) -> object:
    """Read an ISO 8601 instant, in UTC if it names no zone.

    >>> _instant("2015-12-04T10:26:06.000Z").isoformat()
    '2015-12-04T10:26:06+00:00'
    """
    if not isinstance(value, str):
        return value
    instant = datetime.fromisoformat(value)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


Minor = Annotated[int, Field(ge=0)]
Instant = Annotated[datetime, BeforeValidator(_instant)]


# --- models -----------------------------------------------------------------------------------------


class PaymentSession(ProviderModel):
    """A new payment session."""

    session_id: Text


class CreatedPage(ProviderModel):
    """A new hosted page. A slash in its id would make another reference of it.

    `expires_at`: an hour before its payment session, which lives for 48 hours (docs.klarna.com, hosted payment page,
    read 2026-11-28)."""

    session_id: Annotated[str, StringConstraints(pattern="^[^/]+$")]
    redirect_url: Annotated[str, StringConstraints(pattern="^https?://")]
    expires_at: End = None


class PageSession(ProviderModel):
    """A hosted page as it stands. `order_id`: only after the customer has approved and Klarna has placed the order."""

    session_id: Text
    status: Word = None
    order_id: str | None = None
    expires_at: End = None


class PlacedOrder(ProviderModel):
    """A new order of a customer token."""

    order_id: Text


class Capture(ProviderModel):
    """One capture of an order. `reference`: the attempt's id, if Celeriac made the capture."""

    reference: str | None = None
    captured_at: End = None


class Refund(ProviderModel):
    """One refund of an order, in minor units. `reference`: the attempt's id, if Celeriac made the refund."""

    refund_id: Text
    refunded_amount: Minor
    reference: str | None = None
    refunded_at: End = None

    @property
    def outcome(self) -> Approved:
        """The money that was given back."""
        return Approved(self.refund_id, refunded=self.refunded_amount, at=self.refunded_at)


class Order(ProviderModel):
    """An order as it stands; amounts in minor units. Klarna may leave out lists that are empty.

    `created_at`: the time of the purchase, which authorizes its amount."""

    order_id: Text
    status: Word = None
    fraud_status: Word = None
    purchase_currency: Text
    original_order_amount: Minor
    captured_amount: Minor
    refunded_amount: Minor
    remaining_authorized_amount: Minor
    created_at: End = None
    expires_at: Instant | None = None
    captures: list[Capture] | None = None
    refunds: list[Refund] | None = None

    @property
    def holds_money(self) -> bool:
        """Whether money of the customer is held that has not been captured."""
        return self.status in ("AUTHORIZED", "PART_CAPTURED") and self.remaining_authorized_amount > 0


# --- pages ------------------------------------------------------------------------------------------


def hosted_page(created: CreatedPage) -> HostedPage:
    """Return the page to store as the attempt's reference. Raises MalformedResponse if it is too long to store."""
    page = HostedPage(created.session_id, created.redirect_url, created.expires_at)
    if len(page.reference) > _LONGEST_REFERENCE:
        raise MalformedResponse("CreatedPage.redirect_url")
    return page


def outcome_of_page(attempt: AttemptRequest, page: HostedPage, session: PageSession | None) -> Outcome:
    """Return the outcome of a page without an order. None: Klarna has forgotten the page, two days after it was made.

    Nothing can be captured through a page: a capture needs the order's id."""
    if session is None or session.status in _CLOSED_PAGE:
        return Approved(page.reference, voided=True)
    if session.status in _FAILED_PAGE:
        if attempt.verb is Verb.VOID:
            return Approved(page.reference, voided=True)
        return Declined(page.reference, decline_by("klarna", f"page_{session.status.lower()}"))
    if session.status in _OPEN_PAGE:
        if attempt.verb.is_collecting:
            return replace(page, expires_at=session.expires_at).action
        return NotSent("not_executed")
    is_completed = session.status == "COMPLETED"
    return InDoubt("order_not_placed", page.reference) if is_completed else session.in_doubt("status", page.reference)


# --- orders -----------------------------------------------------------------------------------------


def outcome_of_order(attempt: AttemptRequest, order: Order) -> Outcome:
    """Return the outcome of a charge, an authorization, a capture or a void, by its order."""
    reference, authorized = order.order_id, order.original_order_amount
    if order.purchase_currency.upper() != attempt.money.currency:
        return InDoubt("another_currency", reference)
    if order.status not in _ORDER_STATUSES:
        return order.in_doubt("status", reference)
    if order.captured_amount:
        at = newest(capture.captured_at for capture in order.captures or ())
        return attempt.compared(Approved(reference, authorized=authorized, captured=order.captured_amount, at=at))
    if order.fraud_status not in _FRAUD_STATUSES:
        return order.in_doubt("fraud_status", reference)
    if order.fraud_status == "REJECTED":
        return _rejected(attempt, order)
    if order.status in _ENDED_ORDER:
        return Approved(reference, voided=True)
    if order.status != "AUTHORIZED":
        # Captured, and without a captured amount: the order contradicts itself.
        return InDoubt("captures_missing", reference)
    return _held(attempt, order) if attempt.verb.is_collecting else NotSent("not_executed")


def _rejected(attempt: AttemptRequest, order: Order) -> Outcome:
    """A charge is declined; an authorization that Klarna had accepted before has ended."""
    is_ended = order.status in _ENDED_ORDER
    if attempt.verb is Verb.VOID or (attempt.verb is Verb.CAPTURE and is_ended):
        return Approved(order.order_id, voided=True)
    return Declined(order.order_id, decline_by("klarna", "fraud_rejected"))


def _held(attempt: AttemptRequest, order: Order) -> Outcome:
    reference, remaining = order.order_id, order.remaining_authorized_amount
    if order.fraud_status == "PENDING":
        return Pending(reference)
    if attempt.verb is Verb.CHARGE and remaining == attempt.money.minor:
        return CustomerApproved(reference)
    expiry, at = order.expires_at, order.created_at
    return Approved(reference, authorized=remaining, authorization_expires_at=expiry, at=at)


def release_due(attempt: AttemptRequest, order: Order) -> str | None:
    """Return the call that releases money which must not stay held; None if there is no such money.

    It is what a partial capture of this attempt has left over, or the hold of an order that the fraud assessment has
    rejected. The worker that should have released it may have died."""
    if not order.holds_money:
        return None
    if attempt.verb is Verb.CAPTURE and _has_capture_of(attempt, order):
        return "release-remaining-authorization"
    return "cancel" if order.status == "AUTHORIZED" and order.fraud_status == "REJECTED" else None


def _has_capture_of(attempt: AttemptRequest, order: Order) -> bool:
    return any(capture.reference == attempt.attempt_id for capture in order.captures or ())


def shown_refunds(order: Order) -> list[ShownRefund]:
    """Return the refunds of an order, whoever made them. Klarna makes a refund at once."""
    return [ShownRefund(made.refund_id, made.outcome, made.reference) for made in order.refunds or ()]


def outcome_of_refund(attempt: AttemptRequest, order: Order) -> Outcome:
    """Return the outcome of a refund, which the order lists under the attempt's id or under Klarna's own id."""
    refunds = order.refunds or []
    for refund in refunds:
        if refund.refund_id == attempt.reference or refund.reference == attempt.attempt_id:
            if refund.refunded_amount != attempt.money.minor:
                return InDoubt("another_amount", refund.refund_id)
            return refund.outcome
    if sum(refund.refunded_amount for refund in refunds) != order.refunded_amount:
        return InDoubt("refunds_do_not_add_up", attempt.reference)
    return NotSent("not_created")


def exceeds_remaining(attempt: AttemptRequest, order: Order) -> bool:
    """Tell whether a refused capture or refund was for more money than the order has left."""
    if attempt.verb is Verb.REFUND:
        return 0 < order.captured_amount < attempt.money.minor + order.refunded_amount
    is_untouched = order.status == "AUTHORIZED" and order.fraud_status == "ACCEPTED" and not order.captured_amount
    return is_untouched and order.remaining_authorized_amount < attempt.money.minor
