"""When a customer is asked to authenticate by 3-D Secure: because the score says so, or because the law does.

Commission Delegated Regulation (EU) 2018/389, articles 16 (low value) and 97 of Directive (EU) 2015/2366 (scope), which
the United Kingdom has kept; Reserve Bank of India, RBI/2019-20/21 and /2020-21/74 (additional factor)."""

from __future__ import annotations

from dataclasses import dataclass

from domain.fraud.rule_set import FraudDecision

_EEA = frozenset("AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK".split())
# Both sides must be in one of these: a payment that leaves them is out of scope.
_ZONES = (_EEA | {"GB"}, frozenset({"IN"}))
_INDIA = "IN"
# Article 16: less than 30 euros, and since the last authentication five payments and 100 euros at most.
_LOW_VALUE = 3_000
_LOW_VALUES_TOGETHER = 10_000
_MOST_LOW_VALUES = 5


@dataclass(frozen=True, slots=True)
class AuthenticationCase:
    """What the law asks of a payment. Amounts in hundredths of the base currency; None where they are not known.

    `card_country`, `merchant_country`: two letters. `tries`, `tried`: number and sum of the card's payments of a month,
    as many as may have been exempt before."""

    is_card: bool
    is_off_session: bool
    card_country: str | None
    merchant_country: str | None
    amount: int | None
    tries: int = 0
    tried: int = 0


# Of what is not scored.
NOT_ASKED = AuthenticationCase(False, True, None, None, None)


@dataclass(frozen=True, slots=True)
class Demand:
    """Whether authentication is asked for, and why, or why not. It is stored with the score."""

    is_wanted: bool
    reason: str


def demand_of(case: AuthenticationCase, decision: FraudDecision) -> Demand:
    """Return whether a customer is asked to authenticate. One who is away never is: if their issuer insists, the debt
    is dunned.

    >>> home = AuthenticationCase(True, False, "DE", "FR", amount=5_000)
    >>> demand_of(home, FraudDecision.APPROVE)
    Demand(is_wanted=True, reason='law')
    >>> demand_of(AuthenticationCase(True, False, "US", "FR", amount=5_000), FraudDecision.APPROVE).reason
    'out_of_scope'
    >>> demand_of(AuthenticationCase(True, False, "DE", "FR", amount=2_999), FraudDecision.APPROVE).reason
    'low_value'
    """
    if not case.is_card:
        return Demand(False, "no_card")
    if case.is_off_session:
        return Demand(False, "merchant_initiated")
    if decision is FraudDecision.VERIFY:
        return Demand(True, "score")
    if case.card_country is None or case.merchant_country is None:
        return Demand(False, "countries_unknown")
    if not any({case.card_country, case.merchant_country} <= zone for zone in _ZONES):
        return Demand(False, "out_of_scope")
    if case.card_country != _INDIA and _is_low_value(case):
        return Demand(False, "low_value")
    return Demand(True, "law")


def _is_low_value(case: AuthenticationCase) -> bool:
    is_low = case.amount is not None and case.amount < _LOW_VALUE
    return is_low and case.tries < _MOST_LOW_VALUES and case.tried + (case.amount or 0) <= _LOW_VALUES_TOGETHER
