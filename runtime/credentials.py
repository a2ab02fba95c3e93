"""Notices in what a call got that a provider refuses our credentials, or accepts them again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gateways.http import UNKNOWN_KEY, TechnicalFailure, watch_for_failure
from models.credentials import find_refusal, note_credentials
from runtime.runtime import Runtime


def watch_credentials(
    runtime: Runtime, actor: str, provider: str, failure: TechnicalFailure, *, has_entry: bool
) -> None:
    """Note a refusal for a person, or the end of one. `has_entry`: the provider had refused them before."""
    is_accepted = failure.accepts_credentials
    if is_accepted is not None and is_accepted is has_entry:
        runtime.change(actor, note_credentials, provider, refusal=failure.refusal)


@contextmanager
def watching_readings(runtime: Runtime, actor: str, provider: str) -> Iterator[TechnicalFailure]:
    """Note what the calls inside the block tell of a provider's credentials. They only read.

    A key may charge and lack the permission for one of them, or read and not charge: only what is said of the key as
    such is noted here, and only that is ended here."""
    with watch_for_failure() as failure:
        try:
            yield failure
        finally:
            _note_readings(runtime, actor, provider, failure)


def _note_readings(runtime: Runtime, actor: str, provider: str, failure: TechnicalFailure) -> None:
    if failure.refusal not in (None, UNKNOWN_KEY) or failure.accepts_credentials is None:
        return
    known = runtime.read(find_refusal, provider)
    if known in (None, UNKNOWN_KEY):
        watch_credentials(runtime, actor, provider, failure, has_entry=known is not None)
