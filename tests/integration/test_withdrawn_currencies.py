"""A currency that leaves ISO 4217, as BGN did in 2026: no new payment is made in it, and all old ones are as before."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from iso4217 import Currency

from domain import money
from models.movements import differences
from models.session import read
from tests.contract.bench import PAYER
from tests.system import AMOUNT, System, payment_request

Withdraw = Callable[[str], None]

HOSTED = {"payment_method_token": None} | PAYER
# The method of each provider that gives money back, or a card.
REFUNDED = {
    "stripe": "credit_card",
    "paypal": "paypal",
    "klarna": "klarna",
    "afterpay": "afterpay",
    "coinbase": "cryptocurrency",
}


@pytest.fixture
def withdraw(monkeypatch: pytest.MonkeyPatch) -> Iterator[Withdraw]:
    """Take a currency from the list until the test ends."""

    def leave(code: str) -> None:
        def listed(asked: str) -> Currency:
            if asked == code:
                raise ValueError(asked)
            return Currency(asked)

        monkeypatch.setattr(money, "Currency", listed)
        money.exponent.cache_clear()

    yield leave
    money.exponent.cache_clear()


def captured(system: System, provider: str) -> tuple[str, str]:
    """Return a captured payment of a provider, and its currency."""
    if provider == "stripe":
        payment_id, currency = system.pay(), "EUR"
        system.run_until_idle()
        return payment_id, currency
    bench, _ = system.add_provider(provider)
    payment_id = system.pay(payment_method=REFUNDED[provider], currency=bench.currency, **HOSTED)
    system.run_until_idle()
    reference = system.reference(payment_id)
    bench.let_customer_act(reference, is_good=True)
    if provider == "coinbase":
        bench.let_bank_decide(reference, is_good=True)
    system.advance(minutes=2)
    assert system.state(payment_id) == "captured"
    return payment_id, str(bench.currency)


@pytest.mark.parametrize("provider", REFUNDED)
def test_an_old_payment_is_shown_and_given_back_in_parts(system: System, withdraw: Withdraw, provider: str) -> None:
    payment_id, currency = captured(system, provider)
    before = system.get(f"/{payment_id}").json
    withdraw(currency)

    assert system.get(f"/{payment_id}").json == before
    assert [shown["id"] for shown in system.get("/?limit=10").json["payments"]] == [payment_id]
    assert system.get("/invoices/inv").json["collected_amount"] == "12.30"
    for amount in ("5.00", None):
        system.request(f"/{payment_id}/refunds", {"amount": amount}, Idempotency_Key=f"refund-{amount}")
        system.run_until_idle()
        if provider == "coinbase":
            bench, _ = system.add_provider(provider)
            bench.let_bank_decide(str(system.attempts(payment_id)[-1].provider_reference), is_good=True)
        system.advance(hours=1)
    assert (system.state(payment_id), system.payment(payment_id).refunded) == ("refunded", AMOUNT)
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def test_what_an_event_shows_of_an_old_payment_is_applied(system: System, withdraw: Withdraw) -> None:
    payment_id, currency = captured(system, "stripe")
    withdraw(currency)
    refund = system.provider.call(
        "POST", "/v1/refunds", {"payment_intent": system.reference(payment_id), "amount": 500}
    )
    event = system.deliver_and_run(system.provider.event("refund.created", refund["id"]))
    system.advance(minutes=1)
    assert system.webhook(event.id).status == "applied"
    assert system.payment(payment_id).refunded == 500
    [entry] = system.get("/admin/attention?open=1", caller="operator").json["entries"]
    assert entry["amount_at_stake"] == "5.00"


def test_no_new_payment_is_made_in_it(system: System, withdraw: Withdraw) -> None:
    withdraw("EUR")
    refused = system.post("/process", payment_request("inv", "pm_card_visa"), Idempotency_Key="key")
    assert (refused.status_code, refused.json["type"]) == (422, "unknown_currency")
    methods = system.get("/payment-methods?currency=EUR")
    assert (methods.status_code, methods.json["type"]) == (422, "unknown_currency")


@pytest.mark.parametrize("currency", ["bgn", "hrk", "usdc"])
def test_a_dispute_of_another_system_in_it_is_no_bug(system: System, currency: str) -> None:
    dispute = {
        **{"id": "dp_1", "object": "dispute", "amount": 1230, "currency": currency, "charge": "ch_1"},
        **{"payment_intent": "pi_of_another", "reason": "fraudulent", "status": "needs_response"},
    }
    event = {"id": "evt_1", "object": "event", "type": "charge.dispute.created", "data": {"object": dispute}}
    row = system.deliver_and_run(event | {"livemode": False})
    assert (row.failures, row.due_at) == (0, None)
    assert row.status == ("unreadable" if currency == "usdc" else "applied")
