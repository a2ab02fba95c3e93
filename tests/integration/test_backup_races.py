"""What happens between the choice of a backup method and its charge, and while that is under way."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.dunning.policy import MONITOR_ONLY
from models.tables import dunning_cases
from tests.integration.test_backup_methods import BACKUPS, METHODS, SOFT, agree, fail, others, save, scripted
from tests.integration.test_backup_methods import system as system  # a fixture
from tests.mailing import MailSystem

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
