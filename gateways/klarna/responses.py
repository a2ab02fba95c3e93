"""What Klarna's hosted pages and orders say about an attempt. Pure: reads answers, sends nothing.

A strange answer raises one of `gateways.json_api.MALFORMED`, and nothing is concluded from it. Sources: Klarna's Hosted
Payment Page API 1.1 and Order Management API v1, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from domain.decline import Decline, DeclineClass
from domain.outcome import ActionRequired, Approved, CustomerApproved, Declined, InDoubt, NotSent, Outcome, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest
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
    def created(cls, response: Any) -> HostedPage:
        """Read the answer that made the page."""
        page = cls(text(response["session_id"]), text(response["redirect_url"]))
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
        kind, _, api = reference.partition("/")
        id, _, url = api.partition("/")
        return cls(id, url) if kind == _PAGE and id else None

    @property
    def reference(self) -> str:
        """Return the reference that names it."""
        return f"{_PAGE}/{self.id}/{self.url}"

    @property
    def action(self) -> ActionRequired:
        """Return what the customer has to do."""
        return ActionRequired(self.reference, {"type": "redirect", "redirect_url": self.url})


def standing_of_page(attempt: AttemptRequest, page: HostedPage, response: Any) -> Outcome | str:
    """Return how a hosted page stands; once its customer has agreed, the id of the order that Klarna placed."""
    if text(response["session_id"]) != page.id:
        raise ValueError("another page")
    status = response["status"]
    if response.get("order_id"):
        return text(response["order_id"])
    if status in _CLOSED or (status in _FAILED and attempt.verb is Verb.VOID):
        return Approved(page.reference, voided=True)
    if status in _FAILED:
        return Declined(page.reference, Decline(f"page_{status.lower()}", DeclineClass.HARD))
    if status in _OPEN:
        return page.action if attempt.verb.is_collecting else NotSent("not_executed")
    return InDoubt("order_not_placed" if status == "COMPLETED" else "unknown_page_status", page.reference)


def standing_of_order(attempt: AttemptRequest, response: Any) -> Outcome:
    """Return how an order stands, for a charge, an authorization, a capture or a void."""
    reference, status, fraud = text(response["order_id"]), response["status"], response["fraud_status"]
    authorized, captured = _whole(response, "original_order_amount"), _whole(response, "captured_amount")
    if response["purchase_currency"].upper() != attempt.money.currency:
        return InDoubt("another_currency", reference)
    if attempt.verb.is_collecting and authorized != attempt.money.minor:
        return InDoubt("another_amount", reference)
    if captured:
        return Approved(reference, authorized=authorized, captured=captured)
    if fraud == "REJECTED":
        return _rejected(attempt, reference, is_ended=status in _ENDED)
    if status in _ENDED:
        return Approved(reference, voided=True)
    if status != "AUTHORIZED":
        return InDoubt("unknown_order_status", reference)
    if not attempt.verb.is_collecting:
        return NotSent("not_executed")
    return _held(attempt, reference, fraud, response)


def _rejected(attempt: AttemptRequest, reference: str, *, is_ended: bool) -> Outcome:
    """A charge is declined; an authorization that was good before has ended."""
    if attempt.verb is Verb.VOID or (attempt.verb is Verb.CAPTURE and is_ended):
        return Approved(reference, voided=True)
    return Declined(reference, Decline("fraud_rejected", DeclineClass.HARD))


def _held(attempt: AttemptRequest, reference: str, fraud: str, response: Any) -> Outcome:
    remaining = _whole(response, "remaining_authorized_amount")
    if fraud == "PENDING":
        return Pending(reference)
    if fraud != "ACCEPTED":
        return InDoubt("unknown_fraud_status", reference)
    if remaining != attempt.money.minor:
        return InDoubt("another_amount", reference)
    if attempt.verb is Verb.CHARGE:
        return CustomerApproved(reference)
    return Approved(reference, authorized=remaining, authorization_expires_at=_instant(response.get("expires_at")))


def holds_money(response: Any) -> bool:
    """Tell whether money of the customer is held that nobody has captured."""
    return response["status"] in ("AUTHORIZED", "PART_CAPTURED") and _whole(response, "remaining_authorized_amount") > 0


def is_captured_by(attempt: AttemptRequest, response: Any) -> bool:
    """Tell whether one of an order's captures is that of this attempt."""
    return any(_is_named(capture, attempt) for capture in response.get("captures") or ())


def standing_of_refund(attempt: AttemptRequest, response: Any) -> Outcome:
    """Return how a refund stands, by our attempt's id in the order's list, or by Klarna's own id."""
    refunds = response.get("refunds") or []
    given = sum(_whole(refund, "refunded_amount") for refund in refunds)
    for refund in refunds:
        id = text(refund["refund_id"])
        if id == attempt.reference or _is_named(refund, attempt):
            amount = _whole(refund, "refunded_amount")
            is_meant = amount == attempt.money.minor
            return Approved(id, refunded=amount) if is_meant else InDoubt("another_amount", id)
    if given != _whole(response, "refunded_amount"):
        return InDoubt("refunds_do_not_add_up", attempt.reference)
    return NotSent("not_created")


def is_above_what_is_left(attempt: AttemptRequest, response: Any) -> bool:
    """Tell whether a refused capture or refund asked for more than there is, which explains the refusal."""
    captured = _whole(response, "captured_amount")
    if attempt.verb is Verb.REFUND:
        return 0 < captured < attempt.money.minor + _whole(response, "refunded_amount")
    is_untouched = response["status"] == "AUTHORIZED" and response["fraud_status"] == "ACCEPTED" and not captured
    return is_untouched and _whole(response, "remaining_authorized_amount") < attempt.money.minor


def _is_named(part: Mapping[str, Any], attempt: AttemptRequest) -> bool:
    return bool(part.get("reference") == attempt.attempt_id)


def _whole(response: Any, name: str) -> int:
    value = response[name]
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
