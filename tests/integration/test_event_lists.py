"""With every webhook lost, one round of the comparison brings the books to what the provider's lists show."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from click.testing import CliRunner

from models.movements import differences
from models.session import read
from models.tables import attention, comparisons, disputes, webhook_events
from models.task_messages import COMPARE
from sandbox.stripe.api import Stripe
from tests.contract.bench import PAYER
from tests.system import AMOUNT, System
from worker.commands import open_runtime
from worker.commands.group import payments

pytestmark = pytest.mark.postgres

PAYPAL = {"payment_method": "paypal", "payment_method_token": None, **PAYER}


@pytest.fixture(autouse=True)
def _the_books_are_sums(system: System) -> Iterator[None]:
    system.run(COMPARE)
    yield
    assert read(system.engine, lambda connection: list(differences(connection))) == []


def one_round(system: System, **by: float) -> None:
    """Let some minutes pass, one comparison run, and what it publishes."""
    system.move_clock(**(by or {"minutes": 2}))
    system.run(COMPARE)
    system.run_until_idle()


@contextmanager
def without(system: System, type: str) -> Iterator[None]:
    """Let Stripe's list leave out the events of a type."""
    log = system.sandbox.state.provider_of(Stripe).account.log
    whole = dict(log.events)
    log.events = {id: event for id, event in whole.items() if event.type != type}
    yield
    log.events = whole | log.events


# --- Stripe ---


def debit(system: System) -> str:
    payment_id = system.pay(**system.provider.saved_bank_account())
    system.run_until_idle()
    assert system.state(payment_id) == "pending"
    return payment_id


def charge(system: System) -> str:
    payment_id = system.pay()
    system.run_until_idle()
    return payment_id


def hold(system: System) -> str:
    payment_id = system.pay(capture=False)
    system.run_until_idle()
    assert system.state(payment_id) == "authorized"
    return payment_id


def intent(system: System, payment_id: str, verb: str, **params: Any) -> None:
    system.provider.call("POST", f"/v1/payment_intents/{system.reference(payment_id)}/{verb}", params)


def refund(system: System, payment_id: str) -> None:
    params = {"payment_intent": system.reference(payment_id), "amount": 500}
    system.provider.call("POST", "/v1/refunds", params)


def dispute(system: System, payment_id: str, result: str | None = None, reason: str = "fraudulent") -> None:
    path = f"intents/{system.reference(payment_id)}/dispute"
    opened = system.provider.control(path, {"reason": reason})["id"]
    if result:
        system.provider.control(f"disputes/{opened}/close", {"result": result})


def by_bank(result: str) -> Callable[[System, str], None]:
    return lambda system, payment_id: system.provider.decide_at_bank(system.reference(payment_id), result)


def return_debit(system: System, payment_id: str) -> None:
    by_bank("success")(system, payment_id)
    dispute(system, payment_id, reason="insufficient_funds")


STRIPE: dict[str, tuple[Callable[[System], str], Callable[[System, str], None], str]] = {
    "debit-collected": (debit, by_bank("success"), "captured"),
    "debit-failed": (debit, by_bank("failure"), "in_grace"),
    "debit-returned": (debit, return_debit, "in_grace"),
    "refunded": (charge, refund, "partially_refunded"),
    "dispute-opened": (charge, dispute, "captured"),
    "dispute-won": (charge, lambda system, id: dispute(system, id, "won"), "captured"),
    "dispute-lost": (charge, lambda system, id: dispute(system, id, "lost"), "reversed"),
    "hold-captured": (hold, lambda system, id: intent(system, id, "capture"), "captured"),
    "hold-captured-in-part": (
        hold,
        lambda system, id: intent(system, id, "capture", amount_to_capture=500),
        "captured",
    ),
    "hold-canceled": (hold, lambda system, id: intent(system, id, "cancel"), "voided"),
}


def test_every_lost_webhook_of_stripe_is_fetched_in_one_round(system: System) -> None:
    begun = {name: begin(system) if name else "" for name, (begin, _, _) in _invoices(system)}
    for name, (_, happens, _) in STRIPE.items():
        happens(system, begun[name])
    one_round(system)
    assert {name: system.state(begun[name]) for name in STRIPE} == {name: state for name, (*_, state) in STRIPE.items()}
    amounts = {name: system.payment(begun[name]) for name in STRIPE}
    assert amounts["refunded"].refunded == amounts["hold-captured-in-part"].captured == 500
    taken = {name: amounts[name].reversed for name in ("dispute-opened", "dispute-lost", "debit-returned")}
    assert taken == dict.fromkeys(taken, AMOUNT)
    assert amounts["dispute-won"].reversed == 0
    assert sorted(row.status for row in system.rows(disputes)) == ["lost", "lost", "open", "won"]
    assert {row.status for row in system.rows(webhook_events)} == {"applied"}


def _invoices(system: System) -> Iterator[Any]:
    """Yield every case, with payments of an invoice of its own."""
    pay = system.pay
    for name, case in STRIPE.items():
        system.pay = lambda name=name, **changes: pay(f"inv-{name}", **changes)  # type: ignore[method-assign]
        yield name, case
    system.pay = pay  # type: ignore[method-assign]


def test_a_hold_that_expires_without_a_webhook_is_fetched(system: System) -> None:
    payment_id = hold(system)
    one_round(system, days=7, minutes=1)
    one_round(system)
    assert system.state(payment_id) == "expired"


def test_a_webhook_that_comes_after_its_event_was_fetched_changes_nothing(system: System) -> None:
    payment_id = charge(system)
    refund(system, payment_id)
    one_round(system)
    rows = len(system.rows(webhook_events))
    reference = str(system.attempts(payment_id)[1].provider_reference)
    row = system.deliver_and_run(system.provider.event("refund.created", reference))
    assert (row.status, len(system.rows(webhook_events))) == ("applied", rows)
    assert (system.payment(payment_id).refunded, system.state(payment_id)) == (500, "partially_refunded")


def test_an_event_that_a_webhook_brought_is_not_fetched(system: System) -> None:
    payment_id = charge(system)
    for type in ("payment_intent.created", "payment_intent.succeeded"):
        system.deliver_and_run(system.provider.event(type, system.reference(payment_id)))
    before = system.rows(webhook_events)
    one_round(system)
    assert system.rows(webhook_events) == before


def test_a_webhook_on_its_way_is_left_to_the_next_round(system: System) -> None:
    charge(system)
    one_round(system, seconds=20)
    assert system.rows(webhook_events) == []
    one_round(system, minutes=1)
    assert len(system.rows(webhook_events)) == 2


def test_types_that_concern_no_payment_and_credentials_are_not_stored(system: System) -> None:
    charge(system)
    system.provider.call("POST", "/v1/customers", {"email": "jo@example.org"})
    one_round(system)
    assert {row.type for row in system.rows(webhook_events)} == {"payment_intent.created", "payment_intent.succeeded"}
    assert "client_secret" not in "".join(row.payload for row in system.rows(webhook_events))


def test_an_event_that_is_listed_late_is_fetched_all_the_same(system: System) -> None:
    payment_id = charge(system)
    refund(system, payment_id)
    with without(system, "refund.created"):
        one_round(system, minutes=5)
        assert system.payment(payment_id).refunded == 0
    one_round(system, minutes=4)
    assert system.payment(payment_id).refunded == 500


def test_an_outage_of_the_list_stops_this_provider_only_and_loses_nothing(system: System) -> None:
    bench, _ = system.add_provider("paypal")
    payment_id, other = charge(system), authorized_at_paypal(system, bench, invoice="other")
    refund(system, payment_id)
    bench.account.void(*_authorization(bench, system.reference(other)), None)
    system.provider.fail("events.list", "error_before", times=None)
    one_round(system, hours=5)
    assert (system.state(payment_id), system.state(other)) == ("captured", "voided")
    system.provider.heal()
    one_round(system)
    assert system.state(payment_id) == "partially_refunded"


def test_the_position_stays_where_a_page_cannot_be_read(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateways.stripe.gateway._PAGE_SIZE", 1)
    charge(system)
    before = system.rows(comparisons)
    # The first page comes, the second does not.
    system.provider.fail("events.list", "latency", seconds=0)
    system.provider.fail("events.list", "error_before")
    one_round(system)
    assert [row.type for row in system.rows(webhook_events)] == ["payment_intent.succeeded"]
    assert [row.events_position for row in system.rows(comparisons)] == [row.events_position for row in before]
    one_round(system)
    assert len(system.rows(webhook_events)) == 2
    assert behind(system) < timedelta(minutes=11)


def behind(system: System) -> timedelta:
    """Return how much time of Stripe's list is not stored."""
    [row] = system.rows(comparisons, comparisons.c.provider == "stripe")
    return system.now() - row.events_position


def test_a_long_outage_is_caught_up_window_by_window_within_the_budget(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Two windows, each of two lists.
    monkeypatch.setattr("tasks.compare._MOST_PAGES", 4)
    payment_id = charge(system)
    refund(system, payment_id)
    system.move_clock(hours=5)
    system.run(COMPARE)
    assert timedelta(hours=2) < behind(system) < timedelta(hours=3)
    one_round(system, seconds=0)
    assert behind(system) < timedelta(minutes=11)
    assert system.state(payment_id) == "partially_refunded"


def test_the_command_fetches_a_month_and_a_dry_run_stores_nothing(
    system: System, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(open_runtime, "app", type("App", (), {"runtime": lambda self: system.runtime})())
    payment_id = charge(system)
    made = system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(payment_id), "amount": 500})
    held_id = system.pay("held", capture=False)
    system.run_until_idle()
    intent(system, held_id, "capture", amount_to_capture=700)
    system.move_clock(days=29)
    before = system.row_counts()

    def run(*options: str) -> list[str]:
        result = CliRunner().invoke(payments, ["compare", "--provider", "stripe", *options])
        assert result.exit_code == 0, result.output
        return result.stdout.splitlines()

    dry = run("--dry-run")
    refund_event = system.provider.call("GET", "/v1/events?type=refund.created")["data"][0]["id"]
    assert f"  {refund_event}  refund.created" in dry
    read_all = next(int(line.split()[1]) for line in dry if "events read" in line)
    assert f"stripe: {read_all} events read, {read_all} would be stored that no webhook brought" in dry
    assert [line for line in dry if "pay_" in line] == [
        f"  {payment_id}  refund of 5.00 EUR {made['id']} approved",
        f"  {held_id}  hold captured 7.00 EUR",
    ]
    assert dry[-1] == "stripe: 2 attempts compared, differences that would be booked: 2"
    assert [line for line in caplog.messages if "no webhook" in line or "do not have" in line] == []
    assert system.row_counts() == before
    assert f"stripe: {read_all} events read, {read_all} stored that no webhook brought" in run()
    system.run_until_idle()
    assert system.payment(payment_id).refunded == 500
    assert run()[0] == f"stripe: {read_all} events read, 0 stored that no webhook brought"
    future = CliRunner().invoke(payments, ["compare", "--since", "2999-01-01"])
    assert (future.exit_code, "in the future" in future.stderr) == (1, True)


# --- PayPal ---


def authorized_at_paypal(system: System, bench: Any, invoice: str) -> str:
    """Return an authorized payment."""
    payment_id = system.pay(invoice, **(PAYPAL | {"capture": False}))
    system.run_until_idle()
    bench.let_customer_act(system.reference(payment_id), is_good=True)
    one_round(system)
    return payment_id


def _authorization(bench: Any, reference: str) -> tuple[Any, Any]:
    order = bench.account.orders[reference]
    return order, order.of("authorizations")[0]


def _capture(bench: Any, reference: str) -> tuple[Any, Any]:
    order = bench.account.orders[reference]
    return order, order.of("captures")[0]


def test_every_lost_webhook_of_paypal_is_fetched_in_one_round(system: System) -> None:
    bench, _ = system.add_provider("paypal")
    account = bench.account
    made = {}
    for name in ("captured", "voided", "refunded", "disputed", "pending"):
        is_hold = name in ("captured", "voided")
        payment_id = system.pay(f"inv-{name}", **(PAYPAL | {"capture": not is_hold}))
        system.run_until_idle()
        if name == "pending":
            bench.set_scenario(system.reference(payment_id), "PENDING")
        bench.let_customer_act(system.reference(payment_id), is_good=True)
        made[name] = payment_id
    # The buyers' approvals come by the list too.
    one_round(system)
    references = {name: system.reference(payment_id) for name, payment_id in made.items()}
    states = {name: system.state(payment_id) for name, payment_id in made.items()}
    paid = {"refunded": "captured", "disputed": "captured", "pending": "pending"}
    assert states == {"captured": "authorized", "voided": "authorized", **paid}

    account.capture(*_authorization(bench, references["captured"]), {"final_capture": True}, "elsewhere")
    account.void(*_authorization(bench, references["voided"]), None)
    account.refund(*_capture(bench, references["refunded"]), {"amount": {"value": "5.00", "currency_code": "EUR"}}, "")
    bench.control(f"{_capture(bench, references['disputed'])[1].id}/dispute", reason="UNAUTHORISED")
    bench.let_bank_decide(references["pending"], is_good=True)
    account.log.emit("CATALOG.PRODUCT.CREATED", "product", {"id": "PROD-1"})
    one_round(system)
    assert {name: system.state(payment_id) for name, payment_id in made.items()} == {
        "captured": "captured",
        "voided": "voided",
        "refunded": "partially_refunded",
        "disputed": "captured",
        "pending": "captured",
    }
    assert system.payment(made["refunded"]).refunded == 500
    assert "CATALOG.PRODUCT.CREATED" not in {row.type for row in system.rows(webhook_events)}
    assert "dispute_opened" in system.event_names(made["disputed"])
    assert {row.status for row in system.rows(webhook_events)} == {"applied"}
    assert system.rows(attention, attention.c.reason == "webhook_contradicting") == []


# --- Coinbase Commerce ---


def test_every_lost_webhook_of_coinbase_commerce_is_fetched_in_one_round(system: System) -> None:
    bench, _ = system.add_provider("coinbase_commerce")
    ways = {"approve": "captured", "pay_too_little": "amount_mismatch"}
    coins = {"payment_method": "bitcoin", "payment_method_token": None, "currency": bench.currency, **PAYER}
    made = {way: system.pay(f"inv-{way}", **coins) for way in ways}
    system.run_until_idle()
    for way, payment_id in made.items():
        assert system.state(payment_id) == "requires_action"
        bench.decide(system.reference(payment_id), way)
        bench.let_bank_decide(system.reference(payment_id), is_good=True)
    one_round(system)
    assert {way: system.state(payment_id) for way, payment_id in made.items()} == ways
    assert {row.status for row in system.rows(webhook_events)} == {"applied"}
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id) == ("amount_mismatch", made["pay_too_little"])


# --- an address that gets older or fewer events ---


def test_a_refund_of_which_only_its_charge_tells_is_fetched(system: System) -> None:
    payment_id = charge(system)
    charge_id = system.provider.call("GET", f"/v1/payment_intents/{system.reference(payment_id)}")["latest_charge"]
    refund(system, payment_id)
    assert system.deliver_and_run(system.provider.event("charge.refunded", charge_id)).status == "ignored"
    one_round(system)
    assert (system.payment(payment_id).refunded, system.state(payment_id)) == (500, "partially_refunded")


@pytest.mark.parametrize("card", ["pm_card_visa", "pm_card_pendingRefund"])
def test_the_older_event_of_a_refund_is_read_as_the_newer_one(system: System, card: str) -> None:
    payment_id = system.pay(card=card)
    system.run_until_idle()
    made = system.provider.call("POST", "/v1/refunds", {"payment_intent": system.reference(payment_id), "amount": 500})
    older = system.provider.event("refund.created", made["id"]) | {"type": "charge.refund.updated", "id": "evt_older"}
    assert system.deliver_and_run(older).status == "applied"
    refused = system.post(f"/{payment_id}/refunds", {"amount": "12.30"}, Idempotency_Key="all")
    assert (refused.status_code, "7.30" in refused.text) == (422, True)
