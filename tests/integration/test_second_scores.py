"""What comes with an authorization is scored before anything is captured."""

from __future__ import annotations

from dataclasses import replace

import pytest

from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.rule_set import Curve, RuleSet
from models.tables import attention
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres


@pytest.fixture
def system(system: System) -> System:
    """Return a system that authorizes every card first: both mismatches alone reach a review."""
    curves = {"cvv_mismatch": Curve((1,), (25,)), "avs_mismatch": Curve((1,), (30,))}
    _use(system, RuleSet("results", dict(DEFAULT_RULES.curves) | curves))
    return system


def _use(system: System, rule_set: RuleSet) -> None:
    policy = system.runtime.policy
    object.__setattr__(system.runtime, "policy", replace(policy, fraud=replace(policy.fraud, rule_set=rule_set)))


def open_entries(system: System) -> list[str]:
    """Return why something stands on the attention list."""
    return [row.reason for row in system.rows(attention, attention.c.closed_at.is_(None))]


def test_a_good_card_is_authorized_first_and_captured_by_itself(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    shown = system.get(f"/{payment_id}").json
    assert (shown["status"], [attempt["verb"] for attempt in shown["attempts"]]) == (
        "captured",
        ["authorize", "capture"],
    )
    assert (shown["fraud"]["stage"], shown["fraud"]["decision"]) == ("results", "approve")
    assert system.provider.movements() == [("authorization", AMOUNT), ("capture", AMOUNT)]


def _suspect(system: System) -> str:
    payment_id = system.pay(card="pm_card_cvcCheckFail", billing_address={"line1": "1 Main St", "country": "US"})
    system.run_until_idle()
    return payment_id


def test_a_card_whose_checks_fail_waits_for_a_person_and_is_captured_once(system: System) -> None:
    _use(system, RuleSet("strict", {"cvv_mismatch": Curve((1,), (55,))}))
    payment_id = _suspect(system)
    shown = system.get(f"/{payment_id}").json
    assert (shown["status"], shown["fraud"]["score"], shown["fraud"]["decision"]) == ("authorized", 55, "review")
    assert shown["fraud"]["reasons"][0]["sentence"] == "the security code is not the card's"
    refused = system.post(f"/{payment_id}/capture")
    assert (refused.status_code, "a person reviews this payment" in refused.json["detail"]) == (409, True)

    for key in ("first", "first", "second"):
        system.post(f"/{payment_id}/review", {"decision": "approve"}, caller="operator", Idempotency_Key=key)
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()) == (
        "captured",
        [("authorization", AMOUNT), ("capture", AMOUNT)],
    )
    assert open_entries(system) == []


def test_a_card_whose_checks_fail_is_released_if_a_person_rejects_it(system: System) -> None:
    _use(system, RuleSet("strict", {"cvv_mismatch": Curve((1,), (55,))}))
    payment_id = _suspect(system)
    [entry] = system.get("/admin/attention", caller="operator").json["entries"]
    body = {"action": "release", "note": "not the owner of the card"}
    system.post(f"/admin/attention/{entry['id']}/resolve", body, caller="operator", Idempotency_Key="release")
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()[1:]) == ("voided", [("void", AMOUNT)])
    assert system.payment(payment_id).failure_code == "review_rejected"


def test_a_card_whose_checks_reach_the_block_is_released_at_once(system: System) -> None:
    _use(system, RuleSet("strict", {"cvv_mismatch": Curve((1,), (70,))}))
    payment_id = _suspect(system)
    assert (system.state(payment_id), system.provider.movements()[1:]) == ("voided", [("void", AMOUNT)])
    assert system.payment(payment_id).failure_code == "fraud_blocked"


def test_money_that_the_application_captures_later_waits_for_the_person_as_well(system: System) -> None:
    _use(system, RuleSet("strict", {"cvv_mismatch": Curve((1,), (55,))}))
    payment_id = system.pay(card="pm_card_cvcCheckFail", capture=False)
    system.run_until_idle()
    assert system.post(f"/{payment_id}/capture").status_code == 409
    system.request(f"/{payment_id}/review", {"decision": "approve"}, caller="operator")
    system.run_until_idle()
    assert system.state(payment_id) == "authorized"
    system.request(f"/{payment_id}/capture")
    system.run_until_idle()
    assert system.state(payment_id) == "captured"


def test_what_no_result_can_lift_to_a_review_is_charged_at_once(system: System) -> None:
    _use(system, RuleSet("mild", {"cvv_mismatch": Curve((1,), (49,))}))
    payment_id = _suspect(system)
    shown = system.get(f"/{payment_id}").json
    assert [attempt["verb"] for attempt in shown["attempts"]] == ["charge"]


def test_a_hold_that_nobody_decides_on_ends_with_its_authorization(system: System) -> None:
    _use(system, RuleSet("strict", {"cvv_mismatch": Curve((1,), (55,))}))
    payment_id = _suspect(system)
    for _ in range(9):
        system.advance(days=1)
    assert system.state(payment_id) in ("expired", "voided")
    assert open_entries(system) == []


def test_a_mismatch_of_a_card_that_was_charged_at_once_is_shown(system: System) -> None:
    _use(system, RuleSet("mild", {"cvv_mismatch": Curve((1,), (15,))}))
    shown = system.get(f"/{_suspect(system)}").json
    assert (shown["status"], shown["fraud"]["stage"], shown["fraud"]["score"]) == ("captured", "results", 15)
