"""A decision of a person that is sent twice under one key is carried out once, whatever was decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from domain.attention import Action, Reason
from models.attention import open_entry
from models.tables import attention
from tests.integration.test_attention import unreadable
from tests.integration.test_disputes import contradicted
from tests.system import System, running_system


@pytest.fixture
def system(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[System]:
    """A system on SQLite: nothing here happens at once."""
    with running_system(sqlite_url) as running:
        running.tasks_run_in(monkeypatch)
        yield running


def in_review(system: System, _: pytest.MonkeyPatch) -> None:
    system.pay(amount="30000.00")
    system.run_until_idle()


def taken_twice(system: System, _: pytest.MonkeyPatch) -> None:
    system.pay_twice()


def vanished(system: System, _: pytest.MonkeyPatch) -> None:
    contradicted(system)


def in_doubt_for_hours(system: System, _: pytest.MonkeyPatch) -> None:
    system.provider.fail("payment_intents.confirm", "reset_after")
    system.provider.fail("payment_intents.retrieve", "error_before", times=None)
    system.pay()
    system.run_until_idle()
    for _minutes in range(15):
        system.advance(minutes=6)
    system.provider.heal()


def not_read(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    unreadable(system, system.pay(), monkeypatch)


def refunded_elsewhere(system: System, _: pytest.MonkeyPatch) -> None:
    about = {"payment_id": system.pay(), "amount": 500, "currency": "EUR"}
    system.run_until_idle()
    system.runtime.change("test", open_entry, Reason.REFUND_ELSEWHERE, **about)


# What each action is tried on.
ENTRIES: dict[Action, Callable[[System, pytest.MonkeyPatch], None]] = {
    Action.ACCEPT: in_review,
    Action.RELEASE: in_review,
    Action.GIVE_BACK: taken_twice,
    Action.REOPEN: vanished,
    Action.LOOK_AGAIN: in_doubt_for_hours,
    Action.REPLAY: not_read,
    Action.CLOSE: refunded_elsewhere,
}


@pytest.mark.parametrize("action", Action)
def test_a_decision_that_is_repeated_is_carried_out_once(
    system: System, monkeypatch: pytest.MonkeyPatch, action: Action
) -> None:
    ENTRIES[action](system, monkeypatch)
    [entry] = system.rows(attention, attention.c.closed_at.is_(None))
    path = f"/admin/attention/{entry.id}/resolve"

    def decide(**changes: str) -> Any:
        body = {"action": action, "note": "asked the customer"} | changes
        return system.post(path, body, caller="operator", Idempotency_Key="decide")

    first = decide()
    assert first.status_code in (200, 202), first.text
    published = list(system.messages)
    at_once = decide()
    assert system.messages == published
    system.run_until_idle()
    rows, moved = system.row_counts(), system.provider.movements()
    late = decide()
    assert system.messages == []
    system.run_until_idle()
    for repeat in (at_once, late):
        assert (repeat.status_code, repeat.json) == (first.status_code, first.json)
        assert repeat.headers["Idempotent-Replayed"] == "true"
    assert (system.row_counts(), system.provider.movements()) == (rows, moved)
    assert decide(note="of another mind").json["type"] == "idempotency_key_reused"
