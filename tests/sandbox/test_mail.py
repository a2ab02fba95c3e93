"""The sandbox's mail server, the page on which people read its mails, and the control routes."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email.message import EmailMessage

import pytest
import requests

from sandbox.server import RunningSandbox
from sandbox.state import Settings

SECONDS = 10


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox with a mail server."""
    with RunningSandbox(Settings(smtp_port=0)) as running:
        yield running


def send(sandbox: RunningSandbox, subject: str) -> None:
    """Send a mail as any program does."""
    assert sandbox.mail is not None
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "shop@example.com", "ada@example.com", subject
    mail.set_content("Grüße als Text")
    mail.add_alternative("<p>Grüße als HTML</p>", subtype="html")
    host, port = sandbox.mail.url.removeprefix("smtp://").split(":")
    with smtplib.SMTP(host, int(port), timeout=SECONDS) as connection:
        connection.send_message(mail)


def get(sandbox: RunningSandbox, path: str) -> requests.Response:
    return requests.get(sandbox.url + path, timeout=SECONDS)


def test_a_person_reads_what_was_sent(sandbox: RunningSandbox) -> None:
    assert "No mail was sent" in get(sandbox, "/mail").text
    send(sandbox, "Erste <b>Mail</b>")
    send(sandbox, "Zweite Mail")
    page = get(sandbox, "/mail").text
    assert page.index("Zweite Mail") < page.index("Erste &lt;b&gt;Mail&lt;/b&gt;")
    shown = get(sandbox, "/mail/0").text
    assert "Grüße als Text" in shown
    assert '<iframe src="/mail/0/html" sandbox="allow-popups allow-popups-to-escape-sandbox"' in shown
    html = get(sandbox, "/mail/0/html")
    assert "<p>Grüße als HTML</p>" in html.text
    assert "default-src 'none'" in html.headers["Content-Security-Policy"]
    assert "Grüße als Text" in get(sandbox, "/mail/1/text").text
    assert get(sandbox, "/mail/2").status_code == 404


def test_a_test_reads_what_was_sent(sandbox: RunningSandbox) -> None:
    send(sandbox, "Hello")
    [mail] = get(sandbox, "/_sandbox/mail").json()["mails"]
    assert (mail["to"], mail["subject"], mail["list_unsubscribe"]) == ("ada@example.com", "Hello", None)
    assert mail["text"].strip() == "Grüße als Text"


def test_a_test_sees_which_sender_went_away_after_its_mail_was_accepted(sandbox: RunningSandbox) -> None:
    send(sandbox, "Of one that lives")
    assert sandbox.mail is not None
    host, port = sandbox.mail.url.removeprefix("smtp://").split(":")
    dying = smtplib.SMTP(host, int(port), timeout=SECONDS)
    dying.sendmail("shop@example.com", ["ada@example.com"], b"Subject: Of one that dies\r\n\r\nHello")
    dying.close()
    lived, died = get(sandbox, "/_sandbox/mail").json()["mails"]
    assert 0 < lived["quit_after_seconds"] < SECONDS
    assert died["quit_after_seconds"] is None


def test_a_test_orders_a_refusal(sandbox: RunningSandbox) -> None:
    order = {"step": "rcpt", "response": "550 5.1.1 no such mailbox", "times": 1}
    path = f"{sandbox.url}/_sandbox/mail/responses"
    assert requests.post(path, json=order, timeout=SECONDS).ok
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        send(sandbox, "refused")
    send(sandbox, "accepted")
    assert requests.post(path, json=order | {"times": 9}, timeout=SECONDS).ok
    assert requests.delete(path, timeout=SECONDS).ok
    send(sandbox, "accepted again")
    assert len(sandbox.state.mailbox.mails) == 2
    for wrong in ({"step": "lunch"}, {"response": "550 no\r\n250 yes"}, {"times": 0}, {"extra": 1}):
        assert requests.post(path, json=order | wrong, timeout=SECONDS).status_code == 400


def test_without_a_port_there_is_no_mail_server() -> None:
    with RunningSandbox(Settings()) as running:
        assert running.mail is None
        assert "No mail was sent" in get(running, "/mail").text
