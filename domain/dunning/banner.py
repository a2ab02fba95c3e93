"""What an application shows its customer about a subscription whose payment is open: one short text in their language.

Of the decline it says what mails and pay page say, and nothing more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import tzinfo
from enum import StrEnum

from domain.declines.classes import DeclineReason
from domain.declines.wording import sentence
from domain.dunning.access import Access, AccessReason, Entitlement
from domain.dunning.case import CaseState
from domain.payment import DunningCase
from domain.wording import day_text


class Severity(StrEnum):
    """How much a banner asks for attention. Critical: access is gone, or ends on a day that is known."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Banner:
    """What an application may show as it is."""

    severity: Severity
    language: str
    text: str


_TEXTS: dict[str, dict[str, str]] = {
    "en": {
        "failed": "The last payment of your subscription did not go through.",
        "try_again": "We will try again on {day}.",
        "pay": "Please pay what is open, or choose another payment method.",
        "pay_by": "Please pay by {day} to keep your access.",
        AccessReason.INCOMPLETE: "Your subscription begins as soon as its first payment has succeeded.",
        AccessReason.PAUSED: "Your subscription is paused. It goes on as soon as what is open is paid.",
        AccessReason.UNPAID: "You have access again as soon as what is open is paid.",
        AccessReason.GRACE_ENDED: "You have access again as soon as what is open is paid.",
        "paused_elsewhere": "Your subscription is paused.",
    },
    "de": {
        "failed": "Die letzte Zahlung für Ihr Abonnement hat nicht geklappt.",
        "try_again": "Wir versuchen es am {day} noch einmal.",
        "pay": "Bitte bezahlen Sie den offenen Betrag, oder wählen Sie eine andere Zahlungsart.",
        "pay_by": "Bitte bezahlen Sie bis zum {day}, um Ihren Zugang zu behalten.",
        AccessReason.INCOMPLETE: "Ihr Abonnement beginnt, sobald die erste Zahlung geklappt hat.",
        AccessReason.PAUSED: "Ihr Abonnement ruht. Es geht weiter, sobald der offene Betrag bezahlt ist.",
        AccessReason.UNPAID: "Ihr Zugang ist wieder frei, sobald der offene Betrag bezahlt ist.",
        AccessReason.GRACE_ENDED: "Ihr Zugang ist wieder frei, sobald der offene Betrag bezahlt ist.",
        "paused_elsewhere": "Ihr Abonnement ruht.",
    },
}
# What is said where no debt is known here: a provider's own engine collects it.
_WITHOUT_DEBT = {
    AccessReason.PAST_DUE: (Severity.WARNING, ("failed", "pay")),
    AccessReason.UNPAID: (Severity.CRITICAL, ("failed", AccessReason.UNPAID)),
    AccessReason.PAUSED: (Severity.WARNING, ("paused_elsewhere",)),
}


def banner_of(
    entitlement: Entitlement,
    decline: DeclineReason | None,
    language: str,
    zone: tzinfo,
    *,
    is_retried_by_provider: bool = False,
) -> Banner | None:
    """Return the banner of a subscription; None where its customer can do nothing, or is asked for nothing.

    `decline`: why the last try of the debt was declined, if it was. `language`, `zone`: the customer's."""
    if entitlement.debt is None:
        severity, names = _WITHOUT_DEBT.get(entitlement.reason, (Severity.INFO, ()))
        is_asking = is_retried_by_provider or entitlement.access is Access.SUSPENDED
        text = " ".join(_TEXTS[language][name] for name in names)
        return Banner(severity, language, text) if is_asking and text else None
    case = entitlement.debt.case
    if case.state is CaseState.RETRYING and case.retry == 0:
        # No issuer was asked so far: the customer can do nothing about that, and gets no mail either.
        return None
    why = [sentence(decline, language)] if decline is not None else []
    parts = (_TEXTS[language]["failed"], *why, *_what_next(entitlement, language, zone))
    return Banner(_severity(entitlement, case), language, " ".join(parts))


def _severity(entitlement: Entitlement, case: DunningCase) -> Severity:
    if entitlement.reason is AccessReason.INCOMPLETE:
        return Severity.WARNING
    is_ending = case.state is CaseState.IN_GRACE and entitlement.until is not None
    if entitlement.access is Access.SUSPENDED or is_ending:
        return Severity.CRITICAL
    is_first = case.state is CaseState.RETRYING and case.retry == 1
    return Severity.INFO if is_first and entitlement.until is None else Severity.WARNING


def _what_next(entitlement: Entitlement, language: str, zone: tzinfo) -> Iterator[str]:
    texts = _TEXTS[language]
    if entitlement.access is Access.SUSPENDED:
        yield texts[entitlement.reason]
        return
    for text, at in (("try_again", entitlement.next_attempt_at), ("pay_by", entitlement.until)):
        if at is not None:
            yield texts[text].format(day=day_text(at.astimezone(zone), language))
    if entitlement.next_attempt_at is None and entitlement.until is None:
        yield texts["pay"]
