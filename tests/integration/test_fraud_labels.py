"""A payment that becomes known as fraud counts on all that it shares with others, once, from that moment on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from domain.disputes import DisputeStatus
from domain.fraud.entities import entities_of
from domain.fraud.labels import label_of_dispute
from domain.fraud.rule_set import Curve, RuleSet
from domain.fraud.windows import History, Window
from models.fraud.history import read_histories
from models.fraud.subjects import find_payment_for_scoring, scoring_request
from models.session import read
from models.tables import fraud_labels
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres

FACTS = {
    "ip_address": "203.0.113.9",
    "device_fingerprint": "device",
    "email": "ada@shop.example",
    "billing_address": {"line1": "12 Main St", "city": "Springfield", "country": "DE"},
    "card": {"fingerprint": "card", "bin": "424242"},
    "shared_entities": {"merchant_account": "acct"},
}
SHARED = {"user", "card", "bin", "ip", "network", "device", "email", "email_pattern", "address", "merchant_account"}
RULES = RuleSet("of-this-test", {"amount": Curve((500,), (55,)), "device_frauds_month": Curve((1,), (70,))})


@pytest.fixture
def labeling(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system in which a payment of 500 EUR waits for a person, and a device with a fraud is blocked."""
    system.change_fraud_policy(monkeypatch, rule_set=RULES, is_velocity_checked=True)
    return system


def pay(system: System, invoice: str = "inv", **changes: Any) -> str:
    payment_id = system.accept(payment_request(invoice, "pm_card_visa") | FACTS | changes)["id"]
    system.run_until_idle()
    return str(payment_id)


def histories(system: System, payment_id: str) -> dict[str, History]:
    def find(connection: Any) -> dict[str, History]:
        row = find_payment_for_scoring(connection, payment_id)
        assert row is not None
        entities = entities_of(scoring_request(row).subject, "shop", system.runtime.policy.fraud.keys)
        return read_histories(connection, entities, system.now())

    return read(system.engine, find)


def frauds(system: System, payment_id: str, window: Window = Window.MONTH) -> dict[str, int]:
    """Return how many frauds each entity of a payment has, where it has any."""
    found = histories(system, payment_id)
    return {kind: history.within(window).frauds for kind, history in found.items() if history.within(window).frauds}


def label(system: System, payment_id: str, *, is_fraud: bool, **more: Any) -> Any:
    return system.post(f"/admin/payments/{payment_id}/label", {"is_fraud": is_fraud} | more, caller="operator")


def said(system: System, payment_id: str) -> dict[str, bool]:
    shown = system.get(f"/{payment_id}", caller="operator").json["fraud"]["labels"]
    return {each["source"]: each["is_fraud"] for each in shown}


def dispute(system: System, payment_id: str, reason: str = "fraudulent") -> str:
    reference = system.reference(payment_id)
    opened = system.provider.control(f"intents/{reference}/dispute", {"reason": reason})
    system.deliver_and_run(system.provider.event("charge.dispute.created", opened["id"]))
    return str(opened["id"])


def warn(system: System, payment_id: str) -> None:
    reference = system.reference(payment_id)
    warning = system.provider.control(f"intents/{reference}/fraud_warning", {})
    system.deliver_and_run(system.provider.event("radar.early_fraud_warning.created", warning["id"]))


def test_a_label_counts_on_all_that_the_payment_shares_from_now_on(labeling: System) -> None:
    first = pay(labeling, "inv_1")
    second = pay(labeling, "inv_2")
    assert labeling.state(second) == "captured"
    labeling.move_clock(days=3)
    assert label(labeling, first, is_fraud=True, note="the owner has called").status_code == 200
    of_an_hour = {"network", "bin", "email_pattern"}
    assert frauds(labeling, first, Window.HOUR) == dict.fromkeys(SHARED - {"email", "address"}, 1)
    assert frauds(labeling, first, Window.DAY) == dict.fromkeys(SHARED - {"email", "address"} - of_an_hour, 1)
    assert frauds(labeling, first) == dict.fromkeys(SHARED - of_an_hour, 1)
    third = pay(labeling, "inv_3")
    assert labeling.state(third) == "blocked"
    other = pay(labeling, "inv_4", device_fingerprint="another")
    assert labeling.state(other) == "captured"


def test_two_sources_of_one_payment_are_one_fraud(labeling: System) -> None:
    payment_id = pay(labeling)
    dispute(labeling, payment_id)
    warn(labeling, payment_id)
    label(labeling, payment_id, is_fraud=True)
    assert said(labeling, payment_id) == dict.fromkeys(("dispute", "early_fraud_warning", "operator"), True)
    assert frauds(labeling, payment_id)["device"] == 1


def test_two_payments_are_two_frauds(labeling: System) -> None:
    payments = [pay(labeling, invoice) for invoice in ("inv_1", "inv_2")]
    for payment_id in payments:
        warn(labeling, payment_id)
    assert frauds(labeling, payments[0])["device"] == 2


def test_a_label_that_is_taken_back_is_subtracted_where_it_was_added(labeling: System) -> None:
    payment_id = pay(labeling)
    dispute(labeling, payment_id)
    labeling.move_clock(days=2)
    assert label(labeling, payment_id, is_fraud=False).status_code == 200
    assert frauds(labeling, payment_id) == {}
    assert histories(labeling, payment_id)["device"].last_fraud_at is None
    assert not any(frauds(labeling, payment_id, window) for window in Window)
    assert said(labeling, payment_id) == {"dispute": True, "operator": False}
    label(labeling, payment_id, is_fraud=True)
    assert frauds(labeling, payment_id, Window.DAY)["device"] == 1


def test_what_is_taken_back_leaves_the_fraud_before_it(labeling: System) -> None:
    first, second = pay(labeling, "inv_1"), pay(labeling, "inv_2")
    label(labeling, first, is_fraud=True)
    noted = histories(labeling, first)["device"].last_fraud_at
    assert noted is not None
    labeling.move_clock(hours=5)
    label(labeling, second, is_fraud=True)
    label(labeling, second, is_fraud=False)
    history = histories(labeling, first)["device"]
    assert history.within(Window.MONTH).frauds == 1
    assert history.last_fraud_at is not None
    assert timedelta() <= noted - history.last_fraud_at < timedelta(minutes=5)


def test_the_operator_has_the_last_word(labeling: System) -> None:
    payment_id = pay(labeling)
    label(labeling, payment_id, is_fraud=False)
    dispute(labeling, payment_id)
    assert frauds(labeling, payment_id) == {}


def test_a_dispute_that_is_won_takes_its_label_back(labeling: System) -> None:
    payment_id = pay(labeling)
    opened = dispute(labeling, payment_id)
    assert frauds(labeling, payment_id)["card"] == 1
    labeling.provider.control(f"disputes/{opened}/close", {"result": "won"})
    labeling.deliver_and_run(labeling.provider.event("charge.dispute.closed", opened))
    assert (said(labeling, payment_id), frauds(labeling, payment_id)) == ({"dispute": False}, {})


def test_a_dispute_for_another_reason_says_nothing_of_fraud(labeling: System) -> None:
    payment_id = pay(labeling)
    dispute(labeling, payment_id, "product_not_received")
    assert said(labeling, payment_id) == {}


@pytest.mark.parametrize(("reason", "labels"), [("fraudulent", {"refund": True}), ("duplicate", {})])
def test_a_refund_for_fraud_is_a_label(labeling: System, reason: str, labels: dict[str, bool]) -> None:
    payment_id = pay(labeling)
    labeling.request(f"/{payment_id}/refunds", {"reason": reason}, Idempotency_Key="refund-1")
    labeling.run_until_idle()
    assert said(labeling, payment_id) == labels
    assert labeling.state(payment_id) == "refunded"


def test_a_refund_that_is_refused_labels_nothing(labeling: System) -> None:
    payment_id = pay(labeling)
    body = {"reason": "fraudulent", "amount": "99.00"}
    assert labeling.post(f"/{payment_id}/refunds", body, Idempotency_Key="refund-1").status_code == 422
    assert labeling.rows(fraud_labels) == []


@pytest.mark.parametrize(("is_fraud", "state"), [(True, "blocked"), (False, "captured"), (None, "captured")])
def test_a_rejected_review_may_be_labeled_although_it_was_never_tried(
    labeling: System, is_fraud: bool | None, state: str
) -> None:
    held = pay(labeling, amount="500.00")
    body = {"reason": "a reshipper"} | ({} if is_fraud is None else {"is_fraud": is_fraud})
    assert labeling.post(f"/admin/reviews/{held}/reject", body, caller="operator").status_code == 202
    assert said(labeling, held) == ({} if is_fraud is None else {"review": is_fraud})
    assert labeling.state(pay(labeling, "inv_2")) == state


def test_labels_are_for_operators_and_name_their_author(labeling: System) -> None:
    payment_id = pay(labeling)
    assert labeling.post(f"/admin/payments/{payment_id}/label", {"is_fraud": True}).status_code == 403
    assert label(labeling, "pay_unknown", is_fraud=True).status_code == 404
    label(labeling, payment_id, is_fraud=True, note="the owner has called")
    label(labeling, payment_id, is_fraud=True, note="the owner has called")
    [row] = labeling.rows(fraud_labels)
    assert (row.author, row.note, row.is_fraud) == ("operator:operator", "the owner has called", True)
    assert labeling.event_names(payment_id).count("payment_labeled") == 1


@pytest.mark.parametrize(
    ("provider", "reason", "said"),
    [
        ("stripe", "fraudulent", True),
        ("stripe", "unrecognized", None),
        ("paypal", "UNAUTHORISED", True),
        ("paypal", "OTHER", None),
        ("afterpay", "fraudulent", True),
        ("afterpay", "fraudulent_merchant", None),
        ("klarna", "fraudulent", None),
        ("stripe", "unknown", None),
    ],
)
def test_only_the_reasons_that_are_known_say_fraud(provider: str, reason: str, said: bool | None) -> None:
    assert label_of_dispute(provider, reason, DisputeStatus.OPEN) is said
    assert label_of_dispute(provider, reason, DisputeStatus.LOST) is said
    assert label_of_dispute(provider, reason, DisputeStatus.CLOSED) is None
    assert label_of_dispute(provider, reason, DisputeStatus.WON) is (None if said is None else False)
