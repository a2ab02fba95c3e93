"""Money at rest is compared with its provider: what moved beside Celeriac is booked without any webhook."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from domain.money import Money
from domain.outcome import Approved
from domain.payment import Verb
from gateways.base import AttemptRequest, GatewayError
from models.movements import differences, of_other_currency
from models.session import read, transact
from models.tables import attention, movements
from models.task_messages import COMPARE
from models.transition_locks import lock_attempt
from sandbox.afterpay.api import Afterpay
from sandbox.klarna.api import Klarna
from sandbox.paypal.api import PayPal
from sandbox.stripe.api import Stripe
from tasks.execute import attempt_request
from tests.contract.bench import PAYER
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

METHODS = {"paypal": "paypal", "klarna": "klarna", "afterpay": "afterpay", "coinbase": "cryptocurrency"}


def taken(system: System, provider: str, **changes: Any) -> tuple[str, Any]:
    """Return a captured or authorized payment and its gateway; no webhook of the provider arrives."""
    if provider == "stripe":
        payment_id, gateway = system.pay(), system.gateway
    else:
        bench, gateway = system.add_provider(provider)
        given = {"payment_method": METHODS[provider], "currency": bench.currency, "payment_method_token": None}
        payment_id = system.pay(**(given | PAYER | changes))
        system.run_until_idle()
        bench.let_customer_act(system.reference(payment_id), is_good=True)
        if provider == "coinbase":
            bench.let_bank_decide(system.reference(payment_id), is_good=True)
        system.call("GET", f"/returns/{system.attempts(payment_id)[0].id}", {})
    system.run_until_idle()
    if system.state(payment_id) not in ("captured", "authorized"):
        system.advance(minutes=2)
    assert system.state(payment_id) == ("captured" if changes.get("capture", True) else "authorized")
    return payment_id, gateway


def refund_elsewhere(system: System, payment_id: str, gateway: Any, minor: int) -> None:
    """Give money back as somebody else would who has the credentials."""
    gateway.refund(request_elsewhere(system, payment_id, Verb.REFUND, minor))


def request_elsewhere(system: System, payment_id: str, verb: Verb, minor: int) -> AttemptRequest:
    """Return what somebody else asks who has the credentials."""
    attempt = system.attempts(payment_id)[0]

    def request(change: Any) -> Any:
        return attempt_request(change, lock_attempt(change.connection, attempt.id))

    charge = system.runtime.change("test", request)
    return replace(
        charge,
        attempt_id=f"re_{secrets.token_hex(8)}",
        verb=verb,
        money=Money(minor, charge.money.currency),
        charge_reference=charge.reference,
        reference=None,
    )


def compare_after(system: System, days: float) -> None:
    """Let so many days pass, and a comparison catch up with them."""
    system.move_clock(days=days)
    system.run(COMPARE)
    system.advance(seconds=10)


@pytest.mark.parametrize("provider", ["stripe", *METHODS])
def test_a_refund_made_elsewhere_is_booked_within_a_day_without_a_webhook(system: System, provider: str) -> None:
    payment_id, gateway = taken(system, provider)
    hide_events(system)
    system.run(COMPARE)
    refund_elsewhere(system, payment_id, gateway, 500)
    compare_after(system, 1.1)
    if provider == "coinbase":
        reference = system.attempts(payment_id)[-1].provider_reference
        system.provider.control(f"coinbase/{reference}/settle", {"result": "success"})
        system.advance(hours=1)
    assert (system.payment(payment_id).refunded, system.state(payment_id)) == (500, "partially_refunded")
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    too_much = system.post(f"/{payment_id}/refunds", {"amount": "7.31"}, Idempotency_Key="more")
    assert (too_much.status_code, "7.30" in too_much.text) == (422, True)


@pytest.mark.parametrize("provider", ["paypal", "klarna", "afterpay"])
def test_what_a_partial_capture_has_released_is_no_refund(system: System, provider: str) -> None:
    payment_id, _ = taken(system, provider, capture=False)
    system.request(f"/{payment_id}/capture", {"amount": "5.00"})
    system.run_until_idle()
    system.run(COMPARE)
    compare_after(system, 1.1)
    assert [row.verb for row in system.attempts(payment_id)] == ["authorize", "capture"]
    assert (system.payment(payment_id).captured, system.payment(payment_id).refunded) == (500, 0)


def test_a_refund_elsewhere_that_is_pending_counts_as_given(system: System) -> None:
    payment_id = system.pay(card="pm_card_pendingRefund")
    system.run_until_idle()
    intent = system.reference(payment_id)
    refund = system.provider.call("POST", "/v1/refunds", {"payment_intent": intent, "amount": 600})["id"]
    system.deliver_and_run(system.provider.event("refund.created", refund))
    assert [(row.verb, row.status, row.amount) for row in system.attempts(payment_id)][1:] == [
        ("refund", "pending", 600)
    ]
    refused = system.post(f"/{payment_id}/refunds", {"amount": "12.30"}, Idempotency_Key="all")
    assert (refused.status_code, "6.30" in refused.text) == (422, True)
    system.provider.decide_at_bank(refund, "success")
    system.advance(hours=2)
    assert system.payment(payment_id).refunded == 600


def test_a_refund_that_comes_back_later_is_seen_without_its_webhook(system: System) -> None:
    payment_id = system.pay(card="pm_card_refundFail")
    system.run_until_idle()
    hide_events(system)
    system.run(COMPARE)
    system.request(f"/{payment_id}/refunds", {"amount": "5.00"}, Idempotency_Key="part")
    system.run_until_idle()
    assert system.payment(payment_id).refunded == 500
    system.provider.decide_at_bank(str(system.attempts(payment_id)[1].provider_reference), "failure")
    compare_after(system, 1.1)
    assert (system.payment(payment_id).refunded, system.state(payment_id)) == (0, "captured")


def test_a_refund_of_a_duplicate_gives_back_the_duplicate(system: System) -> None:
    payment_id = system.pay_twice()
    refund = system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(payment_id)})["id"]
    system.deliver_and_run(system.provider.event("refund.created", refund))
    system.advance(minutes=1)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured, payment.refunded, payment.duplicated) == ("captured", AMOUNT, 0, 0)
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    system.request(f"/{payment_id}/refunds", Idempotency_Key="all")
    system.run_until_idle()
    assert system.state(payment_id) == "refunded"


def test_a_refund_elsewhere_of_a_captured_authorization_is_booked(system: System) -> None:
    hide_events(system)
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    system.run(COMPARE)
    system.request(f"/{payment_id}/capture")
    system.run_until_idle()
    refund_elsewhere(system, payment_id, system.gateway, 500)
    compare_after(system, 1.1)
    assert system.payment(payment_id).refunded == 500


def test_every_window_of_time_is_compared(system: System) -> None:
    """One run catches up with a day, an hour at a time; the charges lie in two hours, one after the other."""
    hide_events(system)
    system.run(COMPARE)
    payment_ids = []
    for invoice in ("first", "second"):
        payment_ids.append(system.pay(invoice))
        system.run_until_idle()
        refund_elsewhere(system, payment_ids[-1], system.gateway, 500)
        system.move_clock(hours=1)
    compare_after(system, 1.1)
    assert [system.payment(payment_id).refunded for payment_id in payment_ids] == [500, 500]


def test_a_provider_that_is_down_is_compared_later(system: System) -> None:
    payment_id, gateway = taken(system, "stripe")
    system.run(COMPARE)
    refund_elsewhere(system, payment_id, gateway, 500)
    hide_events(system)
    system.provider.fail("payment_intents.retrieve", "error_before", times=None)
    compare_after(system, 1.1)
    assert system.payment(payment_id).refunded == 0
    system.provider.heal()
    hide_events(system)
    compare_after(system, 0.1)
    assert system.payment(payment_id).refunded == 500


def test_a_charge_that_can_never_be_compared_holds_up_the_others_for_a_day_only(system: System) -> None:
    hide_events(system)
    lost, _ = taken(system, "paypal")
    system.run(COMPARE)
    system.move_clock(hours=5)
    payment_id, gateway = taken(system, "paypal", invoice_id="later")
    refund_elsewhere(system, payment_id, gateway, 500)
    order = system.sandbox.state.provider_of(PayPal).account.orders[system.reference(lost)]
    del order.of("captures")[0].body["amount"]
    compare_after(system, 1.5)
    assert (system.payment(payment_id).refunded, system.rows(attention)) == (0, [])
    compare_after(system, 1)
    assert system.payment(payment_id).refunded == 500
    skipped = system.rows(attention, attention.c.reason == "comparison_skipped")
    assert [(row.provider, row.closed_at) for row in skipped] == [("paypal", None)]


def test_what_a_round_cannot_do_is_done_by_the_next(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_events(system)
    system.run(COMPARE)
    paid = [system.pay(f"inv-{number}") for number in range(3)]
    system.run_until_idle()
    for payment_id in paid:
        refund_elsewhere(system, payment_id, system.gateway, 500)
    monkeypatch.setattr("tasks.compare._MOST_ATTEMPTS", 1)
    system.move_clock(days=1, minutes=1)
    refunded = []
    for _ in paid:
        compare_after(system, 0)
        refunded.append(sum(system.payment(payment_id).refunded for payment_id in paid))
    assert refunded == [500, 1000, 1500]


@pytest.mark.parametrize("budget", [1, 2])
def test_more_money_of_one_moment_than_a_round_compares_is_left_to_the_next_rounds(
    system: System, monkeypatch: pytest.MonkeyPatch, budget: int
) -> None:
    hide_events(system)
    system.run(COMPARE)
    paid = [system.pay(f"inv-{number}") for number in range(4)]
    system.run_until_idle()
    for payment_id in paid:
        refund_elsewhere(system, payment_id, system.gateway, 500)
    at_once = update(movements).values(booked_at=system.now())
    transact(system.engine, lambda connection: connection.execute(at_once))
    monkeypatch.setattr("tasks.compare._MOST_ATTEMPTS", budget)
    system.move_clock(days=1, minutes=1)
    refunded = []
    for _ in range(4 // budget):
        compare_after(system, 0)
        refunded.append(sum(system.payment(payment_id).refunded for payment_id in paid))
    assert refunded == [500 * budget * (number + 1) for number in range(4 // budget)]


def test_a_round_that_ends_within_one_moment_skips_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    hide_events(system)
    system.run(COMPARE)
    paid = [system.pay(f"inv-{number}") for number in range(3)]
    system.run_until_idle()
    for payment_id in paid:
        refund_elsewhere(system, payment_id, system.gateway, 500)
    at_once = update(movements).where(movements.c.payment_id != paid[0]).values(booked_at=system.now())
    transact(system.engine, lambda connection: connection.execute(at_once))
    monkeypatch.setattr("tasks.compare._MOST_ATTEMPTS", 2)
    system.move_clock(days=1, minutes=1)
    for _ in range(2):
        compare_after(system, 0)
    assert [system.payment(payment_id).refunded for payment_id in paid] == [500] * 3


def hide_events(system: System) -> None:
    """Let no provider list its events, so that only the schedule of days shows what has happened."""
    for operation in ("events.list", "paypal.webhooks.events"):
        system.provider.fail(operation, "error_before", times=None)


HELD = ["stripe", "paypal", "klarna", "afterpay"]


def held(system: System, provider: str) -> tuple[str, Any]:
    """Return an authorized payment and its gateway; no webhook arrives, and no list shows an event."""
    hide_events(system)
    if provider != "stripe":
        payment_id, gateway = taken(system, provider, capture=False)
    else:
        payment_id, gateway = system.pay(capture=False), system.gateway
        system.run_until_idle()
    system.run(COMPARE)
    assert system.state(payment_id) == "authorized"
    return payment_id, gateway


@pytest.mark.parametrize(("provider", "minor"), [*zip(HELD, (AMOUNT, 500, 500, AMOUNT), strict=True)])
def test_a_hold_that_was_captured_elsewhere_is_booked_within_a_day(system: System, provider: str, minor: int) -> None:
    payment_id, gateway = held(system, provider)
    assert isinstance(gateway.capture(request_elsewhere(system, payment_id, Verb.CAPTURE, minor)), Approved)
    compare_after(system, 1.1)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", minor)
    assert read(system.engine, lambda connection: list(differences(connection))) == []


@pytest.mark.parametrize("provider", HELD)
def test_a_hold_is_left_alone_until_it_is_released_elsewhere(system: System, provider: str) -> None:
    payment_id, gateway = held(system, provider)
    before = system.attempts(payment_id)
    compare_after(system, 1.1)
    assert (system.state(payment_id), system.attempts(payment_id)) == ("authorized", before)
    assert isinstance(gateway.void(request_elsewhere(system, payment_id, Verb.VOID, AMOUNT)), Approved)
    compare_after(system, 2)
    assert (system.state(payment_id), system.payment(payment_id).captured) == ("voided", 0)
    assert system.rows(attention) == []


def test_a_hold_of_which_more_was_captured_than_was_held_is_booked_and_left_to_a_person(system: System) -> None:
    payment_id, _ = held(system, "paypal")
    account = system.sandbox.state.provider_of(PayPal).account
    order = account.orders[system.reference(payment_id)]
    more = {"amount": {"value": "14.00", "currency_code": "EUR"}, "final_capture": True}
    account.capture(order, order.of("authorizations")[0], more, "elsewhere")
    compare_after(system, 1.1)
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id, entry.amount) == ("amount_mismatch", payment_id, 1400)
    payment = system.payment(payment_id)
    assert (payment.state, payment.captured) == ("captured", 1400)
    compare_after(system, 2)
    assert len(system.rows(attention)) == 1


def hold_more(system: System, provider: str, reference: str) -> None:
    """Let a provider show that it holds 14.00."""
    simulated = system.sandbox.state.provider_of
    match provider:
        case "stripe":
            simulated(Stripe).account.intents[reference].body["amount_capturable"] = 1400
        case "paypal":
            held = simulated(PayPal).account.orders[reference].of("authorizations")[0]
            held.body["amount"]["value"] = "14.00"
        case "klarna":
            simulated(Klarna)._orders.by_id[reference].remaining = 1400
        case "afterpay":
            simulated(Afterpay)._by_token[reference].open_amount = 1400


@pytest.mark.parametrize("provider", HELD)
def test_a_hold_of_another_amount_than_in_the_books_is_left_to_a_person(system: System, provider: str) -> None:
    payment_id, _ = held(system, provider)
    hold_more(system, provider, system.reference(payment_id))
    compare_after(system, 1.1)
    assert [row.reason for row in system.rows(attention)] == ["hold_contradicting"]
    [entry] = system.rows(attention)
    assert (entry.payment_id, entry.amount) == (payment_id, AMOUNT)
    assert (entry.data["shown"], system.state(payment_id)) == ("approved", "authorized")
    compare_after(system, 2)
    assert len(system.rows(attention)) == 1


# --- fees ---


def fees(system: System, payment_id: str) -> list[tuple[int, str]]:
    """Return the booked fees of a payment."""
    is_fee = (movements.c.payment_id == payment_id) & (movements.c.kind == "fee")
    return [(row.amount, row.currency) for row in system.rows(movements, is_fee)]


def test_the_fee_of_a_charge_is_booked_once_and_is_no_part_of_its_amounts(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    system.run(COMPARE)
    assert fees(system, payment_id) == []
    for days in (1, 2):
        system.move_clock(days=days, hours=2)
        system.run(COMPARE)
    assert fees(system, payment_id) == [(-35, "EUR")]
    assert system.payment(payment_id).captured == AMOUNT
    shown = system.get(f"/{payment_id}").json["movements"][-1]
    assert (shown["kind"], shown["amount"], shown["currency"]) == ("fee", "-0.35", "EUR")
    assert shown["moved_at"] < shown["booked_at"], "the fee has the time of the charge"
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def test_a_fee_may_have_a_currency_of_its_own_and_nothing_else(system: System) -> None:
    payment_id = system.pay()
    system.run_until_idle()
    stripe = next(each for each in system.sandbox.state.providers if each.provider == "stripe")
    [transaction] = stripe.account.balance_transactions.values()
    transaction["currency"] = "usd"
    system.run(COMPARE)
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    assert fees(system, payment_id) == [(-35, "USD")]
    assert read(system.engine, of_other_currency) == []
    transact(system.engine, lambda connection: connection.execute(update(movements).values(currency="USD")))
    assert [row.kind for row in read(system.engine, of_other_currency)] == ["charge"]


@pytest.mark.parametrize("what", ["fees_of", "disputes_of"])
def test_a_key_that_may_not_read_everything_still_compares_refunds(
    system: System, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    def refuse(charge: AttemptRequest) -> None:
        raise GatewayError("permission_missing")

    monkeypatch.setattr(system.gateway, what, refuse)
    hide_events(system)
    system.run(COMPARE)
    paid = [system.pay(f"inv-{number}") for number in range(6)]
    system.run_until_idle()
    for payment_id in paid:
        refund_elsewhere(system, payment_id, system.gateway, 500)
    compare_after(system, 1.1)
    assert [system.payment(payment_id).refunded for payment_id in paid] == [500] * 6


def test_paypal_s_fee_is_that_of_the_capture(system: System) -> None:
    payment_id, _ = taken(system, "paypal")
    system.run(COMPARE)
    compare_after(system, 1.1)
    assert fees(system, payment_id) == [(-42, "EUR")]


def test_paypal_gives_back_of_its_fee_with_a_refund(system: System) -> None:
    payment_id, gateway = taken(system, "paypal")
    refund_elsewhere(system, payment_id, gateway, 500)
    order = system.sandbox.state.provider_of(PayPal).account.orders[system.reference(payment_id)]
    order.of("refunds")[0].body["seller_payable_breakdown"]["paypal_fee"]["value"] = "0.17"
    system.run(COMPARE)
    for days in (1, 2):
        compare_after(system, days + 0.1)
    assert fees(system, payment_id) == [(-42, "EUR"), (17, "EUR")]


def test_a_fee_that_cannot_be_read_stops_no_comparison(system: System) -> None:
    payment_id, gateway = taken(system, "paypal")
    refund_elsewhere(system, payment_id, gateway, 500)
    hide_events(system)
    order = system.sandbox.state.provider_of(PayPal).account.orders[system.reference(payment_id)]
    order.of("refunds")[0].body["seller_payable_breakdown"]["paypal_fee"]["value"] = "many"
    system.run(COMPARE)
    compare_after(system, 1.1)
    assert (fees(system, payment_id), system.payment(payment_id).refunded) == ([], 500)


def test_the_fee_of_a_refund_is_booked_beside_that_of_its_charge(system: System) -> None:
    hide_events(system)
    payment_id = system.pay()
    system.run_until_idle()
    system.run(COMPARE)
    compare_after(system, 1.1)
    refund_elsewhere(system, payment_id, system.gateway, 500)
    account = system.sandbox.state.provider_of(Stripe).account
    [refund] = account.refunds.values()
    [transaction] = account.balance_transactions.values()
    id = refund["balance_transaction"]
    account.balance_transactions[id] = transaction | {"id": id, "fee": 25, "amount": -500, "source": refund["id"]}
    for days in (2, 4):
        compare_after(system, days)
    assert fees(system, payment_id) == [(-35, "EUR"), (-25, "EUR")]
    assert read(system.engine, lambda connection: list(differences(connection))) == []
