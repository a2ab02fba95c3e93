"""Credentials that a provider refuses: one open entry of the attention list a provider, until it accepts them again."""

from __future__ import annotations

from domain.attention import Reason
from models.attention import close_entries_of_provider, open_entry
from models.change import Change


def note_credentials(change: Change, provider: str, *, is_accepted: bool) -> None:
    """Put the provider on the list if it refused our credentials; take it off if it accepted them."""
    if is_accepted:
        close_entries_of_provider(change, provider)
    else:
        open_entry(change, Reason.CREDENTIALS_REFUSED, provider=provider)
