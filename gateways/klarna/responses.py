"""What Klarna's hosted pages and orders say about an attempt. Pure: reads answers, sends nothing.

A strange answer raises one of `gateways.json_api.MALFORMED`, and nothing is concluded from it. Sources: Klarna's Hosted
Payment Page API 1.1 and Order Management API v1, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Outcome, Pending, Ready
from domain.payment import Verb
from gateways.base import Order
from gateways.json_api import text

# The longest reference that can be stored.
_LONGEST_REFERENCE = 255
_PAGE = "hpp"
_OPEN = frozenset({"WAITING", "IN_PROGRESS", "MANUAL_ID_CHECK", "BACK"})
_CLOSED = frozenset({"CANCELLED", "DISABLED"})
_FAILED = frozenset({"FAILED", "ERROR"})
_ENDED = frozenset({"CANCELLED", "EXPIRED", "CLOSED"})


@dataclass(frozen=True, slots=True)
class HostedPage:
    """The page on which a customer agrees: an attempt's reference until there is an order.

    Klarna tells its address once, when the page is made; so the reference carries it."""

    id: str
    url: str

    @classmethod
    def created(cls, answer: Any) -> HostedPage:
        """Read the answer that made the page."""
        page = cls(text(answer["session_id"]), text(answer["redirect_url"]))
        if not page.url.startswith(("https://", "http://")) or "/" in page.id:
            raise ValueError("no hosted page")
        if len(page.reference) > _LONGEST_REFERENCE:
            raise ValueError("the page's address is too long to be kept")
        return page

    @classmethod
    def of(cls, reference: str) -> HostedPage | None:
        """Return the page that a reference names; None for the id of an order.

        >>> HostedPage.of("hpp/1/https://pay.example/1").url
        'https://pay.example/1'
        >>> HostedPage.of("f3392f8b-6116-4073-ab96-e330819e2c07") is None
        True
        """
        kind, _, rest = reference.partition("/")
        id, _, url = rest.partition("/")
        return cls(id, url) if kind == _PAGE and id else None

    @property
    def reference(self) -> str:
        """Return the reference that names it."""
        return f"{_PAGE}/{self.id}/{self.url}"

    @property
    def action(self) -> ActionRequired:
        """Return what the customer has to do."""
        return ActionRequired(self.reference, {"type": "redirect", "redirect_url": self.url})


def standing_of_page(order: Order, page: HostedPage, answer: Any) -> Outcome | str:
    """Return how a hosted page stands; once its customer has agreed, the id of the order that Klarna placed."""
    if text(answer["session_id"]) != page.id:
        raise ValueError("another page")
    status = answer["status"]
    if answer.get("order_id"):
        return text(answer["order_id"])
    if status in _CLOSED or (status in _FAILED and order.verb is Verb.VOID):
        return Approved(page.reference, voided=True)
    if status in _FAILED:
        return Declined(page.reference, Decline(f"page_{status.lower()}", DeclineClass.HARD))
    if status in _OPEN:
        return page.action if order.verb.is_collecting else NotSent("not_executed")
    return InDoubt("order_not_placed" if status == "COMPLETED" else "unknown_page_status", page.reference)


def standing_of_order(order: Order, answer: Any) -> Outcome:
    """Return how an order stands, for a charge, an authorization, a capture or a void."""
    reference, status, fraud = text(answer["order_id"]), answer["status"], answer["fraud_status"]
    authorized, captured = _whole(answer, "original_order_amount"), _whole(answer, "captured_amount")
    if answer["purchase_currency"].upper() != order.money.currency:
        return InDoubt("another_currency", reference)
    if order.verb.is_collecting and authorized != order.money.minor:
        return InDoubt("another_amount", reference)
    if captured:
        return Approved(reference, authorized=authorized, captured=captured)
    if fraud == "REJECTED":
        return _rejected(order, reference, is_ended=status in _ENDED)
    if status in _ENDED:
        return Approved(reference, voided=True)
    if status != "AUTHORIZED":
        return InDoubt("unknown_order_status", reference)
    if not order.verb.is_collecting:
        return NotSent("not_executed")
    return _held(order, reference, fraud, answer)


def _rejected(order: Order, reference: str, *, is_ended: bool) -> Outcome:
    """A charge is declined; an authorization that was good before has ended."""
    if order.verb is Verb.VOID or (order.verb is Verb.CAPTURE and is_ended):
        return Approved(reference, voided=True)
    return Declined(reference, Decline("fraud_rejected", DeclineClass.HARD))


def _held(order: Order, reference: str, fraud: str, answer: Any) -> Outcome:
    remaining = _whole(answer, "remaining_authorized_amount")
    if fraud == "PENDING":
        return Pending(reference)
    if fraud != "ACCEPTED":
        return InDoubt("unknown_fraud_status", reference)
    if remaining != order.money.minor:
        return InDoubt("another_amount", reference)
    if order.verb is Verb.CHARGE:
        return Ready(reference)
    return Approved(reference, authorized=remaining, authorization_expires_at=_instant(answer.get("expires_at")))


def holds_money(answer: Any) -> bool:
    """Tell whether money of the customer is held that nobody has captured."""
    return answer["status"] in ("AUTHORIZED", "PART_CAPTURED") and _whole(answer, "remaining_authorized_amount") > 0


def is_captured_by(order: Order, answer: Any) -> bool:
    """Tell whether one of an order's captures is that of this attempt."""
    return any(_is_named(capture, order) for capture in answer.get("captures") or ())


def standing_of_refund(order: Order, answer: Any) -> Outcome:
    """Return how a refund stands, by our attempt's id in the order's list, or by Klarna's own id."""
    refunds = answer.get("refunds") or []
    given = sum(_whole(refund, "refunded_amount") for refund in refunds)
    for refund in refunds:
        id = text(refund["refund_id"])
        if id == order.reference or _is_named(refund, order):
            amount = _whole(refund, "refunded_amount")
            is_meant = amount == order.money.minor
            return Approved(id, refunded=amount) if is_meant else InDoubt("another_amount", id)
    if given != _whole(answer, "refunded_amount"):
        return InDoubt("refunds_do_not_add_up", order.reference)
    return NotSent("not_created")


def is_above_what_is_left(order: Order, answer: Any) -> bool:
    """Tell whether a refused capture or refund asked for more than there is, which explains the refusal."""
    captured = _whole(answer, "captured_amount")
    if order.verb is Verb.REFUND:
        return 0 < captured < order.money.minor + _whole(answer, "refunded_amount")
    is_untouched = answer["status"] == "AUTHORIZED" and answer["fraud_status"] == "ACCEPTED" and not captured
    return is_untouched and _whole(answer, "remaining_authorized_amount") < order.money.minor


def _is_named(part: Mapping[str, Any], order: Order) -> bool:
    return bool(part.get("reference") == order.attempt_id)


def _whole(answer: Any, name: str) -> int:
    value = answer[name]
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError("no amount")
    return value


def _instant(given: str | None) -> datetime | None:
    """Read an ISO 8601 instant.

    >>> _instant("2015-12-04T10:26:06.000Z").isoformat()
    '2015-12-04T10:26:06+00:00'
    """
    if given is None:
        return None
    instant = datetime.fromisoformat(given)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
