"""Compares what we show with what happened at the providers: disputes, invoices, and the attention list. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Mapping

from stack.amounts import decimal_text, minor_units
from stack.client import Json
from stack.outside_operations import OutsideRefund

_TAKEN_BACK = ("reversal", "dispute", "dispute_return")
_OPEN_DISPUTE = ("needs_response", "under_review")

Reasons = dict[str, set[str]]


def disputes_by_payment(disputes: Iterable[Json], payments: Iterable[Json]) -> dict[str, list[Json]]:
    """Return the provider's disputes of each payment."""
    payment_of = {
        attempt["provider_reference"]: payment["id"] for payment in payments for attempt in payment["attempts"]
    }
    found: dict[str, list[Json]] = defaultdict(list)
    for dispute in disputes:
        found[payment_of.get(dispute["payment_intent"], "")].append(dispute)
    return found


def dispute_problem(payment: Json, disputes: Iterable[Json]) -> str | None:
    """Return a line if what banks have taken back differs from what the provider shows."""
    currency = payment["currency"]
    ours = -sum(minor_units(each["amount"], currency) for each in payment["movements"] if each["kind"] in _TAKEN_BACK)
    theirs = -sum(moved["net"] for dispute in disputes for moved in dispute["balance_transactions"])
    if ours == theirs:
        return None
    booked, shown = (decimal_text(minor, currency) for minor in (ours, theirs))
    return f"{payment['id']} ({payment['status']}): disputes have taken {booked} {currency}; the provider shows {shown}"


def invoice_problem(payment: Json, invoice: Json, captured: int, disputes: Iterable[Json]) -> str | None:
    """Return a line if the payment's invoice has collected other than the provider kept. `captured`: in its ledger."""
    lost = sum(dispute["amount"] for dispute in disputes if dispute["status"] == "lost")
    collected = minor_units(invoice["collected_amount"], payment["currency"])
    if collected == captured - lost:
        return None
    kept = decimal_text(captured - lost, payment["currency"])
    return f"{payment['id']} ({payment['status']}): its invoice has {invoice['collected_amount']}; the provider {kept}"


def is_overpaid(invoice: Json) -> bool:
    """Tell whether an invoice has collected more than was asked."""
    collected, asked = (minor_units(invoice[name], invoice["currency"]) for name in ("collected_amount", "amount"))
    return collected > asked


def was_captured_beside(payment: Json) -> bool:
    """Tell whether another amount was captured than our capture has asked for."""
    return any(
        attempt["verb"] == "capture" and attempt.get("code") == "other_amount" for attempt in payment["attempts"]
    )


def expected_entries(
    refunds: Iterable[OutsideRefund],
    disputes: Mapping[str, Iterable[Json]],
    mismatched: Iterable[str],
    *,
    kept: Container[str] = (),
    overpaid: Iterable[str] = (),
) -> tuple[Reasons, Reasons]:
    """Return the reasons for which each payment must stand on the attention list, and for which it may.

    A refund that failed before anybody saw it leaves no entry. `mismatched`: payments whose provider holds or took
    another amount than was asked. `kept`: those that have kept captured money; a dispute that one of them has lost took
    a part. `overpaid`: those whose invoice has collected more than was asked, one of which an entry names."""
    must: Reasons = defaultdict(set)
    may: Reasons = defaultdict(set)
    for refund in refunds:
        (may if refund.has_failed else must)[refund.payment_id].add("refund_elsewhere")
    for payment_id, shown in disputes.items():
        if payment_id in kept and any(dispute["status"] == "lost" for dispute in shown):
            must[payment_id].add("partly_lost")
        if any(dispute["status"] in _OPEN_DISPUTE for dispute in shown):
            must[payment_id].add("dispute")
    for payment_id in overpaid:
        may[payment_id].add("overpaid")
    for payment_id in mismatched:
        must[payment_id].add("amount_mismatch")
    return must, may


def unmatched_problems(entries: Iterable[Json], unused: Iterable[str]) -> list[str]:
    """Return a line if the attention list shows other money that fits no payment than the provider has unused."""
    listed = sorted(each["amount_at_stake"] for each in entries if each["closed_at"] is None and _is_unmatched(each))
    expected = sorted(unused)
    return [] if listed == expected else [f"money that fits no payment: listed {listed}; the provider shows {expected}"]


def _is_unmatched(entry: Json) -> bool:
    return bool(entry["reason"] == "unmatched_receipt")


def attention_problems(entries: Iterable[Json], must: Reasons, may: Reasons) -> list[str]:
    """Return a line for each entry that is missing from the attention list, and for each open one too many."""
    open_entries = [entry for entry in entries if entry["closed_at"] is None and not _is_unmatched(entry)]
    stands: Reasons = defaultdict(set)
    for entry in open_entries:
        stands[str(entry["payment_id"])].add(entry["reason"])
    times = Counter((str(entry["payment_id"]), entry["reason"], str(entry["data"])) for entry in open_entries)
    problems = [
        f"{about[0]} stands {n} times on the attention list as {about[1]}" for about, n in times.items() if n > 1
    ]
    for payment_id in sorted({*stands, *must}):
        missing = must.get(payment_id, set()) - stands[payment_id]
        unexpected = stands[payment_id] - must.get(payment_id, set()) - may.get(payment_id, set())
        problems += [f"{payment_id} is missing on the attention list: {reason}" for reason in sorted(missing)]
        problems += [
            f"{payment_id} stands on the attention list without need: {reason}" for reason in sorted(unexpected)
        ]
    return problems
