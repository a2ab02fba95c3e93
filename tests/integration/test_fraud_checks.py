"""The pre-check, the score on request, shadows, roll-out and roll-back all score as the charge path does."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from domain.errors import Conflict
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.quality_form import quality_from_plain
from domain.fraud.roles import Role
from domain.fraud.rule_set import Curve, FraudDecision, RuleSet
from models.fraud.assessments import assessment_view
from models.fraud.backtests import find_backtest, request_backtest
from models.fraud.rule_sets import assign_role, commit_version, roll_back
from models.tables import (
    events,
    fraud_assessments,
    fraud_counters,
    fraud_entities,
    fraud_limits,
    fraud_links,
    fraud_reservations,
    fraud_shadow_scores,
    fraud_signals,
)
from models.task_messages import BACKTEST, FORGET_SIGNALS, SCORE
from tests.system import System

pytestmark = pytest.mark.postgres
PAYER = {"ip_address": "203.0.113.9", "device_fingerprint": "device-1", "email": "ada@example.com"}
STRICT = RuleSet("strict", {"amount": Curve((1,), (75,))})


@pytest.fixture
def system(system: System) -> System:
    """Return a system in which tries are counted and limit nothing."""
    system.screen_by(attempts_per_day=1000, most_strangers=0)
    return system


def check(system: System, **changes: Any) -> Any:
    """Ask for a pre-check of what `System.pay` pays."""
    body = {"user_id": "user", "amount": "12.30", "currency": "EUR", "payment_method_token": "pm_card_visa"}
    response = system.post("/fraud-check", body | PAYER | changes)
    assert response.status_code == 200, response.text
    return response.json


def configure(system: System, **fraud: Any) -> None:
    """Change the policy of fraud detection."""
    policy = system.runtime.policy
    object.__setattr__(system.runtime, "policy", replace(policy, fraud=replace(policy.fraud, **fraud)))
    system.runtime.rule_sets.forget()


def use(system: System, role: Role, rule_set: RuleSet | None, share: int = 100) -> None:
    """Store a version and give it a role; every process has heard of it."""
    if rule_set is not None:
        system.runtime.change("test", commit_version, rule_set)
    system.runtime.change("test", assign_role, role, rule_set.version if rule_set else None, share)
    system.runtime.rule_sets.forget()


def score_of(system: System, payment_id: str) -> Any:
    """Return the score of a payment as the API shows it."""
    return system.get(f"/{payment_id}").json["fraud"]


def test_a_pre_check_says_what_the_charge_will_be_scored_and_counts_no_try(system: System) -> None:
    for number in range(4):
        system.pay(f"inv-{number}", "pm_card_visa_chargeDeclined", **PAYER)
        system.run_until_idle()
    before = len(system.rows(fraud_signals))
    said = [check(system), check(system)]
    assert len(system.rows(fraud_signals)) == before
    payment_id = system.pay("inv", **PAYER)
    system.run_until_idle()
    known = {name: said[0][name] for name in ("score", "decision", "reasons", "unavailable", "rule_set")}
    assert said[0] == said[1]
    [first] = system.rows(
        fraud_assessments, fraud_assessments.c.payment_id == payment_id, fraud_assessments.c.number == 1
    )
    shown = assessment_view(first)
    assert {name: shown[name] for name in known} == known
    assert "4 tries of the user were declined within an hour" in [reason["sentence"] for reason in known["reasons"]]


def test_a_pre_check_without_a_user_knows_less_and_works(system: System) -> None:
    said = check(system, user_id=None)
    assert {"user_declines_hour", "user_first_payment"} <= set(said["unavailable"])
    assert said["screened"]


def test_a_payment_is_scored_again_on_request_and_charged_no_other_way(system: System) -> None:
    payment_id = system.pay(**PAYER)
    system.run_until_idle()
    configure(system, rule_set=STRICT)
    system.run(SCORE, payment_id)
    assert [row.stage for row in system.rows(fraud_assessments)] == ["charge", "rescore"]
    shown = score_of(system, payment_id)
    assert (shown["stage"], shown["decision"], system.state(payment_id)) == ("rescore", "block", "captured")
    system.run(SCORE, "pay_unknown")


def test_without_fraud_detection_a_payment_says_that_it_was_not_screened(system: System) -> None:
    configure(system, is_enabled=False, rule_set=STRICT)
    payment_id = system.pay(**PAYER)
    system.run_until_idle()
    assert (system.state(payment_id), score_of(system, payment_id)) == ("captured", {"screened": False, "labels": []})
    assert check(system) == {"screened": False}
    assert system.rows(fraud_signals) == []


def test_without_velocity_checks_what_was_tried_before_is_unavailable(system: System) -> None:
    configure(system, is_velocity_checked=False)
    assert "user_declines_hour" in check(system)["unavailable"]
    assert check(system)["decision"] == "approve"


def test_a_shadow_scores_every_payment_and_changes_none(system: System) -> None:
    use(system, Role.SHADOW, STRICT)
    payment_id = system.pay(**PAYER)
    system.run_until_idle()
    [shadow] = system.rows(fraud_shadow_scores)
    assert (shadow.payment_id, shadow.rule_set, shadow.score, shadow.decision) == (payment_id, "strict", 75, "block")
    assert (system.state(payment_id), score_of(system, payment_id)["rule_set"]) == ("captured", DEFAULT_RULES.version)


def test_a_shadow_that_fails_breaks_no_charge(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    use(system, Role.SHADOW, STRICT)

    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("tasks.screening.store_shadow", fail)
    payment_id = system.pay(**PAYER)
    system.run_until_idle()
    assert (system.state(payment_id), system.rows(fraud_shadow_scores)) == ("captured", [])


def test_a_candidate_decides_for_the_same_users_each_time(system: System) -> None:
    use(system, Role.CANDIDATE, STRICT, 50)
    versions = {f"user-{number}": check(system, user_id=f"user-{number}")["rule_set"] for number in range(40)}
    assert 8 < list(versions.values()).count("strict") < 32
    assert {user: check(system, user_id=user)["rule_set"] for user in versions} == versions
    use(system, Role.CANDIDATE, STRICT, 100)
    assert {check(system, user_id=user)["rule_set"] for user in versions} == {"strict"}


def test_a_version_becomes_live_and_is_rolled_back_in_one_step(system: System) -> None:
    mild = RuleSet("mild", {"amount": Curve((1,), (1,))})
    use(system, Role.LIVE, mild)
    use(system, Role.LIVE, STRICT)
    assert check(system)["rule_set"] == "strict"
    seen = []
    for _ in range(2):
        seen.append(system.runtime.change("operator:ada", roll_back))
        system.runtime.rule_sets.forget()
    assert (seen, check(system)["rule_set"]) == (["mild", "strict"], "strict")
    told = system.rows(events, events.c.name == "fraud_rules_assigned", events.c.actor == "operator:ada")
    assert [event.data["version"] for event in told] == ["mild", "strict"]


def test_a_version_never_changes(system: System) -> None:
    assert system.runtime.change("test", commit_version, STRICT)
    assert not system.runtime.change("test", commit_version, STRICT)
    with pytest.raises(Conflict, match="another version"):
        system.runtime.change("test", commit_version, RuleSet("strict", {"amount": Curve((2,), (75,))}))


def test_links_are_kept_as_long_as_a_window_reads_them(system: System) -> None:
    system.pay(**PAYER)
    system.run_until_idle()
    system.move_clock(days=1)
    system.run(FORGET_SIGNALS)
    assert system.rows(fraud_links)
    system.move_clock(days=2)
    system.run(FORGET_SIGNALS)
    assert not system.rows(fraud_links)
    assert system.rows(fraud_counters)


def test_what_is_too_old_is_deleted(system: System) -> None:
    configure(system, kept_for=timedelta(days=60))
    system.pay(**PAYER)
    system.run_until_idle()
    tables = (fraud_signals, fraud_counters, fraud_links, fraud_entities, fraud_reservations, fraud_limits)
    system.run(FORGET_SIGNALS)
    assert all(system.rows(table) for table in tables)
    system.move_clock(days=61)
    system.run(FORGET_SIGNALS)
    assert [system.rows(table) for table in tables] == [[]] * len(tables)


def test_a_rule_set_is_judged_on_stored_decisions_by_a_worker_once(system: System) -> None:
    good, bad = (system.pay(f"inv-{number}", user_id=f"user-{number}", **PAYER) for number in range(2))
    system.run_until_idle()
    label = {"is_fraud": True, "note": "chargeback"}
    assert system.post(f"/admin/payments/{bad}/label", label, caller="operator").status_code == 200
    backtest_id = system.runtime.change("test", request_backtest, STRICT, system.now() - timedelta(days=1))
    system.run(BACKTEST, backtest_id)
    row = system.runtime.read(find_backtest, backtest_id)
    quality = quality_from_plain(row.quality)
    assert (quality.all.count, quality.all.frauds, quality.bands[FraudDecision.BLOCK].count) == (2, 1, 2)
    assert (row.due_at, quality.rules["amount"].precision) == (None, 0.5)
    system.run(BACKTEST, backtest_id)
    assert system.runtime.read(find_backtest, backtest_id) == row
    assert system.state(good) == "captured"


def test_a_backtest_whose_workers_die_is_given_up(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    backtest_id = system.runtime.change("test", request_backtest, STRICT, system.now())
    monkeypatch.setattr("tasks.fraud.judge_decisions", _die)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            system.run(BACKTEST, backtest_id)
        system.move_clock(minutes=11)
    system.run(BACKTEST, backtest_id)
    row = system.runtime.read(find_backtest, backtest_id)
    assert (row.finished_at is not None, row.quality, row.due_at) == (True, None, None)


def _die(*_: Any) -> None:
    raise KeyboardInterrupt
