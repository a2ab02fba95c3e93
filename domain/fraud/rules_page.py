"""Writes docs/fraud-rules.md: every rule, when it fires, and the points that the shipped rule set gives it.

`python -m domain.fraud.rules_page > docs/fraud-rules.md` writes the page. A test keeps it up to date."""

from __future__ import annotations

import sys

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.rule_set import Curve
from domain.fraud.rules import RULES

_PAGE = """# Fraud rules

Derived from `domain/fraud/rules/` and `domain/fraud/default_rules.py` by
`python -m domain.fraud.rules_page > docs/fraud-rules.md`. A rule is a pure function from what is known of a payment to
a whole number. It has no points of its own: a rule set gives them in steps, "5: +30" meaning 30 points from 5 on. What
is not known adds nothing. *Late* rules read what comes with the provider's response. How scores are used, and how an
operator changes points, stands in [fraud and dunning](fraud-and-dunning.md#fraud-score).

| rule | what an operator reads | points as shipped |
|---|---|---|
{rows}
"""


def page() -> str:
    """Return the page."""
    rows = (
        f"| `{name}`{' (late)' if rule.is_late else ''} | {rule.sentence.replace('{value}', 'N')} | {_points(name)} |"
        for name, rule in sorted(RULES.items())
    )
    return _PAGE.format(rows="\n".join(rows))


def _points(name: str) -> str:
    curve = DEFAULT_RULES.curves.get(name)
    return steps_of(curve) if curve is not None else "none"


def steps_of(curve: Curve) -> str:
    """Return the steps of a curve in words.

    >>> steps_of(Curve((3, 10), (-5, -10)))
    '3: -5, 10: -10'
    """
    return ", ".join(f"{bound}: {points:+d}" for bound, points in zip(curve.bounds, curve.steps, strict=True))


if __name__ == "__main__":
    sys.stdout.write(page())
