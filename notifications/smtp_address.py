"""Reads SMTP_URL and MAIL_FROM: where mail is sent to, and in whose name."""

from __future__ import annotations

from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import getaddresses
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from domain.mail_address import is_address, is_one_line

# RFC 5321 and RFC 8314; a login goes to the port of submission.
_PORTS = {("smtp", False): 25, ("smtp", True): 587, ("smtps", False): 465, ("smtps", True): 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server. `is_tls`: the connection begins with TLS. Without a user nobody logs in."""

    host: str
    port: int
    is_tls: bool
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine, so that nobody can listen in between."""
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_smtp_url(url: str) -> SmtpServer:
    """Read smtp://user:password@host:port or smtps://…. Raises ValueError, which repeats nothing of it.

    >>> read_smtp_url("smtps://shop:s%40cret@mail.example.com")
    SmtpServer(host='mail.example.com', port=465, is_tls=True, user='shop')
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
        parts = urlsplit("")
    is_whole = bool(host) and not parts.query and not parts.fragment and parts.path in ("", "/")
    if parts.scheme not in ("smtp", "smtps") or not is_whole or host is None:
        raise ValueError("must be smtp://user:password@host:port or smtps://user:password@host:port")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("has a user without a password, or the other way round")
    has_login = parts.username is not None
    return SmtpServer(
        host,
        port or _PORTS[parts.scheme, has_login],
        parts.scheme == "smtps",
        unquote(parts.username) if parts.username is not None else None,
        unquote(parts.password) if parts.password is not None else None,
    )


def read_sender(text: str) -> Address:
    """Read `Shop <billing@example.com>` or the address alone. Raises ValueError.

    >>> str(read_sender("The Shop <billing@example.com>"))
    'The Shop <billing@example.com>'
    """
    found = getaddresses([text]) if is_one_line(text) else []
    name, address = found[0] if len(found) == 1 else ("", "")
    if not is_address(address):
        raise ValueError("must be an address such as Shop <billing@example.com>")
    return Address(display_name=name, addr_spec=address)
