"""How often one card or account may be tried: the networks' limits as dated data, and whether one more try keeps them.

A card's try counts if it was declined or may still be, whoever wanted it, the customer included. What was approved does
not count: the networks limit declines and their repetition. A debit's try counts whatever became of it, because money
that was collected comes back when the debit is returned, and the first presentment counts as well."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from domain.decline import DeclineClass
from domain.declines import bank_debits, networks
from domain.instrument import KnownInstrument

_DAY, _MONTH = timedelta(days=1), timedelta(days=30)
# Visa's limit of one transaction in 30 days until May 2025; some acquirers still bill by it. 20 since then.
VISA_CAP, VISA_CAP_SINCE_MAY_2025 = 15, 20
# How far back any limit looks.
LONGEST_WINDOW = timedelta(days=180)


class Scope(StrEnum):
    """Which tries of an instrument a limit counts together."""

    CARD = "card"
    CARD_AND_AMOUNT = "card_and_amount"
    DEBT = "debt"


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `most` tries in any window of that length. `rule`: its name in events. `source`: where it stands."""

    rule: str
    network: str
    most: int
    window: timedelta
    scope: Scope
    source: str
    read_on: str


CAPS = (
    Cap(
        "mastercard_24_hours",
        networks.MASTERCARD,
        10,
        _DAY,
        Scope.CARD,
        "Mastercard Transaction Processing Excellence: retries.com guide, developers.tabapay.com",
        "2026-11-23",
    ),
    Cap(
        "mastercard_30_days",
        networks.MASTERCARD,
        35,
        _MONTH,
        Scope.CARD_AND_AMOUNT,
        "Mastercard Transaction Processing Excellence: Braintree network updates, developers.tabapay.com",
        "2026-11-23",
    ),
    # A debit and its two re-presentments.
    Cap(
        "ach_2_re_presentments",
        bank_debits.ACH_NETWORK,
        3,
        LONGEST_WINDOW,
        Scope.DEBT,
        "Nacha rules, reinitiated entries: bankfivenine.com, legalclarity.org",
        "2026-11-28",
    ),
    Cap(
        "bacs_2_re_presentments",
        bank_debits.BACS_NETWORK,
        3,
        LONGEST_WINDOW,
        Scope.DEBT,
        "Bacs, unpaid debits: movimo.co.uk, cleardirectdebit.co.uk; the number is ours",
        "2026-11-28",
    ),
    Cap(
        "sepa_2_re_presentments",
        bank_debits.SEPA_NETWORK,
        3,
        LONGEST_WINDOW,
        Scope.DEBT,
        "no figure of the SEPA scheme was found; the number is ours",
        "2026-11-28",
    ),
)
_KNOWN = {network: tuple(cap for cap in CAPS if cap.network == network) for network in {cap.network for cap in CAPS}}


@dataclass(frozen=True, slots=True)
class Try:
    """One try of an instrument. `at`: when it was decided, or now while it is not. `amount`: in minor units.
    `debt`: names the invoice that it was to pay."""

    at: datetime
    amount: int
    currency: str
    debt: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a try is not made. `code`: the rule, or the word for a blocked instrument. `until`: when the rule allows a
    try again; None: never for this debt. `decline_class`: what the refusal means for the debt."""

    code: str
    source: str
    until: datetime | None = None
    decline_class: DeclineClass = DeclineClass.HARD


def caps_of(network: str, visa_cap: int) -> tuple[Cap, ...]:
    """Return the limits of a network. Networks of cards that publish none, such as American Express, have Visa's.

    >>> [(cap.rule, cap.most) for cap in caps_of("visa", 15)], [cap.rule for cap in caps_of("amex", 15)]
    ([('visa_30_days', 15)], ['visa_30_days_for_amex'])
    """
    if network in _KNOWN:
        return _KNOWN[network]
    rule = "visa_30_days" if network == networks.VISA else f"visa_30_days_for_{network}"
    source = "Visa's limit of retries: PayPal on excessive retries (15), checkout.com notice of 2026 (20)"
    return (Cap(rule, network, visa_cap, _MONTH, Scope.CARD_AND_AMOUNT, source, "2026-11-23"),)


def refusal_of(
    known: KnownInstrument, made: Iterable[Try], next_try: Try, visa_cap: int, *, is_off_session: bool
) -> Refusal | None:
    """Return why the next try of an instrument is not made; None if it may be. `made`: its tries within
    LONGEST_WINDOW, in any order. Of several limits, the one that lasts longest.

    >>> from datetime import UTC
    >>> now = datetime(2026, 11, 28, tzinfo=UTC)
    >>> made = [Try(now - timedelta(hours=hours), 1230, "EUR", "inv") for hours in range(10)]
    >>> refused = refusal_of(KnownInstrument("f", "mastercard"), made, made[0], 15, is_off_session=True)
    >>> refused.code, refused.until - now
    ('mastercard_24_hours', datetime.timedelta(seconds=54000))
    """
    if is_off_session and known.blocked_as is not None:
        return blocked(known.blocked_as)
    tries = list(made)
    caps = caps_of(known.network, visa_cap) if known.network is not None else ()
    refusals = [refused for cap in caps if (refused := _refused_by(cap, tries, next_try)) is not None]
    return max(refusals, key=_lasts, default=None)


def blocked(as_class: DeclineClass) -> Refusal:
    """Return the refusal of an instrument that is not charged any more while its customer is away.

    >>> blocked(DeclineClass.CONSENT_WITHDRAWN).code, blocked(DeclineClass.HARD).code
    ('consent_withdrawn', 'instrument_dead')
    """
    is_withdrawn = as_class is DeclineClass.CONSENT_WITHDRAWN
    code = "consent_withdrawn" if is_withdrawn else "instrument_dead"
    return Refusal(code, "an earlier decline of this instrument", decline_class=as_class)


def advice_on_blocked(as_class: DeclineClass) -> str:
    """Return what an application reads that asks for such a charge."""
    if as_class is DeclineClass.CONSENT_WITHDRAWN:
        return (
            "the customer has withdrawn their consent for this payment method; let them choose or save another one, or "
            "pay with off_session: false"
        )
    return (
        "an earlier payment has shown that this payment method is dead, and it is not tried again; let the customer "
        "choose another one, or pay with off_session: false"
    )


def _refused_by(cap: Cap, made: list[Try], next_try: Try) -> Refusal | None:
    counted = sorted(each.at for each in made if _counts(cap, each, next_try) and each.at > next_try.at - cap.window)
    if len(counted) < cap.most:
        return None
    # A debt whose presentments are used up gets no more of them, however long it waits.
    until = None if cap.scope is Scope.DEBT else counted[-cap.most] + cap.window
    return Refusal(cap.rule, f"{cap.source}, read {cap.read_on}", until)


def _counts(cap: Cap, made: Try, next_try: Try) -> bool:
    match cap.scope:
        case Scope.CARD:
            return True
        case Scope.CARD_AND_AMOUNT:
            return (made.amount, made.currency) == (next_try.amount, next_try.currency)
        case Scope.DEBT:
            return made.debt == next_try.debt


def _lasts(refusal: Refusal) -> tuple[bool, float]:
    return refusal.until is None, refusal.until.timestamp() if refusal.until is not None else 0
