"""Speaking SMTP: addresses and logins, what a refusal means, and when a password is sent."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import pytest

from domain.outbox import Refusal
from notifications.mailer import Mailer, MailRefused, Text, make_message
from notifications.smtp_address import SmtpServer, read_sender, read_smtp_url
from sandbox.mail_server import HANG_UP, Mailbox, MailServer

SENDER = Address(display_name="The Shop", addr_spec="billing@shop.example")
ADA = Address(display_name="Ada, the „first“", addr_spec="ada@example.com")
NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server that keeps what it accepts."""
    running = MailServer(("127.0.0.1", 0), Mailbox())
    running.start()
    yield running
    running.close()


def message(*, unsubscribe: tuple[str, ...] = ()) -> EmailMessage:
    text = Text("Überfällig: 12 €", "Ein Text.\n.\nMit Punkt\n", "<p>Ein Text</p>")
    return make_message(text, SENDER, ADA, "<out_1@shop.example>", NOON, unsubscribe=unsubscribe)


def send(server: MailServer, **how: bool) -> None:
    with Mailer(read_smtp_url(server.url), SENDER).offering(message(**how)) as offer:
        offer.hand_over()
        offer.hand_over()
        assert offer.is_accepted


def test_a_mail_arrives_once_as_it_was_written(server: MailServer) -> None:
    send(server)
    [mail] = server.mailbox.mails
    assert str(mail["Subject"]) == "Überfällig: 12 €"
    assert str(mail["To"]) == '"Ada, the „first“" <ada@example.com>'
    assert mail["Message-ID"] == "<out_1@shop.example>"
    assert mail["List-Unsubscribe"] is None
    body = mail.get_body(("plain",))
    assert body is not None
    assert body.get_content().splitlines() == ["Ein Text.", ".", "Mit Punkt"]
    assert mail.get_content_type() == "multipart/alternative"
    assert message().as_bytes().isascii()


def test_a_mail_that_is_offered_and_not_handed_over_is_none(server: MailServer) -> None:
    with Mailer(read_smtp_url(server.url), SENDER).offering(message()):
        pass
    send(server)
    assert len(server.mailbox.mails) == 1


def test_a_reminder_can_be_unsubscribed_from(server: MailServer) -> None:
    by_mail = "mailto:billing@shop.example?subject=unsubscribe"
    by_web = f"https://pay.example/pay/unsubscribe/pl_{'long' * 40}"
    send(server, unsubscribe=(by_mail,))
    send(server, unsubscribe=(by_web, by_mail))
    first, second = server.mailbox.mails
    assert (first["List-Unsubscribe"], first["List-Unsubscribe-Post"]) == (f"<{by_mail}>", None)
    # A mail program finds the address in one piece, whatever its length.
    assert f"<{by_web}>".encode() in message(unsubscribe=(by_web, by_mail)).as_bytes()
    assert str(second["List-Unsubscribe"]).split() == [f"<{by_web}>,", f"<{by_mail}>"]
    assert second["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


@pytest.mark.parametrize(
    ("step", "response", "refusal", "word"),
    [
        ("connect", "421 busy", Refusal.SERVER, "smtp_421"),
        ("connect", HANG_UP, Refusal.SERVER, "disconnected"),
        ("mail", "550 5.7.1 not you", Refusal.SERVER, "smtp_550"),
        ("mail", HANG_UP, Refusal.SERVER, "disconnected"),
        ("rcpt", "550 no such user", Refusal.ADDRESS, "smtp_550"),
        ("rcpt", "550 5.1.1 no such user", Refusal.ADDRESS, "smtp_550"),
        ("rcpt", "550 5.7.1 relaying denied", Refusal.MESSAGE, "smtp_550"),
        ("rcpt", "452 4.2.2 mailbox full", Refusal.LATER, "smtp_452"),
        ("data", "554 5.6.0 no", Refusal.MESSAGE, "smtp_554"),
        ("accept", "554 5.7.1 looks like spam", Refusal.MESSAGE, "smtp_554"),
        ("accept", "550 5.1.1 no such user", Refusal.ADDRESS, "smtp_550"),
        ("accept", "451 later", Refusal.LATER, "smtp_451"),
        ("accept", HANG_UP, Refusal.UNKNOWN, "no_response"),
    ],
)
def test_what_a_refusal_means(server: MailServer, step: str, response: str, refusal: Refusal, word: str) -> None:
    server.mailbox.order(step, response)
    with pytest.raises(MailRefused) as refused:
        send(server)
    assert (refused.value.refusal, refused.value.word) == (refusal, word)
    assert refused.value.is_begun is (step == "accept")
    assert "ada" not in str(refused.value)


def test_a_server_that_is_not_there_is_one_that_takes_nothing() -> None:
    with pytest.raises(MailRefused) as refused, Mailer(read_smtp_url("smtp://127.0.0.1:9"), SENDER).offering(message()):
        pass
    assert refused.value.refusal is Refusal.SERVER


class Plain:
    """A connection to a server that offers no TLS, or offers it."""

    def __init__(self, *offers: str) -> None:
        self.offers = offers
        self.said: list[str] = []

    def has_extn(self, name: str) -> bool:
        return name in self.offers

    def ehlo_or_helo_if_needed(self) -> None: ...

    def ehlo(self) -> None: ...

    def starttls(self, context: ssl.SSLContext) -> None:
        assert context.verify_mode is ssl.CERT_REQUIRED
        self.said.append("starttls")

    def login(self, user: str, password: str) -> None:
        self.said.append(f"login {user} {password}")


def log_in(url: str, *offers: str) -> list[str]:
    connection: Any = Plain(*offers)
    Mailer(read_smtp_url(url), SENDER)._log_in(connection, ssl.create_default_context())
    said: list[str] = connection.said
    return said


def test_a_password_is_never_readable_on_the_way() -> None:
    assert log_in("smtp://shop:secret@mail.example.com", "starttls") == ["starttls", "login shop secret"]
    assert log_in("smtp://mail.example.com", "starttls") == ["starttls"]
    assert log_in("smtp://mail.example.com") == []
    assert log_in("smtp://shop:secret@127.0.0.1", "starttls") == ["login shop secret"]
    assert log_in("smtps://shop:secret@mail.example.com") == ["login shop secret"]
    with pytest.raises(smtplib.SMTPNotSupportedError):
        log_in("smtp://shop:secret@mail.example.com")


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.example.com", SmtpServer("mail.example.com", 25, False)),
        ("smtp://u:p@mail.example.com", SmtpServer("mail.example.com", 587, False, "u", "p")),
        ("smtps://u:p%40q@mail.example.com:2465/", SmtpServer("mail.example.com", 2465, True, "u", "p@q")),
    ],
)
def test_an_address_of_a_server_is_read(url: str, server: SmtpServer) -> None:
    assert read_smtp_url(url) == server


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://x",
        "smtp://",
        "smtp://u@x",
        "smtp://x:y",
        "smtp://x/path",
        "smtp://x?tls=no",
        "smtp://x:99999",
    ],
)
def test_an_address_of_no_server_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ValueError, match=r"^(must be smtp|has a user)") as refusal:
        read_smtp_url(url)
    assert url not in str(refusal.value) or len(url) < 10


@pytest.mark.parametrize(
    "text", ["", "Shop", "Shop <shop>", "Shop <a@b.example>\r\nBcc: x@y.example", "a@b.example, c@d.example"]
)
def test_a_sender_that_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be an address"):
        read_sender(text)
