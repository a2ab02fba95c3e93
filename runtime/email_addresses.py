"""What can be said of an e-mail address without sending to it."""

from __future__ import annotations

from disposable_email_domains import blocklist

from domain.mail_address import is_address


def email_facts(email: str | None) -> tuple[bool | None, bool | None]:
    """Tell whether an address is malformed, and whether its domain, or one above it, gives addresses for a few minutes;
    None where none is given."""
    if not email or not email.strip():
        return None, None
    text = email.strip()
    return not is_address(text), _is_disposable(text.rpartition("@")[2].lower().rstrip("."))


def _is_disposable(domain: str) -> bool:
    labels = domain.split(".")
    # Never the top level alone.
    return any(".".join(labels[start:]) in blocklist for start in range(len(labels) - 1))
