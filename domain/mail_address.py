"""Recognises e-mail addresses and names that may stand in the head of a mail."""

from __future__ import annotations

import re
from email.errors import HeaderParseError
from email.headerregistry import Address

_LABEL = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?", re.ASCII)
# No space, no quotes and no line ends: what a header could be injected with. ASCII only: SMTP servers need not take
# any other (RFC 6531).
_TEXT = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~@-]{3,254}", re.ASCII)


def is_address(text: str) -> bool:
    """Tell whether mail can be sent to an address, by its syntax.

    >>> is_address("ada@example.com"), is_address("ada@localhost"), is_address("ada@example.com\\nBcc: eve@example.com")
    (True, False, False)
    """
    try:
        parsed = Address(addr_spec=text)
    # The parser raises IndexError on some texts, such as a lone "@".
    except (ValueError, IndexError, HeaderParseError):
        return False
    labels = parsed.domain.split(".")
    is_host = len(labels) > 1 and all(_LABEL.fullmatch(label) for label in labels)
    return bool(parsed.username and is_host and parsed.addr_spec == text and _TEXT.fullmatch(text))


def is_one_line(name: str) -> bool:
    """Tell whether a name may stand in a header: printable, and not empty.

    >>> is_one_line("Ada Lovelace"), is_one_line("Ada\\r\\nBcc: eve@example.com"), is_one_line(" ")
    (True, False, False)
    """
    return name.isprintable() and bool(name.strip())
