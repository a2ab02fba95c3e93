"""Backup methods: charged only with the customer's consent, only after a soft decline, once for each case, in order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.dunning.policy import MONITOR_ONLY
from models.tables import backup_methods, dunning_cases, events, payments
from sandbox.mail_pages import part_of
from tests.integration.test_disputes import dispute, events_of
from tests.mailing import MailSystem, mailing
from tests.system import Json, System

pytestmark = pytest.mark.postgres
METHODS, BACKUPS = "/customers/user-1/payment-methods", "/customers/user-1/backup-methods"
SOFT = "insufficient_funds"
WORDING = "If my card is declined, charge my other card."


@pytest.fixture
def system(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MailSystem]:
    """A system with mails."""
    with mailing(postgres_url, monkeypatch) as running:
        yield running


def save(system: System, card: str = "pm_card_visa", **more: Any) -> str:
    """Save a card of the user; return its token."""
    return str(system.request(METHODS, {"payment_method_token": card} | more)["payment_method_token"])


def scripted(system: System, *script: str) -> str:
    """Save a card that answers so; return its token."""
    return save(system, system.provider.scripted_card(*script))


def agreed(token: str, **changes: Any) -> Json:
    """Return a backup method with the customer's consent."""
    consent = {"agreed_at": "2026-11-01T12:00:00Z", "wording": WORDING, "channel": "checkout"}
    return {"payment_method_token": token, "consent": consent | changes}


def agree(system: System, *tokens: str) -> Json:
    """Store these methods as backups; return what is listed then."""
    response = system.call("PUT", BACKUPS, {"backup_methods": [agreed(token) for token in tokens]})
    assert response.status_code == 200, response.text
    listed: Json = response.json
    return listed


def fail(system: System, *script: str, **changes: Any) -> str:
    """Request a subscription's payment by a saved card that answers so, until nothing more happens by itself."""
    chosen = scripted(system, *(script or (SOFT, "success")))
    return system.subscribe("inv", chosen, **{"user_id": "user-1", "off_session": True} | changes)


def others(system: System, payment_id: str) -> list[Any]:
    """Return the payments of backup methods, oldest first."""
    return system.rows(payments, payments.c.id != payment_id)


def the_case(system: System) -> Json:
    [row] = system.rows(dunning_cases)
    found: Json = system.get(f"/admin/dunning/{row.id}", caller="operator").json
    return found


# --- consent ---


def test_backups_are_stored_in_order_with_their_consent_listed_and_removed(system: MailSystem) -> None:
    first, second = save(system), save(system, "pm_card_mastercard")
    assert system.get(BACKUPS).json == {"backup_methods": []}
    listed = agree(system, second, first)["backup_methods"]
    assert [(one["payment_method_token"], one["last4"]) for one in listed] == [(second, "4444"), (first, "4242")]
    assert listed[0]["consent"] == {
        "agreed_at": "2026-11-01T12:00:00.000Z",
        "wording": WORDING,
        "channel": "checkout",
    }
    assert listed[0]["recorded_by"].endswith("shop")
    assert system.get(BACKUPS, caller="other").json == {"backup_methods": []}
    assert [one["payment_method_token"] for one in agree(system, first)["backup_methods"]] == [first]
    removed = system.call("DELETE", f"{BACKUPS}/{first}")
    assert (removed.status_code, removed.json) == (200, {"backup_methods": []})
    assert system.call("DELETE", f"{BACKUPS}/{first}").status_code == 404
    # What was agreed to stays on record.
    assert len(system.rows(backup_methods, backup_methods.c.removed_at.is_not(None))) == 2
    told = [row.name for row in system.rows(events, events.c.name.startswith("backup_method_"))]
    assert sorted(told) == ["backup_method_agreed"] * 2 + ["backup_method_removed"] * 2


def test_without_a_consent_or_for_a_method_of_another_nothing_is_stored(system: MailSystem) -> None:
    token = save(system)
    theirs = system.request("/customers/bob/payment-methods", {"payment_method_token": "pm_card_visa"})
    tomorrow = "2099-01-01T00:00:00Z"
    refused = {
        404: [[agreed(theirs["payment_method_token"])], [agreed("pm_unknown")], [agreed(token), agreed("pm_unknown")]],
        422: [
            [{"payment_method_token": token}],
            [agreed(token, wording="")],
            [agreed(token, agreed_at=None)],
            [agreed(token, agreed_at=tomorrow)],
            [agreed(token), agreed(token)],
            [agreed(f"pm_{number}") for number in range(6)],
        ],
    }
    for status, bodies in refused.items():
        for body in bodies:
            response = system.call("PUT", BACKUPS, {"backup_methods": body})
            assert (response.status_code, "pm_" in response.text) == (status, False), response.text
    assert system.rows(backup_methods) == []


def test_a_removed_method_is_no_backup_any_more(system: MailSystem) -> None:
    token = save(system)
    agree(system, token)
    assert system.call("DELETE", f"{METHODS}/{token}").status_code == 200
    assert system.get(BACKUPS).json == {"backup_methods": []}


# --- charging ---


def test_a_backup_pays_after_a_soft_decline_and_the_mail_names_it(system: MailSystem) -> None:
    agree(system, save(system))
    payment_id = fail(system)
    [backup] = others(system, payment_id)
    assert (system.state(payment_id), backup.state, system.subscription_status()) == ("canceled", "captured", "active")
    assert backup.is_off_session
    assert [row.cause for row in system.attempts(backup.id)] == ["backup_method"]
    assert system.dunning_case(payment_id).state == "recovered"
    assert system.provider.movements() == [("charge", 1230)]
    system.wait(minutes=6)
    assert system.kinds() == ["backup_charged"]
    [mail] = system.mails
    assert str(mail["Subject"]) == "Your payment of 12.30 EUR went through with Visa ending in 4242"
    for part in (part_of(mail, "plain"), part_of(mail, "html")):
        assert "Visa ending in 4242" in part
        assert "As you have agreed" in part
    shown = the_case(system)
    assert (shown["tries"], [one.get("cause") for one in shown["attempts"]]) == (2, [None, "backup_method"])
    assert "backup_method_tried" in [event["name"] for event in shown["events"]]
    # Nothing more is tried, and a month later nobody was charged again.
    for _ in range(5):
        system.wait(days=7)
    assert system.provider.movements() == [("charge", 1230)]


def test_without_a_backup_nothing_changes(system: MailSystem) -> None:
    payment_id = fail(system)
    assert (system.state(payment_id), others(system, payment_id)) == ("past_due", [])


@pytest.mark.parametrize("code", ["expired_card", "lost_card", "fraudulent"])
def test_after_a_harder_decline_the_customer_decides(system: MailSystem, code: str) -> None:
    agree(system, save(system))
    payment_id = fail(system, code)
    assert others(system, payment_id) == []


def test_backups_are_tried_in_order_once_for_a_case_and_the_plan_stays(system: MailSystem) -> None:
    agree(system, scripted(system, SOFT), scripted(system, "lost_card"))
    payment_id = fail(system, SOFT, SOFT, "success")
    first = system.dunning_case(payment_id)
    assert [row.state for row in others(system, payment_id)] == ["declined", "declined"]
    assert (first.retry, first.due_at - first.first_failed_at) == (1, timedelta(days=3))
    system.wait(minutes=6)
    assert system.kinds() == ["first_failure"]
    system.wait(days=3)
    case = system.dunning_case(payment_id)
    assert (case.retry, len(others(system, payment_id))) == (2, 2)
    system.wait(days=4)
    assert (system.state(payment_id), system.subscription_status()) == ("captured", "active")


def test_a_blocked_a_detached_and_an_unfit_backup_are_skipped(system: MailSystem) -> None:
    dead, gone, good = scripted(system, "lost_card"), save(system, "pm_card_mastercard"), save(system)
    system.pay("dead", dead, user_id="user-1", off_session=True)
    system.run_until_idle()
    agree(system, dead, gone, good)
    system.provider.call("POST", f"/v1/payment_methods/{gone}/detach")
    system.deliver_and_run(system.provider.event("payment_method.detached", gone))
    payment_id = system.subscribe("inv", scripted(system, SOFT), user_id="user-1", off_session=True)
    paid = system.rows(payments, payments.c.invoice_id == "inv", payments.c.id != payment_id)
    assert [(row.method_token, row.state) for row in paid] == [(good, "captured")]


def test_the_chosen_card_is_no_backup_of_itself(system: MailSystem) -> None:
    card = save(system, system.provider.scripted_card(SOFT, "success"), default=True)
    agree(system, card)
    payment_id = system.subscribe("inv", card, user_id="user-1", off_session=True, payment_method_token=None)
    assert (system.state(payment_id), others(system, payment_id)) == ("past_due", [])


def test_who_is_only_watched_is_not_charged(system: MailSystem) -> None:
    system.change_runtime(policy=replace(system.runtime.policy, dunning=MONITOR_ONLY))
    agree(system, save(system))
    payment_id = fail(system)
    assert others(system, payment_id) == []


def test_a_backup_that_waits_to_be_charged_ends_with_its_subscription(system: MailSystem) -> None:
    agree(system, save(system))
    chosen = scripted(system, SOFT)
    payment_id = system.pay("inv", chosen, user_id="user-1", subscription_id="sub")
    system.run_published()
    [backup] = others(system, payment_id)
    assert (backup.state, backup.subscription_id) == ("accepted", "sub")
    assert system.post("/subscriptions/sub/cancel", {}).status_code == 200
    system.run_until_idle()
    assert [row.state for row in others(system, payment_id)] == ["canceled"]
    assert system.provider.movements() == []


def test_a_debt_whose_payment_was_disputed_rests_in_grace_and_tries_no_backup_twice(system: MailSystem) -> None:
    agree(system, save(system))
    payment_id = fail(system, SOFT, SOFT, "success")
    [backup] = others(system, payment_id)
    reference = dispute(system, backup.id, "fraudulent")
    system.provider.control(f"disputes/{reference}/close", {"result": "lost"})
    for event in events_of(system, reference):
        system.deliver_and_run(event)
    [back] = others(system, payment_id)
    assert (back.state, system.state(payment_id)) == ("reversed", "in_grace")
    system.wait(days=6)
    assert (len(others(system, payment_id)), system.state(payment_id)) == (1, "in_grace")


def test_the_last_retry_is_followed_by_a_backup_that_the_customer_has_added_since(system: MailSystem) -> None:
    payment_id = fail(system, SOFT, SOFT, SOFT, SOFT)
    system.wait(days=3, minutes=1)
    system.wait(days=4)
    agree(system, save(system))
    system.wait(days=7)
    [backup] = others(system, payment_id)
    assert (system.state(payment_id), backup.state) == ("canceled", "captured")
    system.wait(minutes=6)
    assert "final_attempt" not in system.kinds()
    assert system.kinds()[-1] == "backup_charged"


def test_the_same_on_sqlite(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with mailing(sqlite_url, monkeypatch) as system:
        agree(system, scripted(system, SOFT), save(system))
        payment_id = fail(system)
        assert [row.state for row in others(system, payment_id)] == ["declined", "captured"]
        system.wait(minutes=6)
        assert system.kinds() == ["backup_charged"]
