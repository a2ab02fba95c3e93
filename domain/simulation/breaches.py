"""Audits the tries of a history against the rules about trying again, each named with its source.

It looks at what was tried and what came back, and asks no code that decides about tries: a decision that breaks a rule
is seen here."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from domain.decline import DeclineClass, DeclineReason, earliest_retry_after
from domain.declines.bank_debits import NETWORKS as DEBIT_NETWORKS
from domain.declines.caps import Cap, Scope, caps_of
from domain.dunning.case import TryCause
from domain.simulation.play import History, Tried

# Two tries of the plan; the hours of a technical decline are another thing.
_LEAST_GAP = timedelta(hours=20)


class Rule(NamedTuple):
    """A rule about trying again. `source`: where it stands."""

    name: str
    source: str


CONSENT_WITHDRAWN = Rule(
    "consent_withdrawn",
    "Mastercard advice codes 03 and 21, Visa R0 R1 R3: developers.tabapay.com, docs.evolve.com; Nacha R07; SEPA MD01",
)
DEAD_INSTRUMENT = Rule(
    "dead_instrument",
    "Visa category 1, the issuer will never approve: docs.evolve.com, developers.tabapay.com; Nacha R02 R03 R04",
)
REFUSED = Rule("refused_for_good", "Mastercard advice codes 05 22 42: docs.payzu.com.br, docs.antom.com")
NEEDS_CUSTOMER = Rule(
    "needs_customer",
    "Visa category 3, only after the data are corrected; 1A, only with the customer: docs.evolve.com",
)
WAIT_ADVICE = Rule("wait_advice", "Mastercard advice codes 02 and 24 to 30: developers.tabapay.com, Everonet")
UNKNOWN_CODE = Rule("unknown_code_2_retries", "Cybersource: no retry without a code; that two are allowed is ours")
BANK_DECLINE = Rule("bank_decline_4_retries", "acquirers' notices on Visa category 4: 4 to 8 tries; 4 is ours")
LEAST_GAP = Rule("tries_20_hours_apart", "acquirers' notices: a soft decline once a day; 20 hours are ours")
# Which rule a further try breaks after a decline of this class.
_OF_CLASS = {
    DeclineClass.CONSENT_WITHDRAWN: CONSENT_WITHDRAWN,
    DeclineClass.HARD: REFUSED,
    DeclineClass.NEEDS_CUSTOMER: NEEDS_CUSTOMER,
}
_MOST_AFTER = {DeclineReason.UNKNOWN: (UNKNOWN_CODE, 2), DeclineReason.BANK: (BANK_DECLINE, 4)}


class Breach(NamedTuple):
    """A try that breaks a rule. `is_collecting`: it was approved all the same."""

    rule: Rule
    at: datetime
    is_collecting: bool


def breaches_of(history: History, visa_cap: int) -> list[Breach]:
    """Return every rule that a try of the history breaks, in the order of the tries. `visa_cap`: as configured."""
    network = history.customer.failure.network
    caps = caps_of(network, visa_cap)
    found: list[Breach] = []
    for number, tried in enumerate(history.tries):
        before = [each for each in history.tries[:number] if each.fingerprint == tried.fingerprint]
        broken = dict.fromkeys([*_broken_by(tried, before), *_exceeded_by(tried, before, caps, network)])
        found += [Breach(rule, tried.sent_at, tried.decline is None) for rule in broken]
    return found


def _broken_by(tried: Tried, before: list[Tried]) -> Iterator[Rule]:
    for each in before:
        if each.decline is not None and each.decline.decline_class in _OF_CLASS:
            is_dead = each.decline.reason is not None and each.decline.reason.is_dead
            is_of_consent = each.decline.decline_class is DeclineClass.CONSENT_WITHDRAWN
            yield DEAD_INSTRUMENT if is_dead and not is_of_consent else _OF_CLASS[each.decline.decline_class]
    last = before[-1] if before else None
    if last is None or last.decline is None:
        return
    if tried.sent_at < last.at + (earliest_retry_after(last.decline) or timedelta()):
        yield WAIT_ADVICE
    is_technical = last.decline.decline_class is DeclineClass.TECHNICAL
    if tried.cause is TryCause.DUNNING and not is_technical and tried.sent_at < last.at + _LEAST_GAP:
        yield LEAST_GAP
    rule, most = _MOST_AFTER.get(last.decline.reason or DeclineReason.FUNDS, (None, 0))
    # The first charge is no retry.
    if rule is not None and len(before) > most:
        yield rule


def _exceeded_by(tried: Tried, before: list[Tried], caps: tuple[Cap, ...], network: str) -> Iterator[Rule]:
    """Yield the limits that the try exceeds. There is one debt with one amount, so that every scope counts the same."""
    for cap in caps:
        is_debit = network in DEBIT_NETWORKS or cap.scope is Scope.DEBT
        counted = [each for each in before if is_debit or each.decline is not None]
        within = [each for each in counted if each.at > tried.sent_at - cap.window]
        if len(within) >= cap.most:
            yield Rule(cap.rule, cap.source)
