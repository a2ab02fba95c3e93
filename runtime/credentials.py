"""Notices in what a call got that a provider refuses our credentials, or accepts them again."""

from __future__ import annotations

from gateways.http import TechnicalFailure
from models.credentials import note_credentials
from runtime.runtime import Runtime


def watch_credentials(
    runtime: Runtime, actor: str, provider: str, failure: TechnicalFailure, *, has_entry: bool
) -> None:
    """Note a refusal for a person, or the end of one. `has_entry`: the provider had refused them before."""
    is_accepted = failure.accepts_credentials
    if is_accepted is not None and is_accepted is has_entry:
        runtime.change(actor, note_credentials, provider, is_accepted=is_accepted)
