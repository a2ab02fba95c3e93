"""The demo's report: the table, the problems, the JSON summary."""

from __future__ import annotations

from stack.client import Json
from stack.demo_cases import Case
from stack.demo_dunning import Debt
from stack.reconciliation import our_totals, provider_totals, unknown_objects

ROW = "{:<34}{:>13}  {:<18}{:<19}{:>8}  {:<10}{}"
DEBT_ROW = "{:<28}{:<11}{:>5}  {:<8}{}"


def table(cases: list[Case], totals: list[Json]) -> str:
    """Return the table, one line for each payment. `totals` are the totals in the provider's ledger."""
    lines = [ROW.format("case", "amount", "provider", "status", "attempts", "ledger", "payment")]
    for case in cases:
        payment = case.payment
        amount = f"{payment['amount']} {payment['currency']}"
        result = "equal" if is_equal(case, totals) else "DIFFERENT"
        attempts = len(payment["attempts"])
        lines.append(ROW.format(case.title, amount, payment["provider"], payment["status"], attempts, result, case.id))
    return "\n".join(lines)


def is_equal(case: Case, totals: list[Json]) -> bool:
    """Tell whether the provider's totals are ours. No provider knows a payment that an operator recorded by hand."""
    return case.payment["provider"] == "manual" or our_totals(case.payment) == provider_totals(totals, case.payment)


def find_problems(cases: list[Case], totals: list[Json]) -> list[str]:
    """Return a line for each payment with an unexpected status and each difference from the ledger."""
    problems = [case.problem for case in cases if case.problem]
    for case in cases:
        if not is_equal(case, totals):
            ours, theirs = our_totals(case.payment), provider_totals(totals, case.payment)
            problems.append(f"{case.title}: our totals are {ours}; the provider's are {theirs}")
    return problems + [f"the provider's {name} belongs to none of our payments" for name in _unknown(cases, totals)]


def summary(cases: list[Case], totals: list[Json], attention: list[Json], seconds: float) -> Json:
    """Return the content of the file that `--json` writes."""
    return {
        "payments": [_summary_line(case.payment) for case in cases],
        "attention": [
            {name: entry[name] for name in ("id", "reason", "payment_id", "closed_at", "resolution")}
            for entry in attention
        ],
        "books_equal": all(is_equal(case, totals) for case in cases) and not _unknown(cases, totals),
        "seconds": seconds,
    }


def debt_table(owed: list[Debt]) -> str:
    """Return how each debt has ended, with the mails that its customer got."""
    lines = [DEBT_ROW.format("debt", "case", "tries", "ended", "mails")]
    for debt in owed:
        end = "open" if debt.resolved_on_day is None else f"day {debt.resolved_on_day}"
        row = debt.case.title, debt.dunning["status"], debt.dunning["tries"], end, ", ".join(debt.mails)
        lines.append(DEBT_ROW.format(*row))
    return "\n".join(lines)


def dunning_summary(owed: list[Debt], mails: list[Json]) -> Json:
    """Return what the file that `--json` writes says of debts, and every mail that was sent."""
    shown = ("to", "date", "subject", "text")
    return {
        "dunning": [debt.summary() for debt in owed],
        "mails": [{name: mail[name] for name in shown} for mail in mails],
    }


def _unknown(cases: list[Case], totals: list[Json]) -> list[str]:
    return unknown_objects(totals, {case.id for case in cases})


def _summary_line(payment: Json) -> Json:
    return {
        "id": payment["id"],
        "method": payment["payment_method"],
        "provider": payment["provider"],
        "status": payment["status"],
        "amount": payment["amount"],
        "currency": payment["currency"],
        "attempts": len(payment["attempts"]),
    }
