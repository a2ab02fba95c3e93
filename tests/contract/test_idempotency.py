"""Idempotency keys of calls."""

from __future__ import annotations

import uuid
from dataclasses import replace

from gateways.idempotency import key_of

from .bench import ATTEMPT


def test_a_key_never_changes() -> None:
    """With another key, a repeat of what an older release sent would be a second request."""
    assert key_of(ATTEMPT, "capture") == "804b5f2a-6367-4406-aaab-fd12ce32b5ce"


def test_each_call_of_an_attempt_and_each_number_has_a_key_of_its_own() -> None:
    numbered = [replace(ATTEMPT, key_number=number) for number in range(3)]
    keys = {key_of(attempt, call) for attempt in numbered for call in ("capture", "cancel")}
    assert len(keys) == 6
    assert {uuid.UUID(key).version for key in keys} == {4}
