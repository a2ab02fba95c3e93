"""What happens between the choice of a backup method and its charge, and while that is under way."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.dunning.policy import MONITOR_ONLY
from domain.saved_method import token_hash
from models import accept_payment
from models.tables import dunning_cases, outbox, saved_methods
from models.task_messages import CHARGE
from tests.integration.test_backup_methods import BACKUPS, METHODS, SOFT, agree, fail, others, save, scripted
from tests.integration.test_backup_methods import system as system  # a fixture
from tests.integration.test_dunning_statistics import counted, lose
from tests.mailing import MailSystem
from tests.patience import patient
from tests.system import payment_request
from webhooks.app import PREFIX

# It can be saved, and is declined when it is charged.
DECLINED_LATER = "pm_card_chargeCustomerFail"
pytestmark = pytest.mark.postgres


def chosen(system: MailSystem, **changes: Any) -> tuple[str, Any]:
    """Return a payment in dunning, and that of its backup method, which waits to be charged."""
    payment_id = system.pay("inv", scripted(system, SOFT, "success"), user_id="user-1", off_session=True, **changes)
    system.run_published()
    [backup] = others(system, payment_id)
    assert backup.state == "accepted"
    return payment_id, backup


def stop(system: MailSystem, payment_id: str) -> None:
    case = system.dunning_case(payment_id)
    response = system.post(f"/admin/dunning/{case.id}/stop", {"reason": "asked to"}, caller="operator")
    assert response.status_code == 200, response.text


@pytest.mark.parametrize("path", [BACKUPS, METHODS])
def test_a_consent_that_is_withdrawn_before_the_charge_forbids_it(system: MailSystem, path: str) -> None:
    token = save(system)
    agree(system, token)
    payment_id, backup = chosen(system)
    assert system.call("DELETE", f"{path}/{token}").status_code == 200
    system.run_until_idle()
    assert system.provider.movements() == []
    assert (system.state(backup.id), system.state(payment_id)) == ("canceled", "past_due")
    system.wait(days=3, minutes=1)
    assert system.state(payment_id) == "captured"


def test_a_case_that_is_stopped_before_the_charge_of_its_backup_ends_it(system: MailSystem) -> None:
    agree(system, save(system))
    payment_id, backup = chosen(system)
    stop(system, payment_id)
    system.run_until_idle()
    assert (system.provider.movements(), system.state(backup.id)) == ([], "canceled")


def test_a_backup_that_is_declined_after_the_case_was_stopped_is_not_dunned_itself(system: MailSystem) -> None:
    agree(system, scripted(system, SOFT), save(system))
    payment_id, backup = chosen(system)
    system.during_next("charge", lambda: stop(system, payment_id))
    system.run_until_idle()
    assert [row.state for row in system.rows(dunning_cases)] == ["stopped"]
    assert (system.state(backup.id), len(others(system, payment_id))) == ("declined", 1)
    system.wait(days=8)
    assert system.provider.movements() == []


def test_no_backup_is_tried_for_a_subscription_that_was_ended_during_the_charge(system: MailSystem) -> None:
    agree(system, save(system))

    def end() -> None:
        assert system.post("/subscriptions/sub/cancel", {}).status_code == 200

    system.during_next("charge", end)
    payment_id = fail(system, SOFT)
    assert (others(system, payment_id), system.provider.movements()) == ([], [])


def test_a_backup_declined_after_its_subscription_ended_leaves_nothing_to_dun(system: MailSystem) -> None:
    agree(system, scripted(system, SOFT), save(system))
    payment_id, backup = chosen(system, subscription_id="sub")
    system.during_next("charge", lambda: system.post("/subscriptions/sub/cancel", {}))
    system.run_until_idle()
    assert [row.state for row in system.rows(dunning_cases)] == ["stopped"]
    assert (system.state(backup.id), len(others(system, payment_id))) == ("declined", 1)


def pause(system: MailSystem, payment_id: str, days: float = 10) -> None:
    case = system.dunning_case(payment_id)
    body = {"reason": "asked to wait", "until": (system.now() + timedelta(days=days)).isoformat()}
    response = system.post(f"/admin/dunning/{case.id}/pause", body, caller="operator")
    assert response.status_code == 200, response.text


def test_a_paused_case_tries_no_next_backup(system: MailSystem) -> None:
    agree(system, scripted(system, SOFT), save(system))
    payment_id, _ = chosen(system)
    system.during_next("charge", lambda: pause(system, payment_id))
    system.run_until_idle()
    assert len(others(system, payment_id)) == 1
    assert system.provider.movements() == []


def renew(system: MailSystem, token: str, by: str) -> None:
    system.provider.control(f"methods/{token}/update", {"by": by, "exp_year": system.now().year + 3, "exp_month": 5})
    name = "payment_method.automatically_updated" if by == "updater" else "payment_method.updated"
    system.deliver_and_run(system.provider.event(name, token))


@pytest.mark.parametrize("by", ["customer", "updater"])
@pytest.mark.parametrize("is_watched", [True, False])
def test_a_changed_card_is_not_tried_while_its_case_waits_or_is_only_watched(
    system: MailSystem, by: str, is_watched: bool
) -> None:
    if is_watched:
        system.change_runtime(policy=replace(system.runtime.policy, dunning=MONITOR_ONLY))
    payment_id = fail(system, SOFT, "success")
    if not is_watched:
        pause(system, payment_id)
    renew(system, system.payment(payment_id).method_token, by)
    assert len(system.attempts(payment_id)) == 1


def test_a_try_in_doubt_holds_up_every_other_try_and_ends_in_one_charge(system: MailSystem) -> None:
    agree(system, save(system))
    payment_id, backup = chosen(system)
    system.provider.fail("payment_intents.confirm", "timeout_after")
    system.run_until_idle()
    assert system.state(backup.id) == "in_doubt"
    case = system.dunning_case(payment_id)
    asked = {"reason": "now"}
    assert (
        system.post(f"/admin/dunning/{case.id}/retry-now", asked, caller="operator", Idempotency_Key="now").status_code
        == 409
    )
    paid = payment_request("inv", "pm_card_visa") | {"user_id": "user-1"}
    assert system.post("/process", paid, Idempotency_Key="link").status_code == 409
    system.wait(days=3, minutes=1)
    system.wait(minutes=10)
    assert (system.state(backup.id), system.state(payment_id)) == ("captured", "canceled")
    assert system.provider.movements() == [("charge", 1230)]
    system.wait(minutes=6)
    assert system.kinds() == ["backup_charged"]


def test_who_takes_back_what_a_backup_has_paid_is_charged_by_no_other(system: MailSystem) -> None:
    agree(system, save(system), save(system, "pm_card_mastercard"))
    payment_id = fail(system, SOFT, SOFT, "success")
    [first] = others(system, payment_id)
    lose(system, first.id)
    assert system.state(payment_id) == "in_grace"
    system.wait(days=4)
    assert ([row.state for row in others(system, payment_id)], system.state(payment_id)) == (["reversed"], "in_grace")


def test_the_declined_card_under_another_token_is_no_backup(system: MailSystem) -> None:
    first, second = save(system, DECLINED_LATER), save(system, DECLINED_LATER)
    agree(system, second)
    payment_id = system.subscribe("inv", first, user_id="user-1", off_session=True)
    assert (system.state(payment_id), others(system, payment_id)) == ("past_due", [])


def test_no_demand_follows_a_charge_whose_subscription_was_ended_meanwhile(system: MailSystem) -> None:
    system.during_next("charge", lambda: system.post("/subscriptions/sub/cancel", {}))
    payment_id = fail(system, SOFT)
    system.wait(minutes=6)
    assert system.kinds() == []
    assert system.mail_of("first_failure").last_error == "no_longer_true"
    system.wait(days=3, minutes=1)
    assert system.state(payment_id) == "canceled"


def test_a_default_is_not_made_of_what_was_removed_meanwhile(system: MailSystem) -> None:
    payment_id = fail(system, SOFT, "success")
    card = system.payment(payment_id).method_token
    gone = save(system, "pm_card_mastercard")

    def remove() -> None:
        assert system.call("DELETE", f"{METHODS}/{gone}").status_code == 200
        system.deliver(system.provider.event("payment_method.detached", gone))
        system.run_until_idle()

    system.during_next("make_default", remove, after_response=True)
    system.post(f"{METHODS}/{gone}/default", {})
    system.run_until_idle()
    assert (system.payment(payment_id).method_token, system.state(payment_id)) == (card, "past_due")
    assert system.rows(saved_methods, saved_methods.c.is_default) == []


def test_a_customer_who_pays_while_a_retry_is_claimed_is_charged_once(
    system: MailSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    payment_id = fail(system, SOFT, "success")
    store, claims = accept_payment.store_payment, []

    def retry_meanwhile(*given: Any) -> None:
        """Between the look at the invoice and the commit of the customer's payment."""
        case = system.dunning_case(payment_id)
        asked = {"reason": "now"}
        client = system.client.application.test_client()
        sent = {"Authorization": f"Bearer {system.keys['operator']}", "Idempotency-Key": "now"}
        url = f"{PREFIX}/admin/dunning/{case.id}/retry-now"
        assert client.post(url, json=asked, headers=sent).status_code == 200
        claim = threading.Thread(target=system.run, args=(CHARGE, system.attempts(payment_id)[-1].id))
        claims.append(claim)
        claim.start()
        claim.join(patient(0.5))
        store(*given)

    with monkeypatch.context() as patch:
        patch.setattr(accept_payment, "store_payment", retry_meanwhile)
        system.pay("inv", "pm_card_visa", user_id="user-1")
    claims[0].join()
    system.run_until_idle()
    system.wait(minutes=3)
    assert system.provider.movements() == [("charge", 1230)]


def test_a_debt_that_a_backup_paid_is_not_recovered_once_its_money_is_taken_back(system: MailSystem) -> None:
    agree(system, save(system))
    payment_id = fail(system)
    [backup] = others(system, payment_id)
    assert counted(system) == (1, 1, 0, [])
    lose(system, backup.id)
    assert (counted(system), system.state(payment_id)) == ((1, 0, 1, []), "in_grace")
    system.wait(days=4)
    assert system.provider.movements().count(("charge", 1230)) == 1, "who disputes is not charged again by itself"


def test_a_debt_that_was_paid_within_the_second_has_its_figures(
    system: MailSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    agree(system, save(system))
    now = system.now()
    with monkeypatch.context() as patch:
        patch.setattr(system.clock, "now", lambda: now)
        fail(system)
    system.move_clock(minutes=1)
    total = system.get("/admin/dunning/statistics", caller="operator").json["total"]
    assert total["recovery_time"] == {"recovered": 1, "average_days": 0.0, "median_days": 0.0}


def test_what_has_paid_and_is_removed_meanwhile_becomes_no_default(system: MailSystem) -> None:
    old = save(system, "pm_card_mastercard", default=True)
    fail(system, SOFT, SOFT)
    token = save(system, "pm_card_amex")

    def remove() -> None:
        assert system.call("DELETE", f"{METHODS}/{token}").status_code == 200
        system.deliver(system.provider.event("payment_method.detached", token))
        system.run_until_idle()

    system.during_next("make_default", remove, after_response=True)
    system.pay("inv", token, user_id="user-1", off_session=False)
    system.run_until_idle()
    [row] = system.rows(outbox, outbox.c.destination == "provider")
    assert (row.state, row.last_error) == ("suppressed", "not_saved")
    [known] = system.rows(saved_methods, saved_methods.c.is_default)
    assert known.token_hash == token_hash(old)
