"""Credentials that a provider refuses: one open entry of the attention list a provider, until it accepts them again."""

from __future__ import annotations

from sqlalchemy import Connection, select

from domain.attention import Reason
from models.attention import close_entries_of_provider, open_entry
from models.change import Change
from models.tables import attention


def note_credentials(change: Change, provider: str, *, refusal: int | None) -> None:
    """Put the provider on the list if it refused our credentials, with the status of its response; take it off if it
    accepted them."""
    if refusal is None:
        close_entries_of_provider(change, provider, (Reason.CREDENTIALS_REFUSED,))
    else:
        open_entry(change, Reason.CREDENTIALS_REFUSED, provider=provider, data={"status": refusal})


def find_refusal(connection: Connection, provider: str) -> int | None:
    """Return the status with which a provider has refused our credentials, as the open entry has it; None if there is
    none."""
    is_open = (
        (attention.c.provider == provider)
        & (attention.c.reason == Reason.CREDENTIALS_REFUSED)
        & attention.c.closed_at.is_(None)
    )
    entry = connection.execute(select(attention.c.data).where(is_open)).one_or_none()
    return None if entry is None else int((entry.data or {}).get("status", 0))
