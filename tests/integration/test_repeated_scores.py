"""A stored decision can be repeated from its stored numbers and the version of its rule set, to the last reason."""

from __future__ import annotations

import random
from typing import Any

import pytest
from sqlalchemy import Connection, select

from benchmarks.fraud import repeat_scores
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.roles import Role
from domain.fraud.rule_set import Curve, RuleSet
from models.change import Change
from models.fraud.rule_sets import assign_role, commit_version
from models.fraud.signals import Door, SignalKind, Tried, note_signal
from models.tables import fraud_assessments
from models.transition_locks import lock_attempt
from tasks.screening import screener
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres
DECISIONS = 200
STRICT = RuleSet("strict", dict(DEFAULT_RULES.curves) | {"amount": Curve((10, 250, 900), (25, 51, 75))})


def request(dice: random.Random) -> dict[str, Any]:
    """Return the fields of a payment of one of a few people, who share a few things."""
    who = dice.randrange(12)
    facts = {
        "user_id": dice.choice([f"user-{who}", "guest"]),
        "amount": f"{dice.choice([1, 12, 300, 1500])}.{dice.randrange(10, 99)}",
        "ip_address": f"203.0.113.{dice.randrange(3)}",
        "device_fingerprint": f"device-{dice.randrange(5)}",
        "email": f"name{who}@example.com",
        "card": {"fingerprint": f"card-{who}-{dice.randrange(4)}", "bin": "424242"},
    }
    return {name: value for name, value in facts.items() if name in ("user_id", "amount") or dice.random() < 0.8}


def screen(system: System, attempt_id: str, *, is_declined: bool) -> None:
    """Screen an attempt as its charge does, and count a decline of it."""
    screen = screener(system.runtime, attempt_id)
    assert screen.evidence is not None
    tried = Tried("shop", Door.CHARGE, screen.evidence.entities, attempt_id=attempt_id)

    def claim(change: Change) -> None:
        if screen(change, lock_attempt(change.connection, attempt_id)) is not None and is_declined:
            note_signal(change, SignalKind.DECLINED, tried)

    system.runtime.change("test", claim)


def test_stored_decisions_are_repeated_exactly(system: System) -> None:
    dice = random.Random(9)
    for number in range(DECISIONS):
        if number == DECISIONS // 2:
            system.runtime.change("test", commit_version, STRICT)
            system.runtime.change("test", assign_role, Role.LIVE, STRICT.version)
            system.runtime.rule_sets.forget()
        system.accept(payment_request(f"inv-{number}", "pm_card_visa") | request(dice))
        [message] = system.messages
        system.messages.clear()
        screen(system, message.row_id, is_declined=dice.random() < 0.4)
    assert repeat_scores(system.engine) == DECISIONS
    # What was repeated differs in all that a decision may differ in.
    assert len(system.rows(fraud_assessments, fraud_assessments.c.rule_set == STRICT.version)) == DECISIONS // 2
    assert len(system.runtime.read(decisions)) == 4


def test_a_number_that_was_changed_since_is_found(system: System) -> None:
    system.pay("inv", amount="300.00")
    [message] = system.messages
    screen(system, message.row_id, is_declined=False)
    with system.engine.begin() as connection:
        connection.execute(fraud_assessments.update().values(numbers={"amount": 1}))
    with pytest.raises(AssertionError, match="another when it is repeated"):
        repeat_scores(system.engine)


def decisions(connection: Connection) -> list[str]:
    return list(connection.scalars(select(fraud_assessments.c.decision).group_by(fraud_assessments.c.decision)))
