"""After operations at the providers that no webhook told of: one comparison, after which everything must agree."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from stack.amounts import decimal_text
from stack.client import Json
from stack.outside_checks import (
    attention_problems,
    dispute_problem,
    disputes_by_payment,
    expected_entries,
    invoice_problem,
    is_overpaid,
    unmatched_problems,
    was_captured_beside,
)
from stack.outside_operations import OutsideOperations
from stack.process import ProcessError, wait_until
from stack.progress import Progress
from stack.random_customers import Simulation
from stack.reconciliation import provider_totals
from stack.stack import Stack

# Captured money is left.
_KEPT = ("captured", "partially_refunded")
# Past the look-ups of what waits for a bank or a customer, at the age of 1 and 10 minutes and one hour.
LOOK_UP_HOURS = 2
# How long the look-ups that a comparison leads to may take.
SETTLE_SECONDS = 90


def compare_once(stack: Stack, progress: Progress, problems: Callable[[], list[str]]) -> None:
    """Compare once, and wait until no problem is left, if that is soon."""
    progress.show("comparing once with the providers")
    yesterday = datetime.now(UTC) - timedelta(days=1)
    output = stack.command("compare", "--since", yesterday.strftime("%Y-%m-%d"))
    progress.print("\n".join(line for line in output.splitlines() if not line.startswith("  ")))
    progress.show("waiting for the look-ups that the comparison has led to")
    wait_until(lambda: not problems(), SETTLE_SECONDS, 5)


def ledger_problems(stack: Stack) -> list[str]:
    """Return what `payments ledger verify` finds."""
    try:
        stack.command("ledger", "verify")
    except ProcessError as error:
        return str(error).splitlines()
    return []


def outside_problems(
    simulation: Simulation, outside: OutsideOperations, payments: list[Json], totals: list[Json]
) -> list[str]:
    """Return a line for each dispute, invoice or attention entry that is not as what happened at the providers."""
    disputes = disputes_by_payment([*simulation.provider.disputes(), *outside.disputes], payments)
    problems: list[str | None] = []
    overpaid: list[str] = []
    for payment in payments:
        problems.append(dispute_problem(payment, disputes.get(payment["id"], [])))
        if payment["provider"] != "manual":
            captured = provider_totals(totals, payment).captured
            invoice = simulation.merchant.invoice(payment["invoice_id"])
            problems.append(invoice_problem(payment, invoice, captured, disputes.get(payment["id"], [])))
            overpaid += [payment["id"]] if is_overpaid(invoice) else []
    unresolved = [row["metadata"]["payment_id"] for row in totals if row["status"] == "UNRESOLVED"]
    beside = [payment["id"] for payment in payments if was_captured_beside(payment)]
    kept = {payment["id"] for payment in payments if payment["status"] in _KEPT}
    must, may = expected_entries(outside.refunds, disputes, [*unresolved, *beside], kept=kept, overpaid=overpaid)
    entries = simulation.operator.attention()
    found = attention_problems(entries, must, may) + unmatched_problems(entries, unused_cash(simulation, payments))
    return [problem for problem in problems if problem] + found


def unused_cash(simulation: Simulation, payments: list[Json]) -> list[str]:
    """Return the amounts that customers have transferred and no payment has used."""
    transferred = (each for each in payments if each["payment_method"] == "bank_transfer" and is_known_there(each))
    left = ((each["currency"], simulation.provider.unused_cash(each)) for each in transferred)
    return [decimal_text(minor, currency) for currency, minor in left if minor]


def is_known_there(payment: Json) -> bool:
    """Tell whether the provider has an object of a payment."""
    return payment["attempts"][0]["provider_reference"] is not None
