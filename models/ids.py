"""Ids of rows."""

from __future__ import annotations

import secrets
from datetime import datetime


def new_id(prefix: str, now: datetime) -> str:
    """Return a fresh id such as `pay_019ab…`. Ids sort by creation time and cannot be guessed."""
    return f"{prefix}_{int(now.timestamp() * 1000):012x}{secrets.token_hex(10)}"
