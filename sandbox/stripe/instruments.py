"""The test instruments: the behaviour of each token. Pure data, independent of intents.

https://docs.stripe.com/testing (cards, 3-D Secure, refunds, Radar),
https://docs.stripe.com/payments/sepa-debit and https://docs.stripe.com/payments/ach-direct-debit (test
accounts; numbers partly unverified).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sandbox.stripe.declines import BLOCKED, DECLINE_CODES, Decline, decline

# When a card requires 3-D Secure. "optional": only if the merchant requests a challenge. "unenrolled": never, and a
# request is only acknowledged, as for every card that is not made to test 3-D Secure. "failing": never, and a request
# ends with an error.
Authentication = Literal["unsupported", "unenrolled", "failing", "optional", "always", "unless_set_up", "on_session"]
RefundScenario = Literal["succeeds", "pending", "fails_later"]


@dataclass(frozen=True)
class ScriptedDispute:
    """The dispute that follows the charge of an instrument; an inquiry withdraws no money."""

    reason: str
    is_inquiry: bool = False


@dataclass(frozen=True)
class Behaviour:
    """The behaviour of an instrument at one confirm. `has_fraud_warning`: its issuer reports the charge as fraud."""

    decline: Decline | None = None
    authentication: Authentication = "unenrolled"
    risk_level: str = "normal"
    checks: Mapping[str, str] = field(default_factory=dict)
    refund: RefundScenario = "succeeds"
    is_attachable: bool = True
    scripted_dispute: ScriptedDispute | None = None
    has_fraud_warning: bool = False
    bank_failure: str | None = None
    is_verified: bool = True


SUCCESS = Behaviour()


def _declined(code: str, *, is_attachable: bool = False, **fields: Any) -> Behaviour:
    # A declining test card cannot be attached to a customer either, except chargeCustomerFail [docs].
    return Behaviour(decline=decline(code), is_attachable=is_attachable, **fields)


def _checks(
    address: str | None = None, zip_code: str | None = None, cvc: str | None = None, **fields: Any
) -> Behaviour:
    params = {"address_line1_check": address, "address_postal_code_check": zip_code, "cvc_check": cvc}
    return Behaviour(checks={name: result for name, result in params.items() if result}, **fields)


@dataclass(frozen=True)
class Card:
    """The public details of a test card. `country`: the issuer's."""

    brand: str = "visa"
    last4: str = "4242"
    funding: str = "credit"
    country: str = "US"


# Names without `pm_card_` or `tok_`, and without `visa_` before a behaviour. The countries of the cards that require
# authentication are those of their numbers (unverified), as is the failed check of an incorrect security code.
CARDS: dict[str, tuple[Card, Behaviour]] = {
    "visa": (Card(), SUCCESS),
    "visa_debit": (Card(last4="5556", funding="debit"), SUCCESS),
    "mastercard": (Card("mastercard", "4444"), SUCCESS),
    "mastercard_debit": (Card("mastercard", "3222", "debit"), SUCCESS),
    "amex": (Card("amex", "8431"), SUCCESS),
    "discover": (Card("discover", "9424"), SUCCESS),
    "us": (Card(), SUCCESS),
    "br": (Card(last4="0002", country="BR"), SUCCESS),
    "ca": (Card(last4="0000", country="CA"), SUCCESS),
    "de": (Card(last4="0016", country="DE"), SUCCESS),
    "fr": (Card(last4="0003", country="FR"), SUCCESS),
    "gb": (Card(last4="0000", country="GB"), SUCCESS),
    "chargeDeclined": (Card(last4="0002"), _declined("generic_decline")),
    "chargeDeclinedInsufficientFunds": (Card(last4="9995"), _declined("insufficient_funds")),
    "chargeDeclinedLostCard": (Card(last4="9987"), _declined("lost_card")),
    "chargeDeclinedStolenCard": (Card(last4="9979"), _declined("stolen_card")),
    "chargeDeclinedExpiredCard": (Card(last4="0069"), _declined("expired_card")),
    "chargeDeclinedIncorrectCvc": (Card(last4="0127"), _declined("incorrect_cvc", checks={"cvc_check": "fail"})),
    "chargeDeclinedProcessingError": (Card(last4="0119"), _declined("processing_error")),
    "chargeDeclinedFraudulent": (Card(last4="0019"), _declined("fraudulent")),
    "chargeDeclinedVelocityLimitExceeded": (Card(last4="6975"), _declined("card_velocity_exceeded")),
    "chargeCustomerFail": (Card(last4="0341"), _declined("generic_decline", is_attachable=True)),
    "radarBlock": (Card(last4="0019"), Behaviour(decline=BLOCKED, risk_level="highest")),
    "riskLevelHighest": (Card(last4="4954"), Behaviour(decline=BLOCKED, risk_level="highest")),
    "riskLevelElevated": (Card(last4="9235"), Behaviour(risk_level="elevated")),
    "cvcCheckFail": (Card(last4="0101"), _checks(cvc="fail")),
    "cvcCheckFailElevatedRisk": (Card(last4="7872"), _checks(cvc="fail", risk_level="elevated")),
    "avsZipFailElevatedRisk": (Card(last4="6072"), _checks(zip_code="fail", risk_level="elevated")),
    "avsZipFail": (Card(last4="0036"), _checks(zip_code="fail")),
    "avsLine1Fail": (Card(last4="0028"), _checks(address="fail")),
    "avsFail": (Card(last4="0010"), _checks(address="fail", zip_code="fail")),
    "avsUnchecked": (Card(last4="0044"), _checks(address="unavailable", zip_code="unavailable")),
    "authenticationRequired": (Card(last4="3184", country="DE"), Behaviour(authentication="always")),
    "authenticationRequiredOnSetup": (Card(last4="3155", country="FR"), Behaviour(authentication="unless_set_up")),
    "authenticationRequiredSetupForOffSession": (
        Card(last4="0446", country="IT"),
        Behaviour(authentication="on_session"),
    ),
    "authenticationRequiredChargeDeclinedInsufficientFunds": (
        Card(last4="3178", country="GB"),
        Behaviour(decline=decline("insufficient_funds"), authentication="always"),
    ),
    "threeDSecure2Required": (Card(last4="3220", country="IE"), Behaviour(authentication="always")),
    "threeDSecureRequiredChargeDeclined": (
        Card(last4="1629"),
        Behaviour(decline=decline("generic_decline"), authentication="always"),
    ),
    "threeDSecureOptional": (Card(last4="3055"), Behaviour(authentication="optional")),
    "threeDSecureOptionalProcessingError": (Card(last4="3097"), Behaviour(authentication="failing")),
    "amex_threeDSecureNotSupported": (Card("amex", "0005"), Behaviour(authentication="unsupported")),
    "createDispute": (Card(last4="0259"), Behaviour(scripted_dispute=ScriptedDispute("fraudulent"))),
    "createDisputeInquiry": (
        Card(last4="1976"),
        Behaviour(scripted_dispute=ScriptedDispute("fraudulent", is_inquiry=True)),
    ),
    "createDisputeProductNotReceived": (
        Card(last4="2685"),
        Behaviour(scripted_dispute=ScriptedDispute("product_not_received")),
    ),
    "createIssuerFraudRecord": (Card(last4="5423"), Behaviour(has_fraud_warning=True)),
    "pendingRefund": (Card(last4="7726"), Behaviour(refund="pending")),
    "refundFail": (Card(last4="5126"), Behaviour(refund="fails_later")),
}

PM_CARD = "pm_card_"
TOKEN = "tok_"

_UNVERIFIED = Behaviour(is_verified=False)

# For routing number 110000000. Any other account number succeeds.
US_ACCOUNTS: dict[str, Behaviour] = {
    "000123456789": _UNVERIFIED,
    "000111111113": replace(_UNVERIFIED, bank_failure="account_closed"),
    "000111111116": replace(_UNVERIFIED, bank_failure="no_account"),
    "000222222227": replace(_UNVERIFIED, bank_failure="insufficient_funds"),
    "000333333335": replace(_UNVERIFIED, bank_failure="debit_not_authorized"),
    "000555555559": replace(_UNVERIFIED, scripted_dispute=ScriptedDispute("debit_not_authorized")),
}

# Magic methods need no micro-deposits
# (https://docs.stripe.com/payments/ach-direct-debit/accept-a-payment#test).
US_METHODS: dict[str, tuple[str, Behaviour]] = {
    f"pm_usBankAccount_{name}": (number, replace(US_ACCOUNTS[number], is_verified=True))
    for name, number in (
        ("success", "000123456789"),
        ("accountClosed", "000111111113"),
        ("noAccount", "000111111116"),
        ("insufficientFunds", "000222222227"),
        ("debitNotAuthorized", "000333333335"),
        ("dispute", "000555555559"),
    )
}

# Each country has a test IBAN ending in 202 that fails later (unverified).
SEPA_FAILING_SUFFIX = "202"
# And one that succeeds and is disputed immediately.
SEPA_DISPUTED_SUFFIX = "203"


def magic_card(token: str) -> tuple[Card, Behaviour] | None:
    """Return the card and the behaviour of a `pm_card_…` or `tok_…` token, None for any other text.

    >>> magic_card("pm_card_visa_chargeDeclinedLostCard") == magic_card("tok_chargeDeclinedLostCard")
    True
    >>> magic_card("pm_1abc") is None
    True
    """
    for prefix in (PM_CARD, TOKEN):
        if token.startswith(prefix):
            name = token.removeprefix(prefix)
            return CARDS.get(name) or CARDS.get(name.removeprefix("visa_"))
    return None


def iban_behaviour(iban: str) -> Behaviour:
    """Return the behaviour of a SEPA test account."""
    if iban.endswith(SEPA_DISPUTED_SUFFIX):
        return Behaviour(scripted_dispute=ScriptedDispute("customer_initiated"))
    return Behaviour(bank_failure="insufficient_funds") if iban.endswith(SEPA_FAILING_SUFFIX) else SUCCESS


SCRIPTED_BRANDS = ("visa", "mastercard", "amex", "discover")
SCRIPT_OVERRIDES = ("advice_code", "network_advice_code", "network_decline_code")
SCRIPT_ENTRIES = (
    f"success, a decline code, or an object with a decline_code and any of {', '.join(SCRIPT_OVERRIDES)}; "
    f"the decline codes are {', '.join(DECLINE_CODES)}"
)


def is_script_entry(entry: object) -> bool:
    """Tell whether this is an entry of a scripted card.

    >>> [is_script_entry(entry) for entry in ("success", {"decline_code": "do_not_honor"}, "nope", {"bogus": "x"})]
    [True, True, False, False]
    """
    if not isinstance(entry, dict):
        return entry == "success" or entry in DECLINE_CODES
    has_only_known_fields = entry.keys() <= {"decline_code", *SCRIPT_OVERRIDES}
    return has_only_known_fields and entry.get("decline_code") in DECLINE_CODES and all(map(_is_text, entry.values()))


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def script_step(entry: str | Mapping[str, Any]) -> Behaviour:
    """Return the behaviour of one entry of a scripted card: "success", "authentication_required" or a decline code.

    A mapping has a `decline_code` and may override the codes of SCRIPT_OVERRIDES.
    """
    if isinstance(entry, Mapping):
        overrides = dict(entry)
        return Behaviour(decline=decline(overrides.pop("decline_code"), **overrides))
    if entry == "success":
        return SUCCESS
    if entry == "authentication_required":
        return Behaviour(authentication="always")
    return Behaviour(decline=decline(entry))


def script(entries: list[str | Mapping[str, Any]]) -> Iterator[Behaviour]:
    """Yield the behaviour of each successive confirm without end: the last entry repeats.

    >>> steps = script(["insufficient_funds", "success"])
    >>> [step.decline.decline_code if step.decline else None for step in itertools.islice(steps, 4)]
    ['insufficient_funds', None, None, None]
    """
    steps = [script_step(entry) for entry in entries]
    return itertools.chain(steps, itertools.repeat(steps[-1]))
