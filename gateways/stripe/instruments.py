"""What Stripe shows of the card or account that was tried, and of its checks: in a charge, or in the error of a
declined one.

Source: docs.stripe.com/api/charges/object (payment_method_details) and payment_methods/object, read 2026-11-23. It only
explains: what cannot be read is left out, and makes no response malformed."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, Field

from domain.check_results import CheckResults
from domain.declines import bank_debits
from domain.instrument import Instrument
from gateways.provider_model import ProviderModel, UnixTime
from gateways.stripe.checks import Checks, ThreeDSecure

_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)
_BIN = re.compile(r"[0-9]{6,8}", re.ASCII)
_MARK = re.compile(r"[0-9A-Za-z_-]{1,80}", re.ASCII)
# The types of payment methods that are debits of a bank account, and the scheme of each.
_SCHEMES = {
    "us_bank_account": bank_debits.ACH_NETWORK,
    "sepa_debit": bank_debits.SEPA_NETWORK,
    "bacs_debit": bank_debits.BACS_NETWORK,
}


def _matching(pattern: re.Pattern[str]) -> BeforeValidator:
    return BeforeValidator(lambda value: value if isinstance(value, str) and pattern.fullmatch(value) else None)


Mark = Annotated[str | None, _matching(_MARK)]


def an_object(value: object) -> object:
    """Return a JSON object; None for anything else, which is left out."""
    return value if isinstance(value, dict) else None


class _Fingerprinted(ProviderModel):
    """`country`: not shown of US accounts."""

    fingerprint: Mark = None
    country: Annotated[str | None, _matching(_COUNTRY)] = None


class _CardShown(_Fingerprinted):
    """A card. `network`: by which it was tried; as `three_d_secure`, it is shown with a charge only. `brand`: shown
    always. `iin`: shown to few accounts."""

    brand: Mark = None
    network: Mark = None
    capture_before: UnixTime | None = None
    iin: Annotated[str | None, _matching(_BIN)] = Field(default=None, repr=False)
    checks: Annotated[Checks | None, BeforeValidator(an_object)] = None
    three_d_secure: Annotated[ThreeDSecure | None, BeforeValidator(an_object)] = None


class MethodShown(ProviderModel):
    """A PaymentMethod, or the `payment_method_details` of a charge."""

    id: Mark = None
    type: str | None = None
    card: _CardShown | None = None
    us_bank_account: _Fingerprinted | None = None
    sepa_debit: _Fingerprinted | None = None
    bacs_debit: _Fingerprinted | None = None

    def instrument(self, token: str | None = None) -> Instrument | None:
        """Return the instrument; None where Stripe shows no fingerprint of it."""
        shown: _Fingerprinted | None = self.card
        network = (self.card.network or self.card.brand) if self.card else None
        for type, scheme in _SCHEMES.items():
            account = getattr(self, type)
            shown, network = (account, scheme) if account is not None else (shown, network)
        if shown is None or shown.fingerprint is None:
            return None
        bin = self.card.iin if self.card else None
        return Instrument(shown.fingerprint, network.lower() if network else None, token or self.id, shown.country, bin)

    @property
    def check_results(self) -> CheckResults | None:
        """What was checked of a card; None of anything else."""
        if self.card is None:
            return None
        checks, three_d_secure = self.card.checks or Checks(), self.card.three_d_secure or ThreeDSecure()
        return CheckResults(checks.avs, checks.cvv, three_d_secure.authentication)
