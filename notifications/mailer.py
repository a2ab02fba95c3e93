"""Speaks SMTP: opens a connection, offers a mail's address, and hands the mail over. Knows no payment and no table.

Nothing of what a server says is repeated: it names the address."""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address, BaseHeader, HeaderRegistry, UnstructuredHeader
from email.message import EmailMessage
from email.policy import SMTP, Policy
from email.utils import format_datetime

from domain.outbox import Refusal
from notifications.smtp_address import SmtpServer

# For the connection and for each command up to the mail itself.
_COMMAND_SECONDS = 10.0
# For the mail, during which payment and row are locked: shorter than others wait for a lock, their repeats included.
_HAND_OVER_SECONDS = 7.0


class _Addresses(UnstructuredHeader, BaseHeader):
    """A header of addresses in angle brackets, each on a line of its own. The library would cut a long one into encoded
    words, which no mail program reads as an address."""

    def fold(self, *, policy: Policy) -> str:
        """Return the header as it is sent."""
        return f"{self.name}: " + f",{policy.linesep} ".join(str(self).split(", ")) + policy.linesep


_HEADERS = HeaderRegistry()
_HEADERS.map_to_type("list-unsubscribe", _Addresses)
# Not every server on the way takes eight bits.
_SEVEN_BIT = SMTP.clone(cte_type="7bit", header_factory=_HEADERS)
# Responses of RFC 5321.
_ACCEPTED, _FORWARDED, _GO_ON = 250, 251, 354
# What a refusal is about if it is about the address or its mailbox (RFC 3463); others are about the mail or us.
_OF_ADDRESS = ("1", "2")


class MailRefused(Exception):
    """A mail was not accepted. `word`: a code to store, without personal data. `is_begun`: it was handed over."""

    def __init__(self, refusal: Refusal, word: str, *, is_begun: bool = False) -> None:
        super().__init__(word)
        self.refusal = refusal
        self.word = word
        self.is_begun = is_begun


@dataclass(frozen=True, slots=True)
class Text:
    """What a mail says: its subject, and its body as text and as HTML."""

    subject: str
    body: str
    html: str


def make_message(
    text: Text, sender: Address, to: Address, message_id: str, now: datetime, *, unsubscribe: Sequence[str] = ()
) -> EmailMessage:
    """Return a mail of two parts. `unsubscribe`: the addresses at which it may be unsubscribed from, which a notice of
    a debt may not; a mail program may send one click to a web address of them."""
    message = EmailMessage(policy=_SEVEN_BIT)
    message["From"] = sender
    message["To"] = to
    message["Subject"] = text.subject
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id
    # No automatic replies: nobody is away from a payment (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    if unsubscribe:
        message["List-Unsubscribe"] = ", ".join(f"<{address}>" for address in unsubscribe)
    if any(address.startswith("https://") for address in unsubscribe):
        # RFC 8058: only with an HTTPS address, and then with exactly this value.
        message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(text.body)
    message.add_alternative(text.html, subtype="html")
    return message


class Mailer:
    """Sends mails by one server. A connection for each mail: they are few, and a kept one may be dead."""

    def __init__(self, server: SmtpServer, sender: Address) -> None:
        self.server = server
        self.sender = sender

    def message_id(self, row_id: str) -> str:
        """Return the Message-ID of a row: always the same, so that a mail that comes twice is seen to be one."""
        return f"<{row_id}@{self.sender.domain}>"

    @contextmanager
    def offering(self, message: EmailMessage) -> Iterator[Offer]:
        """Connect, and offer the mail's address; the mail is handed over inside the block. Raises MailRefused."""
        connection = self._connect()
        offer = Offer(connection, message.as_bytes())
        try:
            _offer(connection, self.sender.addr_spec, message["To"].addresses[0].addr_spec)
            yield offer
        finally:
            if offer.is_accepted:
                with suppress(smtplib.SMTPException, OSError):
                    connection.quit()
            # A server drops a mail whose connection ends before its last line.
            connection.close()

    def _connect(self) -> smtplib.SMTP:
        server, context = self.server, ssl.create_default_context()
        try:
            if server.is_tls:
                connection: smtplib.SMTP = smtplib.SMTP_SSL(
                    server.host, server.port, timeout=_COMMAND_SECONDS, context=context
                )
            else:
                connection = smtplib.SMTP(server.host, server.port, timeout=_COMMAND_SECONDS)
        except (smtplib.SMTPException, OSError) as error:
            raise _server_failure(error) from None
        try:
            self._log_in(connection, context)
        except (smtplib.SMTPException, OSError) as error:
            connection.close()
            raise _server_failure(error) from None
        return connection

    def _log_in(self, connection: smtplib.SMTP, context: ssl.SSLContext) -> None:
        server = self.server
        connection.ehlo_or_helo_if_needed()
        if not server.is_tls and not server.is_local:
            if connection.has_extn("starttls"):
                connection.starttls(context=context)
                connection.ehlo()
            elif server.user is not None:
                raise smtplib.SMTPNotSupportedError("no TLS: the password would be readable")
        if server.user is not None and server.password is not None:
            connection.login(server.user, server.password)


class Offer:
    """A mail that the server waits for: it takes the address, and nothing of the mail is sent so far."""

    def __init__(self, connection: smtplib.SMTP, content: bytes) -> None:
        self._connection = connection
        self._content = content
        self.is_accepted = False

    def hand_over(self) -> None:
        """Hand the mail over, once. Raises MailRefused; its refusal is UNKNOWN if no response came."""
        if self.is_accepted:
            return
        if self._connection.sock is not None:
            self._connection.sock.settimeout(_HAND_OVER_SECONDS)
        try:
            self._connection.send(_as_data(self._content))
            code, reason = self._connection.getreply()
        except (smtplib.SMTPException, OSError):
            raise MailRefused(Refusal.UNKNOWN, "no_response", is_begun=True) from None
        if code != _ACCEPTED:
            raise _refused(code, reason, Refusal.MESSAGE, is_begun=True)
        self.is_accepted = True


def _as_data(content: bytes) -> bytes:
    """Return a mail as it is sent: a line that begins with a dot gets another one, and a lone dot ends it."""
    whole = content if content.endswith(b"\r\n") else content + b"\r\n"
    return re.sub(rb"^\.", b"..", whole, flags=re.MULTILINE) + b".\r\n"


def _offer(connection: smtplib.SMTP, sender: str, to: str) -> None:
    """Name sender and recipient, and let the server wait for the mail."""
    try:
        code, reason = connection.mail(sender)
        if code != _ACCEPTED:
            raise _refused(code, reason, Refusal.SERVER)
        code, reason = connection.rcpt(to)
        if code not in (_ACCEPTED, _FORWARDED):
            raise _refused(code, reason, Refusal.ADDRESS)
        code, reason = connection.docmd("DATA")
    except (smtplib.SMTPException, OSError) as error:
        raise _server_failure(error) from None
    if code != _GO_ON:
        raise _refused(code, reason, Refusal.MESSAGE)


def _refused(code: int, reason: bytes | str, refusal: Refusal, *, is_begun: bool = False) -> MailRefused:
    """Return what a response means. `refusal`: what it means if it is one for good and says no more (RFC 3463)."""
    word = f"smtp_{code}"
    if code < 500:
        # 421 ends the connection; anything else may concern this mail only, such as a full mailbox.
        return MailRefused(Refusal.SERVER if code == 421 else Refusal.LATER, word, is_begun=is_begun)
    text = reason.decode("ascii", "replace") if isinstance(reason, bytes) else str(reason)
    enhanced = text.split(" ", 1)[0].split(".")
    subject = enhanced[1] if len(enhanced) == 3 else ""
    if refusal is not Refusal.SERVER and subject in _OF_ADDRESS:
        refusal = Refusal.ADDRESS
    elif refusal is Refusal.ADDRESS and subject:
        refusal = Refusal.MESSAGE
    return MailRefused(refusal, word, is_begun=is_begun)


def _server_failure(error: Exception) -> MailRefused:
    match error:
        case smtplib.SMTPResponseException(smtp_code=code):
            word = f"smtp_{code}"
        case smtplib.SMTPNotSupportedError():
            word = "no_tls_or_login"
        case ssl.SSLError():
            word = "tls_failed"
        case TimeoutError():
            word = "timeout"
        case smtplib.SMTPServerDisconnected():
            word = "disconnected"
        case _:
            word = "no_connection"
    return MailRefused(Refusal.SERVER, word)
