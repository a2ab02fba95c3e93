"""Reads a decline: what its codes mean by the tables of `domain.declines`, and which codes no table has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from domain.declines import bank_debits, networks, other_providers, paypal, stripe
from domain.declines.classes import DeclineClass, DeclineReason, Table, merged

__all__ = ["Decline", "DeclineClass", "DeclineReason", "classify", "decline_by", "earliest_retry_after", "reason_by"]


@dataclass(frozen=True, slots=True)
class Decline:
    """A decline: the provider's codes exactly as they came, and our class of them.

    `reason`: why, where the codes were read by our tables. `network`: the card's or the debit's, in lower case."""

    code: str
    decline_class: DeclineClass
    decline_code: str | None = None
    advice_code: str | None = None
    network_advice_code: str | None = None
    network_decline_code: str | None = None
    reason: DeclineReason | None = field(default=None, compare=False)
    network: str | None = field(default=None, compare=False)

    @property
    def is_blocking(self) -> bool:
        """Whether the instrument is not charged again while the customer is away: it is dead, or the consent is
        withdrawn."""
        return self.decline_class is DeclineClass.CONSENT_WITHDRAWN or (self.reason is not None and self.reason.is_dead)

    @property
    def codes(self) -> dict[str, str | None]:
        """The codes by the names of their fields."""
        return {name: getattr(self, name) for name in FIELDS}


# The fields of a decline that hold codes; columns of an attempt have the same names.
FIELDS = ("code", "decline_code", "advice_code", "network_advice_code", "network_decline_code")
_NETWORK = merged(networks.CODES, bank_debits.CODES)
# What each provider writes into which field.
VOCABULARIES: Mapping[str, Mapping[str, Table]] = {
    "stripe": {
        "code": stripe.CODES,
        "decline_code": stripe.CODES,
        "advice_code": stripe.ADVICE,
        "network_advice_code": networks.ADVICE,
        "network_decline_code": _NETWORK,
    },
    "paypal": {
        "code": paypal.ISSUES,
        "decline_code": merged(paypal.RESPONSE_CODES, paypal.REASONS),
        "network_advice_code": networks.ADVICE,
    },
    "klarna": {"code": other_providers.KLARNA},
    "afterpay": {"code": other_providers.AFTERPAY},
    "coinbase": {"code": other_providers.COINBASE},
    "coinbase_commerce": {"code": other_providers.COINBASE},
}
_REASONS = list(DeclineReason)

# Codes with which the issuer or the provider suspects fraud: whoever holds the card is not reminded of anything.
_RISK = frozenset(
    code
    for fields in VOCABULARIES.values()
    for table in fields.values()
    for code, row in table.items()
    if row.reason is not None and row.reason.is_risk
)


def _table(provider: str, field_name: str, network: str | None) -> Table:
    if (provider, field_name, network) == ("paypal", "network_advice_code", networks.VISA):
        return {**networks.ADVICE, **networks.VISA_ADVICE}
    return VOCABULARIES.get(provider, {}).get(field_name, {})


def reason_by(
    provider: str, codes: Mapping[str, str | None], network: str | None = None, *more: DeclineReason | None
) -> DeclineReason:
    """Return the gravest reason that any of a provider's codes gives. `codes`: by the names of FIELDS. `more`: reasons
    that are known besides. Unknown where no table has any of the codes; the bank's own where no code says anything.

    >>> reason_by("stripe", {"code": "card_declined", "decline_code": "insufficient_funds"}).value
    'funds'
    >>> [reason_by("paypal", {"network_advice_code": "02"}, network).value for network in ("visa", "mastercard")]
    ['stopped', 'bank']
    >>> reason_by("stripe", {"code": "card_declined", "decline_code": "of_tomorrow"}).value
    'unknown'
    """
    given = {name: code for name, code in codes.items() if code}
    found = [_table(provider, name, network).get(code) for name, code in given.items()]
    reasons = [row.reason for row in found if row is not None and row.reason is not None]
    reasons += [reason for reason in more if reason is not None]
    fallback = DeclineReason.UNKNOWN if None in found else DeclineReason.BANK
    return max(reasons, key=_REASONS.index, default=fallback)


def unknown_codes(provider: str, codes: Mapping[str, str | None], network: str | None = None) -> list[tuple[str, str]]:
    """Return the codes that no table of the provider has, each with its field, in the order of their names.

    >>> unknown_codes("stripe", {"code": "card_declined", "decline_code": "of_tomorrow", "advice_code": None})
    [('decline_code', 'of_tomorrow')]
    """
    return sorted((name, code) for name, code in codes.items() if code and code not in _table(provider, name, network))


def decline_by(
    provider: str,
    code: str,
    *,
    decline_code: str | None = None,
    advice_code: str | None = None,
    network_advice_code: str | None = None,
    network_decline_code: str | None = None,
    network: str | None = None,
    also: DeclineReason | None = None,
) -> Decline:
    """Return the decline that a provider shows with these codes. `also`: a reason that it shows besides."""
    given = (code, decline_code, advice_code, network_advice_code, network_decline_code)
    reason = reason_by(provider, dict(zip(FIELDS, given, strict=True)), network, also)
    return Decline(code, reason.decline_class, *given[1:], reason=reason, network=network)


def classify(
    code: str,
    decline_code: str | None = None,
    advice_code: str | None = None,
    network_advice_code: str | None = None,
    network_decline_code: str | None = None,
) -> DeclineClass:
    """Return the strictest class that any of Stripe's codes asks for, so that no card is retried against advice.

    >>> classify("card_declined", "insufficient_funds").value
    'soft'
    >>> classify("card_declined", "generic_decline", "do_not_try_again").value
    'hard'
    >>> [classify("card_declined", None, None, None, code).value for code in ("5C", "9G", "12", "91")]
    ['hard', 'consent_withdrawn', 'soft', 'technical']
    """
    codes = (code, decline_code, advice_code, network_advice_code, network_decline_code)
    return reason_by("stripe", dict(zip(FIELDS, codes, strict=True))).decline_class


def earliest_retry_after(decline: Decline) -> timedelta | None:
    """Return how long the network wants us to wait before a retry; None where it says nothing. Visa gives no such
    advice: its codes of the same numbers stop payments.

    >>> earliest_retry_after(Decline("card_declined", DeclineClass.SOFT, network_advice_code="30")).days
    10
    """
    if decline.network == networks.VISA:
        return None
    return networks.WAITS.get(decline.network_advice_code or "")


def is_risk(code: str) -> bool:
    """Tell whether a decline was about fraud, so that its customer gets no mail.

    >>> is_risk("fraudulent"), is_risk("lost_card")
    (True, False)
    """
    return code in _RISK
