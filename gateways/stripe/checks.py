"""What Stripe shows of the checks of a card: address, security code, 3-D Secure.

Sources: the SDK 16.1.0 (Charge.PaymentMethodDetails.Card.Checks and .ThreeDSecure) and docs.stripe.com/api/charges,
read 2026-11-29. It only explains: an unknown word is logged and says nothing, and what cannot be read is left out."""

from __future__ import annotations

from domain.check_results import Authentication, Check
from gateways.provider_model import ExplainingWord, ProviderModel

# Null: nothing was given to check, as for most wallets.
_CHECKS = {"pass": Check.MATCH, "fail": Check.MISMATCH, "unavailable": None, "unchecked": None, None: None}
# With the others, and with null, nobody has authenticated and nobody has failed to.
_AUTHENTICATIONS = {
    "authenticated": Authentication.AUTHENTICATED,
    "attempt_acknowledged": Authentication.ATTEMPTED,
    "failed": Authentication.FAILED,
    **dict.fromkeys(("data_share_only", "exempted", "not_supported", "processing_error", None)),
}


class Checks(ProviderModel):
    """The checks of a card, in a charge or in a PaymentMethod."""

    address_line1_check: ExplainingWord = None
    address_postal_code_check: ExplainingWord = None
    cvc_check: ExplainingWord = None

    @property
    def avs(self) -> Check | None:
        """The check of the billing address. One part that fails is a mismatch; with an unknown word nothing else is
        known."""
        line1, postal_code = self.address_line1_check, self.address_postal_code_check
        if line1 not in _CHECKS:
            self.log_unknown("address_line1_check")
        if postal_code not in _CHECKS:
            self.log_unknown("address_postal_code_check")
        parts = {line1, postal_code}
        if "fail" in parts:
            return Check.MISMATCH
        return Check.MATCH if "pass" in parts and parts <= _CHECKS.keys() else None

    @property
    def cvv(self) -> Check | None:
        """The check of the security code."""
        if self.cvc_check not in _CHECKS:
            self.log_unknown("cvc_check")
        return _CHECKS.get(self.cvc_check)


class ThreeDSecure(ProviderModel):
    """The authentication of a charge."""

    result: ExplainingWord = None

    @property
    def authentication(self) -> Authentication | None:
        """How it has ended; None where neither authentication nor failure is shown."""
        if self.result not in _AUTHENTICATIONS:
            self.log_unknown("result")
        return _AUTHENTICATIONS.get(self.result)
