"""Side events of providers, such as disputes, are in the audit trail: from the sandbox, through the receiver and the
task, to an event of the payment, or of none."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests
from sqlalchemy import Row

from models.queries import show_payment
from models.session import read
from models.tables import attention, events, movements
from tests.acceptance.harness import hosted_body
from tests.contract.bench import SECONDS
from tests.contract.benches.afterpay import ProviderBench as AfterpayBench
from tests.contract.benches.klarna import ProviderBench as KlarnaBench
from tests.contract.benches.paypal import ProviderBench as PayPalBench
from tests.system import Json, System
from webhooks.app import PREFIX

pytestmark = pytest.mark.postgres
# The amount of `hosted_body`.
AMOUNT = "24.90"


class PayPal:
    """PayPal in a system: its events arrive when a test delivers them."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.bench = PayPalBench(system.sandbox)
        system.runtime.gateways["paypal"] = self.bench.gateway()

    def pay(self) -> str:
        """Return a payment that was approved and captured."""
        payment_id = str(self.system.accept(hosted_body("paypal"))["id"])
        self.system.run_until_idle()
        self.bench.let_customer_act(self.attempt_request(payment_id), is_good=True)
        self.deliver(self.bench.event(self.attempt_request(payment_id)))
        assert self.system.state(payment_id) == "captured"
        return payment_id

    def attempt_request(self, payment_id: str) -> str:
        """Return PayPal's order of a payment."""
        return str(self.system.attempts(payment_id)[0].provider_reference)

    def capture_of(self, payment_id: str) -> str:
        """Return PayPal's capture of a payment."""
        return self.bench.account.orders[self.attempt_request(payment_id)].of("captures")[0].id

    def deliver(self, event: Json) -> Row[Any]:
        """Deliver an event and run messages until none is left; return its row."""
        sent = self.bench.signed(event)
        row_id = self.system.receive("/webhooks/paypal", sent.body, sent.headers)
        self.system.run_until_idle()
        return self.system.webhook(row_id)

    def control(self, path: str, **body: Any) -> None:
        """Let something happen at PayPal."""
        url = f"{self.system.sandbox.url}/_sandbox/paypal/{path}"
        requests.post(url, json=body, timeout=SECONDS).raise_for_status()

    def refund_in_dashboard(self, payment_id: str, value: str) -> str:
        """Give money back beside us; return the refund's id."""
        paypal = f"{self.system.sandbox.url}/paypal"
        basic = ("sandbox-client", "sandbox-secret")
        form = {"grant_type": "client_credentials"}
        token = requests.post(f"{paypal}/v1/oauth2/token", data=form, auth=basic, timeout=SECONDS).json()
        response = requests.post(
            f"{paypal}/v2/payments/captures/{self.capture_of(payment_id)}/refund",
            json={"amount": {"currency_code": "USD", "value": value}},
            headers={"Authorization": f"Bearer {token['access_token']}", "Prefer": "return=representation"},
            timeout=SECONDS,
        )
        assert response.status_code == 201, response.text
        return str(response.json()["id"])


@pytest.fixture
def paypal(system: System) -> PayPal:
    """PayPal beside Stripe."""
    return PayPal(system)


def side_events(system: System) -> list[tuple[str | None, str, Json]]:
    """Return the side events: of which payment, the name, the data."""
    rows = system.rows(events, events.c.from_state.is_(None), events.c.actor.startswith("webhook:"))
    return [(row.payment_id, row.name, row.data or {}) for row in rows]


# --- refunds of the dashboard ----------------------------------------------------------------------------


def test_refunds_of_the_dashboard_that_name_only_their_capture_are_adopted(system: System, paypal: PayPal) -> None:
    payment_id = paypal.pay()
    for value in ("7.00", "2.90"):
        refund_id = paypal.refund_in_dashboard(payment_id, value)
        event = paypal.bench.event(refund_id)
        assert "supplementary_data" not in event["resource"]
        row = paypal.deliver(event)
        assert (row.status, row.payment_id) == ("applied", payment_id)
    assert system.payment(payment_id).refunded == 990
    assert [row.amount for row in system.attempts(payment_id) if row.verb == "refund"] == [700, 290]
    # Told once more, it is the same refund.
    paypal.deliver(event | {"id": "WH-AGAIN"})
    assert system.payment(payment_id).refunded == 990


# --- PayPal ----------------------------------------------------------------------------------------------


def test_an_event_of_a_subscription_is_recorded_without_a_payment(system: System, paypal: PayPal) -> None:
    paypal.control("I-BW452GLLEP1G/emit", event_type="BILLING.SUBSCRIPTION.PAYMENT.FAILED")
    event = paypal.bench.event("I-BW452GLLEP1G")
    row = paypal.deliver(event)
    assert (row.status, row.payment_id) == ("applied", None)
    [(payment_id, name, data)] = side_events(system)
    assert (payment_id, name) == (None, "subscription_payment_failed")
    assert data.pop("next_retry_at") > event["create_time"]
    assert data == {
        "reference": "I-BW452GLLEP1G",
        "status": "ACTIVE",
        "reason": "PAYER_CANNOT_PAY",
        "amount": "12.30",
        "currency": "USD",
    }
    paypal.deliver(event)
    assert len(side_events(system)) == 1


def test_a_dispute_is_shown_with_its_payment(system: System, paypal: PayPal) -> None:
    paid, other = paypal.pay(), paypal.pay()
    capture = paypal.capture_of(paid)
    for step in ({}, {"status": "UNDER_REVIEW"}, {"outcome": "RESOLVED_BUYER_FAVOUR"}):
        paypal.control(f"{capture}/dispute", **step)
        assert paypal.deliver(paypal.bench.event(capture)).payment_id == paid
    names = ("event", "transaction", "status", "outcome", "amount")
    shown = [{name: dispute[name] for name in names if name in dispute} for dispute in disputes_of(system, paid)]
    known = {"transaction": capture, "amount": AMOUNT}
    assert shown == [
        known | {"event": "dispute_opened", "status": "OPEN"},
        known | {"event": "dispute_updated", "status": "UNDER_REVIEW"},
        known | {"event": "dispute_lost", "status": "RESOLVED", "outcome": "RESOLVED_BUYER_FAVOUR"},
    ]
    assert (disputes_of(system, other), system.state(paid)) == ([], "reversed")


def test_a_dispute_without_our_ids_is_found_by_its_capture(system: System, paypal: PayPal) -> None:
    paid = paypal.pay()
    capture = paypal.capture_of(paid)
    paypal.control(f"{capture}/dispute", is_anonymous=True)
    row = paypal.deliver(paypal.bench.event(capture))
    assert (row.status, row.payment_id) == ("applied", paid)
    assert [entry.reason for entry in system.rows(attention, attention.c.payment_id == paid)] == ["dispute"]
    assert ("dispute_opened", capture) in [(name, data.get("transaction")) for _, name, data in side_events(system)]


def test_a_dispute_that_names_only_the_payment_belongs_to_it(system: System, paypal: PayPal) -> None:
    paid = paypal.pay()
    capture = paypal.capture_of(paid)
    paypal.control(f"{capture}/dispute")
    event = paypal.bench.event(capture)
    del event["resource"]["disputed_transactions"][0]["invoice_number"]
    assert paypal.deliver(event).payment_id == paid
    assert len(disputes_of(system, paid)) == 1


def test_a_dispute_at_paypal_does_not_touch_a_payment_of_another_provider(system: System, paypal: PayPal) -> None:
    paid, by_card = paypal.pay(), system.pay()
    system.run_until_idle()
    capture = paypal.capture_of(paid)
    paypal.control(f"{capture}/dispute")
    event = paypal.bench.event(capture)
    [attempt] = system.attempts(by_card)
    event["resource"]["disputed_transactions"][0] |= {"invoice_number": attempt.id, "custom": by_card}
    assert paypal.deliver(event).payment_id is None


def test_a_saved_account_is_recorded_by_its_order_and_never_by_its_token(system: System, paypal: PayPal) -> None:
    paid = paypal.pay()
    order_id = paypal.attempt_request(paid)
    for happened, more in (("CREATED", {"order_id": order_id}), ("DELETED", {})):
        paypal.control("8kk8451t/emit", event_type=f"VAULT.PAYMENT-TOKEN.{happened}", **more)
        paypal.deliver(paypal.bench.event("8kk8451t"))
    data = {"customer": "customer_4029352050"}
    assert side_events(system) == [(paid, "payment_method_saved", data), (None, "payment_method_removed", data)]


# --- Afterpay and Klarna ---------------------------------------------------------------------------------


def test_a_dispute_at_afterpay(system: System) -> None:
    bench = AfterpayBench(system.sandbox)
    account = {"merchant_id": "sandbox-us", "region": "us"}
    system.runtime.gateways["afterpay"] = bench.gateway(api_url=f"http://localhost{PREFIX}", **account)
    payment_id = str(system.accept(hosted_body("afterpay"))["id"])
    system.run_until_idle()
    token = str(system.attempts(payment_id)[0].provider_reference)
    bench.let_customer_act(token, is_good=True)
    system.advance(minutes=2)
    assert system.state(payment_id) == "captured"
    event = bench.event(token)
    for sent in (event, event | {"webhook_event_id": "e-2", "webhook_event_type": "updated"}):
        signed = bench.signed(sent, seconds=120, url=f"http://localhost{PREFIX}/webhooks/afterpay")
        system.receive("/webhooks/afterpay", signed.body, signed.headers)
    system.run_until_idle()
    shown = [(dispute["event"], dispute["reference"], dispute["type"]) for dispute in disputes_of(system, payment_id)]
    id = event["dispute_id"]
    assert shown == [("dispute_opened", id, "created"), ("dispute_updated", id, "updated")]


def test_an_order_that_klarna_stops_is_recorded_at_once_and_looked_up_as_well(system: System) -> None:
    bench = KlarnaBench(system.sandbox)
    system.runtime.gateways["klarna"] = bench.gateway(region="eu", api_url=f"http://localhost{PREFIX}")
    payment_id = str(system.accept(hosted_body("klarna"))["id"])
    system.run_until_idle()
    bench.let_customer_act(str(system.attempts(payment_id)[0].provider_reference), is_good=True)
    system.advance(minutes=2)
    assert system.state(payment_id) == "captured"
    [attempt] = system.attempts(payment_id)
    bench.control(f"orders/{attempt.provider_reference}/fraud", "stop")
    event = bench.event(attempt.provider_reference)
    assert event["event_type"] == "FRAUD_RISK_STOPPED"

    fault = system.sandbox.state.faults.add("klarna.orders.read", "error_before", times=2)
    path = f"/webhooks/klarna/{bench.secrets[0]}?attempt={attempt.id}"
    row_id = system.receive(path, json.dumps(event).encode(), {})
    system.run_until_idle()
    stopped = [(payment_id, "fraud_risk_stopped", {"reference": attempt.provider_reference})]
    assert (system.webhook(row_id).status, side_events(system)) == ("stored", stopped)
    for _ in range(3):
        system.advance(minutes=1)
    assert (system.webhook(row_id).status, fault.hits) == ("applied", 2)
    assert (side_events(system), system.state(payment_id)) == (stopped, "captured")


def test_an_authorization_that_klarna_takes_back_is_not_captured_any_more(system: System) -> None:
    bench = KlarnaBench(system.sandbox)
    system.runtime.gateways["klarna"] = bench.gateway(region="eu", api_url=f"http://localhost{PREFIX}")
    payment_id = str(system.accept(hosted_body("klarna") | {"capture": False})["id"])
    system.run_until_idle()
    bench.let_customer_act(str(system.attempts(payment_id)[0].provider_reference), is_good=True)
    system.advance(minutes=2)
    assert system.state(payment_id) == "authorized"
    [attempt] = system.attempts(payment_id)
    bench.control(f"orders/{attempt.provider_reference}/fraud", "stop")
    path = f"/webhooks/klarna/{bench.secrets[0]}?attempt={attempt.id}"
    system.receive(path, json.dumps(bench.event(attempt.provider_reference)).encode(), {})
    system.run_until_idle()
    assert (system.state(payment_id), system.payment(payment_id).failure_code) == ("voided", "fraud_rejected")
    assert [kind for kind, _ in system.provider.movements()] == ["authorization", "void"]
    assert [row.kind for row in system.rows(movements)] == ["authorization", "release"]
    assert system.post(f"/{payment_id}/capture").status_code == 409


def disputes_of(system: System, payment_id: str) -> list[Json]:
    """Return what the API shows of a payment's disputes."""
    shown: list[Json] = read(system.engine, lambda connection: show_payment(connection, payment_id, None))["disputes"]
    return shown
