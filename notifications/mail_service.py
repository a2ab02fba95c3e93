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
    """`link`: the page on which the customer of an application pays an invoice; our front page where there is none."""

    mailer: Mailer
    templates: Templates
    link: Callable[[str, str | None], str]

    def compose(
        self,
        mail: Mail,
        to: Address,
        language: str,
        variables: Mapping[str, Any],
        *,
        message_id: str,
        now: datetime,
    ) -> EmailMessage:
        """Return a mail, ready to be sent. `variables`: those of its templates, but for sender and language."""
        sender = self.mailer.sender
        shown = {"sender": sender.display_name or sender.domain, "language": language, **variables}
        text = self.templates.render(mail, language, shown)
        return make_message(text, sender, to, message_id, now, is_reminder=mail in REMINDERS)
