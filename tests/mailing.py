"""A system whose customers get mail, which the sandbox's mail server keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

import pytest
from sqlalchemy import Row, select

from domain.dunning.mail import MailPolicy
from models.tables import outbox, payments
from models.task_messages import NOTIFY
from notifications.mail_service import MailService
from notifications.mailer import Mailer
from notifications.render import Templates
from notifications.smtp_address import read_smtp_url
from runtime import Runtime
from sandbox.mail_server import Mailbox
from sandbox.server import RunningSandbox
from tests.system import SILENT_BANKS, System

SENDER = Address(display_name="The Shop", addr_spec="billing@shop.example")
LINK = "https://pay.example/"
EMAIL = "ada@example.com"


class MailSystem(System):
    """A system with mails switched on. The customer `user-1` has an address; it is about noon where they live."""

    def __init__(self, database_url: str, sandbox: RunningSandbox, **policy: Any) -> None:
        super().__init__(database_url, sandbox)
        assert sandbox.mail is not None
        mailer = Mailer(read_smtp_url(sandbox.mail.url), SENDER)
        service = MailService(mailer, Templates(), lambda application, invoice_id: LINK)
        self.change_runtime(mail=service, policy=replace(self.runtime.policy, mail=MailPolicy(is_on=True, **policy)))
        self.call("PUT", "/customers/user-1", {"email": EMAIL, "name": "Ada", "time_zone": self.zone_at(12)})

    def change_runtime(self, **changes: Any) -> Runtime:
        """Go on with another runtime."""
        self.runtime = replace(self.runtime, **changes)
        extensions = self.client.application.extensions
        extensions["celeriac"] = replace(extensions["celeriac"], runtime=self.runtime)
        return self.runtime

    def zone_at(self, hour: int) -> str:
        """Return a time zone in which it is this hour now."""
        east = (hour - self.now().hour + 12) % 24 - 12
        # The names of these zones have the sign of POSIX, which counts to the west.
        return "Etc/GMT" if east == 0 else f"Etc/GMT{-east:+d}"

    @property
    def mailbox(self) -> Mailbox:
        """What the mail server keeps."""
        return self.sandbox.state.mailbox

    @property
    def mails(self) -> list[EmailMessage]:
        """The mails that customers have got."""
        return self.mailbox.mails

    def kinds(self) -> list[str]:
        """Return what was sent, in order."""
        return [row.kind for row in sorted(self.outbox(), key=lambda row: row.sent_at or self.now()) if row.sent_at]

    def outbox(self, *where: Any) -> list[Row[Any]]:
        """Return rows of the outbox, oldest first."""
        return self.rows(outbox, *where)

    def mail_of(self, kind: str) -> Row[Any]:
        """Return the only row of a kind."""
        [row] = self.outbox(outbox.c.kind == kind)
        return row

    def fail(self, *script: str, **changes: Any) -> str:
        """Request a subscription's payment by a card that answers so; return its id. It is tried until it rests."""
        card = self.provider.scripted_card(*(script or ("insufficient_funds", "success")))
        return self.subscribe(changes.pop("invoice", "inv"), card, **{"user_id": "user-1"} | changes)

    def fail_without_mail(self, *script: str, **changes: Any) -> str:
        """The same, and leave the mail that follows to the test."""
        publish = self.runtime.publish
        self.change_runtime(publish=lambda messages: publish(each for each in messages if each.task != NOTIFY))
        payment_id = self.fail(*script, **changes)
        self.change_runtime(publish=publish)
        return payment_id

    def is_locked(self, payment_id: str) -> bool:
        """Tell whether a transaction holds the lock of a payment now."""
        free = select(payments.c.id).where(payments.c.id == payment_id).with_for_update(skip_locked=True)
        with self.engine.begin() as connection:
            return connection.execute(free).first() is None

    def wait(self, **by: float) -> None:
        """Let time pass, and stay at the same hour of the customer's day only if whole days pass."""
        self.advance(**by)
        self.run_until_idle()


@contextmanager
def mailing(database_url: str, monkeypatch: pytest.MonkeyPatch, **policy: Any) -> Iterator[MailSystem]:
    """Open a system with mails on a migrated, empty database."""
    with RunningSandbox(replace(SILENT_BANKS, smtp_port=0)) as sandbox:
        system = MailSystem(database_url, sandbox, **policy)
        system.tasks_run_in(monkeypatch)
        yield system
        system.close()
