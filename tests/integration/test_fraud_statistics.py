"""Fraud statistics agree with what was done by hand, payment by payment."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import update

from domain.fraud.rule_set import Curve, RuleSet
from domain.months import month_of, next_month
from models.fraud.statistics import show_fraud_statistics
from models.session import read, transact
from models.tables import fraud_assessments
from tests.system import System

pytestmark = pytest.mark.postgres
RULES = RuleSet(
    "of-this-test",
    {"amount": Curve((100, 500, 800), (10, 55, 75)), "device_new": Curve((1,), (1,)), "travel": Curve((1,), (5,))},
)


@pytest.fixture
def scoring(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system in which 500 EUR wait for a person, and 800 EUR are blocked."""
    system.change_fraud_policy(monkeypatch, rule_set=RULES)
    return system


def pay(system: System, invoice: str, amount: str) -> str:
    payment_id = system.pay(invoice, amount=amount)
    system.run_until_idle()
    return payment_id


def label(system: System, payment_id: str, *, is_fraud: bool = True) -> None:
    body = {"is_fraud": is_fraud}
    assert system.post(f"/admin/payments/{payment_id}/label", body, caller="operator").status_code == 200


def shown(system: System, months: int = 0) -> Any:
    now = system.now()
    month = next_month(month_of(now), months)
    return read(system.engine, show_fraud_statistics, month, now, RULES, "EUR")


def counted(ratio: dict[str, Any]) -> tuple[int, int]:
    return ratio["numerator"], ratio["denominator"]


def test_every_figure_is_what_was_done(scoring: System) -> None:
    small = [pay(scoring, f"small_{number}", "12.30") for number in range(4)]
    blocked = [pay(scoring, f"blocked_{number}", "800.00") for number in range(2)]
    approved, rejected, waiting = (pay(scoring, f"held_{number}", "500.00") for number in range(3))
    for path, body in ((f"{approved}/approve", {}), (f"{rejected}/reject", {"reason": "no", "is_fraud": True})):
        assert scoring.post(f"/admin/reviews/{path}", body, caller="operator").status_code == 202
    scoring.run_until_idle()
    assert scoring.state(waiting) == "review"
    label(scoring, blocked[0])
    label(scoring, small[0])
    label(scoring, small[1], is_fraud=False)

    found = shown(scoring)
    assert found["scored"] == 9
    assert {name: counted(ratio) for name, ratio in found["decisions"].items()} == {
        "approve": (4, 9),
        "verify": (0, 9),
        "review": (3, 9),
        "block": (2, 9),
    }
    assert counted(found["labeled"]) == (4, 9)
    assert (counted(found["confirmed_fraud"]), found["confirmed_fraud"]["amount"]) == ((3, 9), "1312.30")
    assert (counted(found["detection"]), found["detection"]["amount"]) == ((1, 3), "800.00")
    assert (counted(found["found_late"]), found["found_late"]["amount"]) == ((1, 3), "12.30")
    assert counted(found["stopped_in_review"]) == (1, 3)
    reviews = found["reviews"]
    assert counted(reviews["opened"]) == (3, 9)
    outcomes = {name: counted(ratio)[0] for name, ratio in reviews["outcomes"].items()}
    assert outcomes == {"approved": 1, "rejected": 1, "open": 1}
    assert (found["rules"]["amount"]["fired"], found["rules"]["amount"]["frauds"]) == (5, 2)
    assert found["rules"]["amount"]["precision"] == 2 / 5
    assert {name for name, rule in found["rules"].items() if rule["is_live"] and not rule["fired"]} == {
        "device_new",
        "travel",
    }
    assert {name: counted(ratio) for name, ratio in found["unavailable"].items()} == {
        "device_new": (9, 9),
        "travel": (9, 9),
    }
    this_month = found["monitoring"][-1]
    assert (this_month["settled"], this_month["tries"], this_month["disputes"]) == (5, 5, 0)
    assert shown(scoring, months=-1)["scored"] == 0


def test_disputes_and_warnings_of_cards_are_monitored_by_month(scoring: System) -> None:
    disputed, warned = pay(scoring, "inv_1", "12.30"), pay(scoring, "inv_2", "12.30")
    opened = scoring.provider.control(f"intents/{scoring.reference(disputed)}/dispute", {"reason": "fraudulent"})
    scoring.deliver_and_run(scoring.provider.event("charge.dispute.created", opened["id"]))
    warning = scoring.provider.control(f"intents/{scoring.reference(warned)}/fraud_warning", {})
    scoring.deliver_and_run(scoring.provider.event("radar.early_fraud_warning.created", warning["id"]))
    month = shown(scoring)["monitoring"][-1]
    assert {name: month[name] for name in ("settled", "disputes", "fraud_disputes", "fraud_reports")} == {
        "settled": 2,
        "disputes": 1,
        "fraud_disputes": 1,
        "fraud_reports": 1,
    }
    [vamp] = [each for each in month["programs"] if each["name"] == "VAMP excessive"]
    assert (vamp["numerator"], vamp["denominator"], vamp["is_reached"]) == (2, 2, False)


def test_a_score_that_was_only_repeated_decides_nothing(scoring: System) -> None:
    pay(scoring, "inv", "12.30")

    def repeat(connection: Any) -> None:
        [row] = connection.execute(fraud_assessments.select())
        again = dict(row._mapping) | {"number": 2, "stage": "rescore", "decision": "block", "score": 90}
        connection.execute(fraud_assessments.insert(), again)

    transact(scoring.engine, repeat)
    assert counted(shown(scoring)["decisions"]["block"]) == (0, 1)
    results = update(fraud_assessments).where(fraud_assessments.c.number == 2).values(stage="results")
    transact(scoring.engine, lambda connection: connection.execute(results))
    assert counted(shown(scoring)["decisions"]["block"]) == (1, 1)
