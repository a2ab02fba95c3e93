"""Races of payments whose customer acts at the provider, each in its exact attempt."""

from __future__ import annotations

from typing import Any

import pytest

from domain.outcome import AmountMismatch, Approved, CustomerApproved, InDoubt
from domain.payment_methods import PaymentMethod
from models import transition
from models.provider_customers import User, claim_customer, save_customer
from models.tables import webhook_events
from models.task_messages import DUNNING, RECONCILE
from tests.system import INSUFFICIENT_FUNDS, System, payment_request
from webhooks.app import PREFIX

pytestmark = pytest.mark.postgres
HOSTED = {"payment_method_token": None, "email": "ada@example.com"}


def waiting_for_customer(system: System, method: str, currency: str) -> str:
    """Return a payment that waits for its customer."""
    payment_id = system.pay(payment_method=method, currency=currency, **HOSTED)
    system.run_until_idle()
    assert system.state(payment_id) == "requires_action"
    return payment_id


def reference(system: System, payment_id: str) -> str:
    return str(system.attempts(payment_id)[0].provider_reference)


def come_back(system: System, payment_id: str) -> None:
    """Return as the customer."""
    system.call("GET", f"/returns/{system.attempts(payment_id)[0].id}", {})


def review(system: System, payment_id: str, decision: str) -> int:
    """Decide as an operator; return the status of the response."""
    path = f"/{payment_id}/review"
    return system.post(path, {"decision": decision}, caller="operator").status_code


# --- the older verbs ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("provider", "path", "method"),
    [("paypal", "/paypal-order", PaymentMethod.PAYPAL), ("coinbase", "/crypto-charge", PaymentMethod.CRYPTOCURRENCY)],
)
def test_a_repeat_gets_its_page_after_the_method_is_switched_off(
    system: System, provider: str, path: str, method: PaymentMethod, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, _ = system.add_provider(provider)
    system.tasks_run_in(monkeypatch)
    system.is_worker_up = True
    body = payment_request("inv", "") | HOSTED | {"currency": bench.currency}
    del body["payment_method"]
    first = system.post(path, body, Idempotency_Key="once")
    assert first.status_code == 201, first.text
    system.switch_off(monkeypatch, method)
    again = system.post(path, body, Idempotency_Key="once")
    assert (again.status_code, again.json) == (200, first.json)
    assert system.post(path, body, Idempotency_Key="another").json["type"] == "unsupported_payment_method"


# --- a charge that may still be running -----------------------------------------------------------------


def test_a_charge_that_may_still_be_running_cannot_be_canceled(system: System) -> None:
    bench, gateway = system.add_provider("afterpay")
    payment_id = waiting_for_customer(system, "afterpay", bench.currency)
    bench.let_customer_act(reference(system, payment_id), is_good=True)
    charge, late = gateway.charge, []

    def timed_out(attempt: Any, save_reference: Any) -> Any:
        late.append(attempt)
        return InDoubt("no_answer", attempt.reference)

    gateway.charge = timed_out
    come_back(system, payment_id)
    system.run_until_idle()
    assert system.state(payment_id) == "in_doubt"
    system.move_clock(seconds=4)
    system.sweep()
    system.run_published()  # the look: nothing is to be seen yet
    assert system.state(payment_id) == "processing"
    assert system.call("POST", f"/{payment_id}/cancel", {}).status_code == 409

    gateway.charge = charge
    assert isinstance(charge(late[0], lambda _: None), Approved)  # the first call ends
    system.run_until_idle()
    system.advance(minutes=10)
    assert (system.state(payment_id), system.provider.movements()) == ("captured", [("charge", 1230)])


def test_returns_of_the_customer_do_not_cancel_a_running_look_up(system: System) -> None:
    bench, gateway = system.add_provider("paypal")
    payment_id = waiting_for_customer(system, "paypal", bench.currency)
    retrieve, look_ups = gateway.retrieve, []

    def retrieve_and_return(attempt: Any) -> Any:
        look_ups.append(attempt)
        for _ in range(3 if len(look_ups) == 1 else 0):
            come_back(system, payment_id)
            system.run_published()
        return retrieve(attempt)

    gateway.retrieve = retrieve_and_return
    come_back(system, payment_id)
    system.run_until_idle()
    assert len(look_ups) == 1
    assert system.attempts(payment_id)[0].lookups == 1


def test_after_a_look_up_that_failed_nobody_says_that_the_customer_has_not_approved(system: System) -> None:
    bench, _ = system.add_provider("paypal")
    payment_id = waiting_for_customer(system, "paypal", bench.currency)
    order_id = reference(system, payment_id)
    bench.let_customer_act(order_id, is_good=True)
    system.is_worker_up = True
    system.provider.fail(bench.calls["retrieve"], "error_before")
    assert system.call("POST", f"/paypal-capture/{order_id}", {}, Prefer="wait=1").status_code == 202
    system.advance(seconds=10)
    again = system.call("POST", f"/paypal-capture/{order_id}", {}, Prefer="wait=1")
    assert (again.status_code, again.json["status"]) == (200, "captured")


# --- money that does not match --------------------------------------------------------------------------


def mismatched(system: System, way: str = "pay_too_little") -> tuple[str, Any]:
    """Return a payment that waits for an operator, and its gateway."""
    bench, gateway = system.add_provider("coinbase_commerce")
    payment_id = waiting_for_customer(system, "bitcoin", bench.currency)
    bench.decide(reference(system, payment_id), way)
    bench.let_bank_decide(reference(system, payment_id), is_good=True)
    come_back(system, payment_id)
    system.run_until_idle()
    assert system.state(payment_id) == "amount_mismatch"
    return payment_id, gateway


def test_an_application_cannot_cancel_money_that_does_not_match(system: System) -> None:
    payment_id, gateway = mismatched(system)
    capture, responses = gateway.accept, []

    def capture_and_cancel(attempt: Any) -> Any:
        responses.append(system.call("POST", f"/{payment_id}/cancel", {}).status_code)
        return capture(attempt)

    gateway.accept = capture_and_cancel
    assert review(system, payment_id, "approve") == 202
    system.run_until_idle()
    assert responses == [409]
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", payment.authorized)
    assert system.provider.movements() == [("charge", payment.captured)]


def test_an_approval_captures_what_has_arrived_by_then(system: System) -> None:
    payment_id, gateway = mismatched(system)
    gateway.accept = lambda attempt: Approved(attempt.charge_reference, authorized=1000, captured=1000)
    assert review(system, payment_id, "approve") == 202
    system.run_until_idle()
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.authorized) == ("captured", 1000, 1000)


def test_a_mismatch_is_not_decided_before_money_is_confirmed(system: System) -> None:
    bench, gateway = system.add_provider("coinbase_commerce")
    payment_id = waiting_for_customer(system, "bitcoin", bench.currency)
    gateway.retrieve = lambda attempt: AmountMismatch(attempt.reference, 0, "delayed")
    come_back(system, payment_id)
    system.run_until_idle()
    assert system.state(payment_id) == "amount_mismatch"
    assert [review(system, payment_id, decision) for decision in ("approve", "reject")] == [409, 409]
    gateway.retrieve = lambda attempt: AmountMismatch(attempt.reference, 700, "underpaid")
    assert system.call("POST", f"/{payment_id}/cancel", {}).status_code == 409


def test_money_that_came_after_the_end_can_still_be_accepted(system: System) -> None:
    bench, gateway = system.add_provider("coinbase_commerce")
    payment_id = waiting_for_customer(system, "bitcoin", bench.currency)
    system.request(f"/{payment_id}/cancel")
    system.run_until_idle()
    assert system.state(payment_id) == "canceled"
    charge = system.attempts(payment_id)[0]
    late = AmountMismatch(charge.provider_reference, 1230, "delayed")
    apply_outcome(system, charge.id, late)
    assert (system.state(payment_id), system.payment(payment_id).received) == ("canceled", 1230)
    assert system.event_names(payment_id)[-2:] == ["payment_unresolved", "attention_opened"]
    assert review(system, payment_id, "reject") == 409
    gateway.accept = lambda attempt: Approved(attempt.charge_reference, authorized=1230, captured=1230)
    assert review(system, payment_id, "approve") == 202
    system.run_until_idle()
    assert (system.state(payment_id), system.payment(payment_id).captured) == ("captured", 1230)


def test_a_second_payment_into_one_charge_is_recorded_once(system: System) -> None:
    payment_id, _ = mismatched(system)
    review(system, payment_id, "approve")
    system.run_until_idle()
    charge = system.attempts(payment_id)[0]
    for _ in range(3):
        apply_outcome(system, charge.id, AmountMismatch(charge.provider_reference, 9000, "multiple"))
    assert system.event_names(payment_id).count("charge_duplicated") == 1
    assert system.state(payment_id) == "captured"


def apply_outcome(system: System, attempt_id: str, outcome: Any) -> None:
    """Apply an outcome, as the look-up of a webhook does."""
    system.runtime.change("test", transition.apply, attempt_id, outcome)


# --- other races -------------------------------------------------------------------------------------------


def test_a_retry_waits_for_the_void_of_the_earlier_attempt(system: System) -> None:
    payment_id = system.subscribe("inv", INSUFFICIENT_FUNDS)
    first = system.attempts(payment_id)[0]
    apply_outcome(system, first.id, CustomerApproved(first.provider_reference))
    assert [(row.verb, row.status) for row in system.attempts(payment_id)] == [("charge", "canceled"), ("void", "due")]
    assert system.attempts(payment_id)[1].provider_reference == first.provider_reference
    system.move_clock(days=3)
    system.run(DUNNING, payment_id)  # no unique index is violated
    assert len(system.attempts(payment_id)) == 2


def test_another_users_customer_is_not_charged(system: System) -> None:
    theirs = User("other", "another-user")
    system.runtime.change("test", claim_customer, theirs, "stripe")
    system.runtime.change("test", save_customer, theirs, "stripe", "cus_theirs")
    body = payment_request("inv", "pm_card_visa") | {"customer_token": "cus_theirs"}
    refused = system.post("/process", body, Idempotency_Key="once")
    assert (refused.status_code, refused.json.get("type")) == (404, "not_found")


def test_another_application_does_not_see_an_order_or_a_charge(system: System) -> None:
    system.add_provider("paypal")
    bench, _ = system.add_provider("coinbase_commerce")
    by_paypal = system.pay("paypal", payment_method="paypal", currency="USD", **HOSTED)
    by_coins = system.pay("coins", payment_method="bitcoin", currency=bench.currency, **HOSTED)
    system.run_until_idle()
    for method, path, payment_id in (("POST", "paypal-capture", by_paypal), ("GET", "crypto-status", by_coins)):
        assert system.state(payment_id) == "requires_action"
        theirs, unknown = (
            system.call(method, f"/{path}/{name}", caller="other")
            for name in (system.reference(payment_id), "5O190127TN364715T")
        )
        assert theirs.status_code == 404
        assert theirs.json["type"] == "not_found"
        assert theirs.json == unknown.json
        assert system.messages == []


def test_a_look_up_at_a_provider_that_is_switched_off_waits(system: System, caplog: pytest.LogCaptureFixture) -> None:
    bench, gateway = system.add_provider("paypal")
    payment_id = waiting_for_customer(system, "paypal", bench.currency)
    del system.runtime.gateways["paypal"]
    system.advance(minutes=2)
    system.run(RECONCILE, system.attempts(payment_id)[0].id)
    assert "not configured" in caplog.text
    system.runtime.gateways["paypal"] = gateway
    bench.let_customer_act(reference(system, payment_id), is_good=True)
    system.advance(minutes=2)
    assert system.state(payment_id) == "captured"


@pytest.mark.parametrize("is_told_at", ["coinbase", "coinbase_commerce"])
@pytest.mark.parametrize("others", [(), ("coinbase",)], ids=["alone", "beside the other"])
def test_one_address_takes_the_events_of_both_products_of_coinbase(
    system: System, is_told_at: str, others: tuple[str, ...]
) -> None:
    for other in others:
        system.add_provider(other)
    bench, _ = system.add_provider("coinbase_commerce")
    payment_id = waiting_for_customer(system, "bitcoin", bench.currency)
    charge = reference(system, payment_id)
    bench.decide(charge, "approve")
    bench.let_bank_decide(charge, is_good=True)
    hook = bench.signed(bench.event(charge))
    system.send_webhook(f"/webhooks/{is_told_at}", hook.body, hook.headers)
    system.run_until_idle()
    assert [row.provider for row in system.rows(webhook_events)] == ["coinbase_commerce"]
    assert system.state(payment_id) == "captured"


def test_a_forgery_is_refused_by_both_products_of_coinbase(system: System) -> None:
    bench, _ = system.add_provider("coinbase")
    commerce, _ = system.add_provider("coinbase_commerce")
    hooks = [commerce.signed({"event": {"id": "1", "type": "charge:created"}}, is_forged=True)]
    hooks.append(bench.signed({"id": "1", "eventType": "checkout.payment.success"}, is_forged=True))
    for hook in hooks:
        response = system.client.post(f"{PREFIX}/webhooks/coinbase", data=hook.body, headers=dict(hook.headers))
        assert response.status_code == 400
    own = bench.signed({"id": "1", "eventType": "checkout.invented"})
    system.send_webhook("/webhooks/coinbase", own.body, own.headers)
    assert [row.provider for row in system.rows(webhook_events)] == ["coinbase"]
