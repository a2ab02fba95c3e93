"""What an issuer and a bank have checked of a card: address, security code, and 3-D Secure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Check(StrEnum):
    """What an issuer has said of a number or an address that the customer has given."""

    MATCH = "match"
    MISMATCH = "mismatch"


class Authentication(StrEnum):
    """How a customer's authentication by 3-D Secure has ended."""

    AUTHENTICATED = "authenticated"
    ATTEMPTED = "attempted"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class CheckResults:
    """What came with the provider's response to an authorization. None: not checked, or not known."""

    avs: Check | None = None
    cvv: Check | None = None
    authentication: Authentication | None = None

    @property
    def says_more_than_matches(self) -> bool:
        """Whether a score may change by it."""
        return Check.MISMATCH in (self.avs, self.cvv) or self.authentication is not None


NOT_CHECKED = CheckResults()
