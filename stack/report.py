"""How the demo's payments are shown and judged: the table, the differences, the JSON summary."""

from __future__ import annotations

from stack.books import our_sums, provider_sums, strangers
from stack.client import Json
from stack.scenario import Case

ROW = "{:<28}{:>13}  {:<18}{:<19}{:>5}  {:<6}{}"


def print_table(cases: list[Case], books: list[Json]) -> None:
    """Print one line a payment."""
    print("\n" + ROW.format("case", "amount", "provider", "at rest", "tries", "books", "payment"))
    for case in cases:
        payment = case.payment
        amount = f"{payment['amount']} {payment['currency']}"
        judged = "equal" if is_equal(case, books) else "WRONG"
        print(
            ROW.format(
                *(case.title, amount, payment["provider"], payment["status"], len(payment["attempts"])),
                *(judged, payment["id"]),
            )
        )


def is_equal(case: Case, books: list[Json]) -> bool:
    """Tell whether the provider moved exactly what we say; of what a person records no provider knows."""
    return case.payment["provider"] == "manual" or our_sums(case.payment) == provider_sums(books, case.id)


def find_problems(cases: list[Case], books: list[Json]) -> list[str]:
    """Return a line for each payment at a wrong rest and each difference between the books."""
    problems = [case.problem for case in cases if case.problem]
    for case in cases:
        if not is_equal(case, books):
            ours, theirs = our_sums(case.payment), provider_sums(books, case.id)
            problems.append(f"{case.title}: we say {ours}, the provider's books say {theirs}")
    return problems + [f"the provider's {name} belongs to none of our payments" for name in unknown(cases, books)]


def unknown(cases: list[Case], books: list[Json]) -> list[str]:
    """Return the provider's charges that belong to no case."""
    return strangers(books, {case.id for case in cases})


def summary(cases: list[Case], books: list[Json], seconds: float) -> Json:
    """Return what `--json` writes."""
    return {
        "payments": [summary_line(case.payment) for case in cases],
        "books_equal": all(is_equal(case, books) for case in cases) and not unknown(cases, books),
        "seconds": seconds,
    }


def summary_line(payment: Json) -> Json:
    """Return one payment of the summary; `attempts` is their number."""
    return {
        "id": payment["id"],
        "method": payment["payment_method"],
        "provider": payment["provider"],
        "status": payment["status"],
        "amount": payment["amount"],
        "currency": payment["currency"],
        "attempts": len(payment["attempts"]),
    }
