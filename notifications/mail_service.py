"""What a process sends mail with: templates, server and addresses; and what is missing for it, if anything is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from typing import Any

from domain.dunning.mail import REMINDERS, Mail
from notifications.mailer import Mailer, make_message
from notifications.render import Templates


@dataclass(frozen=True, slots=True)
class MailService:
    """`link`: the page on which the customer of an application pays an invoice; our front page where there is none.
    `unsubscribe`: where the customer of a reminder wants no more of them, by its row; `method`: where they store
    another card. None where there are no such pages."""

    mailer: Mailer
    templates: Templates
    link: Callable[[str, str | None], str]
    unsubscribe: Callable[[str], str] | None = None
    method: Callable[[str], str] | None = None

    def compose(
        self,
        mail: Mail,
        to: Address,
        language: str,
        variables: Mapping[str, Any],
        *,
        message_id: str,
        now: datetime,
        row_id: str = "",
    ) -> EmailMessage:
        """Return a mail of a row, ready to be sent. `variables`: those of its templates, but for sender and
        language."""
        sender = self.mailer.sender
        shown = {"sender": sender.display_name or sender.domain, "language": language, **variables}
        if mail in REMINDERS:
            shown["unsubscribe"] = self.unsubscribe(row_id) if self.unsubscribe is not None else None
        text = self.templates.render(mail, language, shown)
        leaving = self._ways_to_unsubscribe(row_id) if mail in REMINDERS else ()
        return make_message(text, sender, to, message_id, now, unsubscribe=leaving)

    def address(self, mail: Mail, row_id: str, application: str, invoice_id: str | None) -> str:
        """Return the address that a mail leads to: the page of its invoice, or the one to store another card."""
        if mail in REMINDERS and self.method is not None:
            return self.method(row_id)
        return self.link(application, invoice_id)

    def _ways_to_unsubscribe(self, row_id: str) -> tuple[str, ...]:
        by_mail = f"mailto:{self.mailer.sender.addr_spec}?subject=unsubscribe"
        return (self.unsubscribe(row_id), by_mail) if self.unsubscribe is not None else (by_mail,)
