"""Sends what is due in the outbox: composes a mail, offers its address, and hands it over under the payment's lock."""

from __future__ import annotations

import logging
from datetime import datetime
from email.headerregistry import Address
from typing import Any

from celery import shared_task

from domain.declines.wording import sentence
from domain.wording import amount_text, day_text, method_text
from models.failpoints import reach
from models.mail_sending import Letter, begin_hand_over, claim_mail, hand_over, record_refusal
from models.task_messages import NOTIFY
from notifications.mail_service import MailService
from notifications.mailer import MailRefused, Offer
from runtime import Runtime
from tasks.failing_rows import counting_failures
from tasks.payment_task import ACTOR, PaymentTask

_log = logging.getLogger(__name__)
# Of a worker whose mails are off, and which finds a row that another process has written.
_OFF = ("DUNNING_EMAIL_ENABLED",)


@shared_task(bind=True, base=PaymentTask, name=NOTIFY)
def notify(self: PaymentTask, row_id: str) -> None:
    """Send a due row of the outbox, once."""
    runtime = self.runtime
    with counting_failures(runtime, NOTIFY, row_id):
        missing = () if runtime.mail is not None else runtime.missing_for_mail or _OFF
        letter = runtime.change(ACTOR, claim_mail, row_id, missing=missing)
        if letter is not None and runtime.mail is not None:
            reach("mail.claimed")
            _send(runtime, runtime.mail, letter)


def _send(runtime: Runtime, service: MailService, letter: Letter) -> None:
    message_id = letter.message_id or service.mailer.message_id(letter.row_id)
    to = Address(display_name=letter.name or "", addr_spec=letter.to)
    variables = _variables(service, letter)
    message = service.compose(
        letter.mail,
        to,
        letter.language,
        variables,
        message_id=message_id,
        now=runtime.clock.now(),
        row_id=letter.row_id,
    )
    try:
        with service.mailer.offering(message) as offer:
            if runtime.change(ACTOR, begin_hand_over, letter, message_id):
                _hand_over(runtime, letter, offer)
    except MailRefused as refused:
        _log.warning("mail %s was not accepted: %s", letter.row_id, refused.word)
        runtime.change(ACTOR, record_refusal, letter, refused.refusal, refused.word, is_begun=refused.is_begun)


def _hand_over(runtime: Runtime, letter: Letter, offer: Offer) -> None:
    reach("mail.begun")
    runtime.change(ACTOR, hand_over, letter, _Delivery(offer))
    reach("mail.sent")


class _Delivery:
    """Hands over, and may die after it: the one moment in which nobody knows that the mail is sent."""

    def __init__(self, offer: Offer) -> None:
        self._offer = offer

    @property
    def is_accepted(self) -> bool:
        """Whether the server has accepted the mail."""
        return self._offer.is_accepted

    def hand_over(self) -> None:
        """Hand the mail over. Raises MailRefused."""
        self._offer.hand_over()
        reach("mail.accepted")


def _variables(service: MailService, letter: Letter) -> dict[str, Any]:
    """Return what the templates of a mail may use, written for its reader."""
    url = service.address(letter.mail, letter.row_id, letter.application, letter.invoice_id)
    shown: dict[str, Any] = {"name": letter.name, "url": url}
    if letter.amount is None or letter.currency is None:
        return shown | {"card": None, **letter.data}
    return shown | {
        "amount": amount_text(letter.amount, letter.currency, letter.language),
        "invoice": letter.invoice_id,
        "subscription": letter.subscription_id,
        "next_attempt": _day(letter, letter.next_retry_at),
        "ends_on": _day(letter, letter.ends_at),
        "decline": letter.decline and sentence(letter.decline, letter.language),
        "method": method_text(letter.language, *letter.method) if letter.method is not None else None,
    }


def _day(letter: Letter, at: datetime | None) -> str | None:
    return None if at is None else day_text(at.astimezone(letter.zone), letter.language)
