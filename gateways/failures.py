"""How a call to a provider can fail, and what each kind of failure means for the attempt behind the call."""

from __future__ import annotations

import logging
import re
from enum import StrEnum

from domain.outcome import InDoubt, NotSent, Outcome

_log = logging.getLogger(__name__)
# A reason is one short word: a provider's message may repeat personal data that was sent.
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


class FailureKind(StrEnum):
    """What a failed call says about its request."""

    AT_FAULT = "at_fault"  # refused, and a repeat is refused as well
    NOT_EXECUTED = "not_executed"  # refused before execution, or never sent; a repeat may succeed
    UNKNOWN = "unknown"  # may have been executed: only a look-up decides


class CallFailed(Exception):
    """A call that returned no usable response. `reason`: a short stable word.

    `param`: the field of the application's request that is at fault, where that is known. `message`: the provider's
    sentence, where it holds nothing that was sent."""

    param: str | None = None
    message: str | None = None

    def __init__(self, reason: str, kind: FailureKind) -> None:
        super().__init__(reason)
        self.reason = reason
        self.kind = kind

    def outcome(self, reference: str | None = None) -> Outcome:
        """Return the outcome of a call that may have moved money."""
        if self.kind is FailureKind.UNKNOWN:
            return InDoubt(self.reason, reference)
        return NotSent(self.reason, is_retryable=self.kind is not FailureKind.AT_FAULT, reference=reference)

    def outcome_of_creation(self) -> Outcome:
        """Return the outcome of a call that cannot move money by itself: a lost response does no harm."""
        outcome = self.outcome()
        return NotSent(outcome.reason) if isinstance(outcome, InDoubt) else outcome


class MalformedResponse(CallFailed):
    """A response that does not have the documented form. It proves nothing, so it counts as doubt.

    `field`: the path of the field that is wrong, such as `ProviderOrder.amount`. The value stays out: it may be
    personal data or a credential."""

    def __init__(self, field: str) -> None:
        super().__init__("malformed_response", FailureKind.UNKNOWN)
        self.field = field
        _log.error("malformed provider response: %s", field)


def reason_word(value: object, otherwise: str) -> str:
    """Return a provider's code if it is one word, else `otherwise`.

    >>> reason_word("not_found", "http_404"), reason_word("no charge for jo@example.org", "http_404")
    ('not_found', 'http_404')
    >>> reason_word(None, "http_500")
    'http_500'
    """
    return value if isinstance(value, str) and _WORD.fullmatch(value) else otherwise
