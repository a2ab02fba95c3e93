"""When an attempt gets a new idempotency key: only after the calls under the present one are proven to be over.

Some providers store a failure under the key of its call and repeat it, so that the call never succeeds under that key:
Stripe does for a day at least, and says so (docs.stripe.com/api/idempotent_requests, read 2026-11-28). The others do
not document whether a stored response may be a failure."""

from __future__ import annotations

from enum import StrEnum

from domain.backoff import LOOKUPS_THAT_OUTLAST_A_CALL


class FailedResponse(StrEnum):
    """What the provider responded to a call that is in doubt."""

    NONE = "none"  # nothing that says how the call ended: it may still be running
    FAILURE = "failure"  # a failure (5xx)
    STORED_FAILURE = "stored_failure"  # a failure that the provider marks as the response to an earlier call


class KeyState(StrEnum):
    """What is known of the calls under an attempt's present key."""

    USABLE = "usable"
    FAILED = "failed"  # a call ended in a failure; a repeat may still succeed
    FAILED_AGAIN = "failed_again"  # the repeat failed as well: the provider may have stored the failure
    STORED = "stored"  # the provider has stored the failure, and the call that caused it is over


def state_after(state: KeyState, response: FailedResponse) -> KeyState:
    """Return the key's state after a call that is in doubt.

    >>> state_after(KeyState.USABLE, FailedResponse.FAILURE).value
    'failed'
    >>> state_after(KeyState.FAILED, FailedResponse.FAILURE).value
    'failed_again'
    """
    if response is FailedResponse.STORED_FAILURE or state is KeyState.STORED:
        return KeyState.STORED
    if response is FailedResponse.NONE:
        return state
    return KeyState.FAILED if state is KeyState.USABLE else KeyState.FAILED_AGAIN


def is_spent(state: KeyState) -> bool:
    """Tell whether a further call under the key would only bring the stored failure again."""
    return state in (KeyState.FAILED_AGAIN, KeyState.STORED)


def may_be_renewed(state: KeyState, *, is_refund: bool, lookups: int) -> bool:
    """Tell whether a look-up that shows nothing executed proves it of every call under a spent key.

    A stored failure proves that its call is over. Otherwise, and for a refund, which no state of the provider's object
    keeps from happening twice, only look-ups that outlast every call prove it.

    >>> may_be_renewed(KeyState.STORED, is_refund=False, lookups=0)
    True
    >>> may_be_renewed(KeyState.FAILED_AGAIN, is_refund=False, lookups=0)
    False
    """
    is_over = state is KeyState.STORED and not is_refund
    return is_over or lookups >= LOOKUPS_THAT_OUTLAST_A_CALL
