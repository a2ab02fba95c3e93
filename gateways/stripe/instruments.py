"""What Stripe shows of the card or account that was tried: in a charge, or in the error of a declined one.

Source: docs.stripe.com/api/charges/object (payment_method_details) and payment_methods/object, read 2026-11-23. It only
explains: what cannot be read is left out, and makes no response malformed."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator

from domain.declines import bank_debits
from domain.instrument import Instrument
from gateways.provider_model import ProviderModel, UnixTime

_MARK = re.compile(r"[0-9A-Za-z_-]{1,80}", re.ASCII)
# The types of payment methods that are debits of a bank account, and the scheme of each.
_SCHEMES = {
    "us_bank_account": bank_debits.ACH_NETWORK,
    "sepa_debit": bank_debits.SEPA_NETWORK,
    "bacs_debit": bank_debits.BACS_NETWORK,
}


def _mark(value: object) -> str | None:
    return value if isinstance(value, str) and _MARK.fullmatch(value) else None


Mark = Annotated[str | None, BeforeValidator(_mark)]


class _Fingerprinted(ProviderModel):
    fingerprint: Mark = None


class _CardShown(_Fingerprinted):
    """A card. `network`: by which it was tried, shown with a charge only. `brand`: shown always."""

    brand: Mark = None
    network: Mark = None
    capture_before: UnixTime | None = None


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
        return Instrument(shown.fingerprint, network.lower() if network else None, token or self.id)
