"""Mails about a debt: each is sent once, while it is true, and never after success."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

import tasks.notify
from domain.declines.classes import DeclineReason
from domain.declines.wording import sentence
from domain.dunning.policy import DunningPolicy, EndAction
from domain.wording import day_text
from models.ends import rows_without_end
from models.outbox import write_card_reminder
from models.session import read
from models.tables import attention, outbox
from sandbox.mail_pages import part_of
from sandbox.mail_server import HANG_UP
from tests.mailing import EMAIL, LINK, MailSystem, mailing
from worker.start import say_what_is_missing

pytestmark = pytest.mark.postgres
SOFT = "insufficient_funds"


@pytest.fixture
def system(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSystem]:
    """A system with mails, and with servers between which locks matter."""
    with mailing(postgres_url, monkeypatch) as running:
        yield running


def test_a_soft_decline_leads_to_one_friendly_mail(system: MailSystem) -> None:
    payment_id = system.fail(SOFT, "success")
    [mail] = system.mails
    assert str(mail["To"]) == f"Ada <{EMAIL}>"
    assert str(mail["From"]) == "The Shop <billing@shop.example>"
    assert str(mail["Subject"]) == "Your payment of 12.30 EUR did not go through"
    row = system.mail_of("first_failure")
    assert (row.state, row.message_id, row.last_error) == ("sent", str(mail["Message-ID"]), None)
    assert str(mail["Message-ID"]) == f"<{row.id}@shop.example>"
    assert mail["List-Unsubscribe"] is None
    for part in (part_of(mail, "plain"), part_of(mail, "html")):
        assert "12.30 EUR" in part
        assert LINK in part
        assert "Hello Ada" in part
    [shown] = system.get(f"/{payment_id}").json["dunning"]["mails"]
    assert (shown["mail"], shown["state"], shown["reason"]) == ("first_failure", "sent", None)

    for _ in range(3):
        system.run("payments.notify", row.id)
        system.wait(minutes=1)
    assert len(system.mails) == 1


def test_a_case_that_is_never_paid_gets_each_mail_once(system: MailSystem) -> None:
    system.fail(SOFT, SOFT, SOFT, SOFT)
    for _ in range(23):
        system.wait(days=1)
    assert system.kinds() == ["first_failure", "mid_dunning", "final_attempt", "canceled"]
    assert len(system.mails) == 4
    last_notice = part_of(system.mails[2], "plain")
    assert "Your subscription stops after that day." in last_notice
    assert [str(row.state) for row in system.outbox()] == ["sent"] * 4


def test_who_pays_after_a_mail_is_thanked(system: MailSystem) -> None:
    system.fail(SOFT, "success")
    system.wait(days=3, minutes=1)
    assert system.kinds() == ["first_failure", "recovered"]


def test_who_pays_by_another_payment_is_thanked_without_a_sweep(system: MailSystem) -> None:
    system.fail(SOFT)
    system.pay(user_id="user-1")
    system.run_until_idle()
    assert system.kinds() == ["first_failure", "recovered"]


def test_who_was_never_told_of_a_failure_is_not_thanked(system: MailSystem) -> None:
    system.mailbox.order("connect", "421 busy", times=100)
    system.fail(SOFT, "success")
    system.wait(days=3, minutes=1)
    assert system.mails == []
    assert (system.mail_of("recovered").state, system.mail_of("recovered").last_error) == ("suppressed", "never_told")
    system.mailbox.forget_orders()
    system.wait(days=1)
    assert system.mails == []
    assert system.mail_of("first_failure").state in ("failed", "suppressed")


def test_a_decline_that_only_the_customer_can_mend_asks_for_another_method(system: MailSystem) -> None:
    system.fail("expired_card")
    assert system.kinds() == ["method_update"]
    assert "Update the payment method" in part_of(system.mails[0], "html")


@pytest.mark.parametrize("code", ["fraudulent", "merchant_blacklist"])
def test_a_decline_for_risk_gets_no_mail_to_the_end(system: MailSystem, code: str) -> None:
    system.fail(code)
    for _ in range(9):
        system.wait(days=1)
    assert system.mails == []
    assert {(row.state, row.last_error) for row in system.outbox()} == {("suppressed", "risk")}


def test_no_mail_about_an_outage(system: MailSystem) -> None:
    system.fail("processing_error", "processing_error", "success")
    rows = system.outbox()
    assert all(row.kind != "method_update" for row in rows)


def test_an_application_that_cancels_tells_its_customer_itself(system: MailSystem) -> None:
    payment_id = system.fail(SOFT, SOFT)
    system.request(f"/{payment_id}/cancel")
    system.run_until_idle()
    assert system.kinds() == ["first_failure"]
    assert len(system.outbox()) == 1


def test_a_payment_without_a_subscription_gets_no_mail(system: MailSystem) -> None:
    system.pay("inv", "pm_card_chargeDeclined", user_id="user-1")
    system.run_until_idle()
    assert system.outbox() == []


def test_the_same_on_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailing(sqlite_url, monkeypatch) as system:
        system.fail(SOFT, SOFT, "success")
        system.wait(days=3, minutes=1)
        system.wait(days=4, minutes=1)
        assert system.kinds() == ["first_failure", "mid_dunning", "recovered"]
        assert len(system.mails) == 3


@pytest.mark.parametrize("language", ["en", "de"])
def test_each_mail_says_why_the_bank_has_declined(system: MailSystem, language: str) -> None:
    customer = {"email": EMAIL, "name": "Ada", "time_zone": system.zone_at(12), "language": language}
    assert system.call("PUT", "/customers/user-1", customer).status_code == 200
    system.fail(SOFT, SOFT, SOFT, SOFT)
    for _ in range(15):
        system.wait(days=1)
    system.fail("expired_card", invoice="inv-2", subscription_id="sub-2")
    assert system.kinds() == ["first_failure", "mid_dunning", "final_attempt", "method_update"]
    for mail, reason in zip(system.mails, [*[DeclineReason.FUNDS] * 3, DeclineReason.EXPIRED], strict=True):
        for part in (part_of(mail, "plain"), part_of(mail, "html")):
            assert sentence(reason, language) in part


def test_a_mail_names_the_day_on_which_access_ends_and_none_where_it_does_not(system: MailSystem) -> None:
    keep = DunningPolicy(end_action=EndAction.KEEP)
    system.subscribe("inv-0", "pm_card_visa", user_id="user-1")
    system.fail("expired_card")
    system.change_runtime(policy=replace(system.runtime.policy, dunning=keep))
    system.fail("expired_card", invoice="inv-2", subscription_id="sub-2")
    until = datetime.fromisoformat(system.get("/subscriptions/sub").json["until"])
    day = day_text(until.astimezone(ZoneInfo(system.zone_at(12))), "en")
    ending, kept = (part_of(mail, "plain") for mail in system.mails)
    assert f"Please do so by {day}; until then nothing changes for you." in ending
    assert "until then" not in kept


# --- who gets none ---


def test_without_an_address_no_mail_is_sent_and_the_case_says_so(system: MailSystem) -> None:
    payment_id = system.fail(user_id="user-2")
    assert system.mails == []
    [shown] = system.get(f"/{payment_id}").json["dunning"]["mails"]
    assert (shown["state"], shown["reason"]) == ("suppressed", "no_address")


@pytest.mark.parametrize("status", ["bounced", "complained"])
def test_a_bounce_or_a_complaint_stops_mail(system: MailSystem, status: str) -> None:
    path = "/admin/customers/user-1/mail-status"
    assert system.post(path, {"status": status}, caller="operator").status_code == 200
    system.fail()
    assert system.mails == []
    assert system.mail_of("first_failure").last_error == status


def test_a_mailbox_that_does_not_exist_counts_as_a_bounce(system: MailSystem) -> None:
    system.mailbox.order("rcpt", "550 5.1.1 no such mailbox ada@example.com", times=100)
    payment_id = system.fail(SOFT, SOFT)
    row = system.mail_of("first_failure")
    assert (row.state, row.last_error) == ("failed", "smtp_550")
    assert system.get("/customers/user-1").json["mail_status"] == "bounced"
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id) == ("mail_refused", payment_id)
    system.mailbox.forget_orders()
    system.wait(days=3, minutes=1)
    assert system.mails == []
    assert system.mail_of("mid_dunning").last_error == "bounced"


def test_what_a_refused_mail_is_about_ends_with_its_case(system: MailSystem) -> None:
    system.mailbox.order("rcpt", "550 5.1.1 no such mailbox")
    system.fail(SOFT, "success")
    [entry] = system.rows(attention)
    assert entry.closed_at is None
    system.wait(days=3, minutes=1)
    [entry] = system.rows(attention)
    assert (entry.closed_at is not None, entry.resolution) == (True, "ended")


def test_a_person_has_a_refused_mail_sent_again(system: MailSystem) -> None:
    system.mailbox.order("rcpt", "550 5.1.1 no such mailbox")
    system.fail()
    assert system.call("PUT", "/customers/user-1", {"email": "ada@example.org"}).status_code == 200
    [entry] = system.rows(attention)
    system.request(
        f"/admin/attention/{entry.id}/resolve",
        {"action": "look_again", "note": "has a new address"},
        caller="operator",
        Idempotency_Key="again",
    )
    system.wait(hours=0, minutes=1)
    for _ in range(24):
        system.wait(hours=1)
    assert [str(mail["To"]) for mail in system.mails] == ["ada@example.org"]
    [entry] = system.rows(attention)
    assert entry.closed_at is not None


def test_a_card_that_expires_is_told_once_and_can_be_unsubscribed_from(system: MailSystem) -> None:
    about: dict[str, Any] = {"expires": "03/2027", "card": "•••• 4242"}
    for days in (30, 30, 14):
        message = system.runtime.change("test", write_card_reminder, "shop", "user-1", "pm_1", about | {"days": days})
        if message is not None:
            system.run(*message)
    assert [str(mail["Subject"]) for mail in system.mails] == ["Your card expires soon"] * 2
    for mail in system.mails:
        assert str(mail["List-Unsubscribe"]) == "<mailto:billing@shop.example?subject=unsubscribe>"
        assert "•••• 4242" in part_of(mail, "plain")


def test_a_refused_reminder_is_about_no_payment(system: MailSystem) -> None:
    system.mailbox.order("accept", "554 5.6.0 not this")
    message = system.runtime.change(
        "test", write_card_reminder, "shop", "user-1", "pm_1", {"expires": "03/2027", "days": 3}
    )
    assert message is not None
    system.run(*message)
    [entry] = system.rows(attention)
    assert (entry.reason, entry.provider) == ("mail_refused", "mail")
    again = {"action": "look_again", "note": "mended"}
    system.request(f"/admin/attention/{entry.id}/resolve", again, caller="operator", Idempotency_Key="again")
    system.run_until_idle()
    assert len(system.mails) == 1
    [entry] = system.rows(attention)
    assert entry.closed_at is not None


# --- when ---


def test_nobody_gets_mail_at_night(system: MailSystem) -> None:
    system.call("PUT", "/customers/user-1", {"email": EMAIL, "time_zone": system.zone_at(23)})
    system.fail(SOFT, SOFT)
    assert system.mails == []
    row = system.mail_of("first_failure")
    assert (row.state, row.last_error) == ("waiting", "quiet_hours")
    system.wait(hours=8)
    assert system.mails == []
    system.wait(hours=2)
    assert system.kinds() == ["first_failure"]


def test_a_mail_server_that_is_down_holds_up_mail_and_nothing_else(system: MailSystem) -> None:
    system.mailbox.order("connect", HANG_UP, times=6)
    system.fail(SOFT, SOFT)
    assert system.mail_of("first_failure").last_error == "disconnected"
    for _ in range(8):
        system.wait(minutes=20)
    assert system.kinds() == ["first_failure"]
    assert len(system.mails) == 1
    [entry] = system.rows(attention)
    assert (entry.reason, entry.provider) == ("mail_unsent", "mail")
    assert entry.closed_at is not None


def test_a_mail_server_that_stays_down_ends_on_the_list_once(system: MailSystem) -> None:
    system.mailbox.order("connect", HANG_UP, times=1000)
    for number in range(2):
        system.fail(SOFT, SOFT, invoice=f"inv-{number}", subscription_id=f"sub-{number}")
    for _ in range(30):
        system.wait(hours=3)
    assert {row.state for row in system.outbox(outbox.c.kind == "first_failure")} <= {"failed", "suppressed"}
    entries = system.rows(attention, attention.c.closed_at.is_(None))
    assert [(entry.reason, entry.provider) for entry in entries] == [("mail_unsent", "mail")]


def test_mail_without_its_settings_waits_with_an_end_and_says_so(system: MailSystem) -> None:
    system.change_runtime(mail=None, missing_for_mail=("SMTP_URL", "PUBLIC_URL"))
    system.fail(SOFT, SOFT)
    assert (system.mail_of("first_failure").state, system.mail_of("first_failure").last_error) == (
        "waiting",
        "not_configured",
    )
    [entry] = system.rows(attention)
    assert (entry.reason, entry.provider, entry.data["missing"]) == ("mail_unsent", "mail", "SMTP_URL, PUBLIC_URL")
    for _ in range(4):
        system.wait(days=1)
    assert system.mail_of("first_failure").state in ("failed", "suppressed")


def test_a_worker_says_at_start_what_is_missing_for_mail(system: MailSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    say_what_is_missing()
    assert system.rows(attention) == []
    system.change_runtime(mail=None, missing_for_mail=("MAIL_FROM",))
    for _ in range(2):
        say_what_is_missing()
    [entry] = system.rows(attention)
    assert (entry.reason, entry.provider, entry.data["missing"]) == ("mail_unsent", "mail", "MAIL_FROM")


# --- never after success, and once ---


@pytest.mark.parametrize("step", ["connect", "mail", "rcpt", "data"])
def test_no_mail_after_success(system: MailSystem, step: str) -> None:
    """The customer pays while the mail is being sent."""
    payment_id = system.fail_without_mail(SOFT)
    reference = system.reference(payment_id)

    def pay() -> None:
        system.mailbox.hooks.clear()
        system.provider.call("POST", f"/v1/payment_intents/{reference}/confirm", {"payment_method": "pm_card_visa"})
        event = system.provider.event("payment_intent.succeeded", reference)
        row_id = system.deliver(event)
        system.messages.clear()
        system.run("payments.webhook", row_id)
        assert system.state(payment_id) == "captured"

    system.mailbox.hooks[step] = pay
    system.run("payments.notify", system.mail_of("first_failure").id)
    assert system.mails == []
    row = system.mail_of("first_failure")
    assert (row.state, row.last_error, row.begun) == ("suppressed", "no_longer_true", 0)
    system.wait(minutes=1)
    assert (system.mails, system.mail_of("recovered").last_error) == ([], "never_told")


def test_a_success_waits_for_a_mail_that_is_being_handed_over(system: MailSystem) -> None:
    """The payment is locked meanwhile, so the success is written after the mail."""
    payment_id = system.fail_without_mail(SOFT)
    locked: list[bool] = []

    def look() -> None:
        locked.append(system.is_locked(payment_id))

    system.mailbox.hooks["accept"] = look
    system.run("payments.notify", system.mail_of("first_failure").id)
    assert locked == [True]
    assert len(system.mails) == 1
    assert not system.is_locked(payment_id)


class Killed(BaseException):
    """The process dies."""


def kill_at(monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    """Let the process die at a failpoint, as often as it comes there."""

    def reach(name: str) -> None:
        if name == point:
            raise Killed

    monkeypatch.setattr("tasks.notify.reach", reach)


def test_a_worker_that_dies_before_it_sends_costs_no_mail(system: MailSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    system.fail_without_mail(SOFT, SOFT)
    row_id = system.mail_of("first_failure").id
    for _ in range(4):
        with monkeypatch.context() as patch:
            kill_at(patch, "mail.claimed")
            with pytest.raises(Killed):
                system.run("payments.notify", row_id)
        system.move_clock(minutes=3)
    system.wait(minutes=3)
    assert len(system.mails) == 1
    assert system.mail_of("first_failure").state == "sent"


def test_a_worker_that_dies_after_the_mail_was_accepted_sends_it_once_more_at_most(
    system: MailSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = system.fail_without_mail(SOFT, SOFT)
    row_id = system.mail_of("first_failure").id
    with monkeypatch.context() as patch:
        kill_at(patch, "mail.accepted")
        for _ in range(4):
            try:
                system.run("payments.notify", row_id)
            except Killed:
                system.move_clock(minutes=3)
    assert len(system.mails) == 2
    assert len({str(mail["Message-ID"]) for mail in system.mails}) == 1
    row = system.mail_of("first_failure")
    assert (row.state, row.last_error) == ("failed", "outcome_unknown")
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id) == ("mail_refused", payment_id)


def test_a_server_that_keeps_a_mail_and_is_silent_gets_it_once_more_at_most(system: MailSystem) -> None:
    system.mailbox.order("accept", HANG_UP, times=10)
    system.fail(SOFT, SOFT)
    for _ in range(5):
        system.wait(minutes=31)
    assert len(system.mails) == 2
    assert len({str(mail["Message-ID"]) for mail in system.mails}) == 1
    assert system.mail_of("first_failure").state == "failed"


def test_two_workers_send_one_mail(system: MailSystem) -> None:
    system.fail_without_mail(SOFT, SOFT)
    row_id = system.mail_of("first_failure").id
    system.mailbox.hooks["connect"] = lambda: system.run("payments.notify", row_id)
    system.run("payments.notify", row_id)
    assert len(system.mails) == 1


def test_a_worker_that_was_overtaken_sends_nothing(system: MailSystem) -> None:
    system.fail_without_mail(SOFT, SOFT)
    row_id = system.mail_of("first_failure").id

    def overtake() -> None:
        system.mailbox.hooks.clear()
        system.move_clock(minutes=5)
        system.run("payments.notify", row_id)

    system.mailbox.hooks["connect"] = overtake
    system.run("payments.notify", row_id)
    assert len(system.mails) == 1


# --- the storm brake ---


def test_a_storm_of_failures_is_held_back(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailing(postgres_url, monkeypatch, most_per_hour=3) as system:
        for number in range(6):
            system.fail(SOFT, SOFT, invoice=f"inv-{number}", subscription_id=f"sub-{number}")
        assert len(system.mails) == 3
        assert sorted(row.last_error or "" for row in system.outbox()) == ["", "", "", *["held_back"] * 3]
        [entry] = system.rows(attention)
        assert (entry.reason, entry.provider, entry.data["application"]) == ("mail_held_back", "mail", "shop")
        system.wait(minutes=59)
        assert len(system.mails) == 3
        for _ in range(3):
            system.wait(minutes=11)
        assert len(system.mails) == 6


# --- bugs of ours ---


class Poison(Exception):
    """A bug of ours."""


def test_a_mail_that_cannot_be_composed_stops_no_other_and_ends_on_the_list(
    system: MailSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = system.fail_without_mail(SOFT, SOFT, invoice="inv-bad", subscription_id="bad")
    system.fail_without_mail(SOFT, SOFT, invoice="inv-good", subscription_id="good")
    genuine = tasks.notify._variables

    def poisoned(service: Any, letter: Any) -> Any:
        if letter.payment_id == bad:
            raise Poison
        return genuine(service, letter)

    with monkeypatch.context() as patch:
        patch.setattr("tasks.notify._variables", poisoned)
        for _ in range(12):
            work(system)
        assert len(system.mails) == 1
        [entry] = system.rows(attention)
        assert (entry.reason, entry.payment_id) == ("failing_row", bad)
        assert 5 <= system.outbox(outbox.c.payment_id == bad)[0].failures < 12
    for _ in range(6):
        work(system)
    assert len(system.mails) == 2
    assert system.rows(attention)[0].closed_at is not None
    assert read(system.engine, rows_without_end) == []


def work(system: MailSystem) -> None:
    """Let a minute pass, and beat and workers do what has become due."""
    system.move_clock(minutes=1)
    system.sweep()
    while system.messages:
        with suppress(Poison):
            system.run(*system.messages.pop(0))


# --- personal data ---


def test_no_address_and_no_name_leave_their_table(system: MailSystem, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    system.call("PUT", "/customers/user-1", {"email": "secret.ada@example.com", "name": "Zebedee"} | zone(system))
    system.mailbox.order("rcpt", "450 4.2.1 secret.ada@example.com is busy")
    system.fail(SOFT, SOFT)
    system.wait(minutes=5)
    assert len(system.mails) == 1
    stored = system.dump()
    for word in ("secret.ada", "Zebedee"):
        assert word not in caplog.text
        assert stored.count(word) == 1


def zone(system: MailSystem) -> dict[str, Any]:
    """Return the fields of a customer where it is about noon."""
    return {"time_zone": system.zone_at(12)}
