"""Disputes at PayPal and Afterpay: on the list until they are decided, booked as money moves, in whatever order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
import requests
from sqlalchemy import update

from domain.payment import AttemptStatus
from gateways.json_api import ProviderResponse
from models.movements import differences
from models.session import read, transact
from models.tables import attempts, attention, disputes, movements
from models.task_messages import COMPARE, RECONCILE, WEBHOOK
from tests.contract.bench import PAYER, SECONDS, Webhook
from tests.patience import patient
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

HOSTED = {"payment_method_token": None} | PAYER


class PayPalDispute:
    """A dispute at PayPal. Every step sends an event; the money moves when the test says so."""

    provider, method = "paypal", "paypal"
    # How far the dispute goes before it is decided, and how it is decided.
    opening: tuple[dict[str, str], ...] = ({}, {"status": "UNDER_REVIEW", "money": "debit"})
    taken_while_open = AMOUNT
    won = {"outcome": "RESOLVED_SELLER_FAVOUR", "money": "credit"}
    lost = {"outcome": "RESOLVED_BUYER_FAVOUR"}

    def __init__(self, bench: Any, reference: str) -> None:
        self._bench = bench
        self._capture = bench.account.orders[reference].of("captures")[0].id

    def step(self, **body: Any) -> Webhook:
        """Let the next thing happen; return the event about it."""
        self._bench.control(f"{self._capture}/dispute", **body)
        return self._bench.signed(self._bench.event(self._capture))

    @property
    def body(self) -> Any:
        """The dispute as PayPal shows it."""
        return self._bench.account.disputes[self._capture]

    def reversal(self) -> Webhook:
        """Return the event of the refund that PayPal shows for the money it has taken."""
        order, _ = self._bench.account.payments[self._capture]
        return self._bench.signed(self._bench.event(order.of("refunds")[-1].id))


class AfterpayDispute:
    """A dispute at Afterpay, which takes the money when the dispute is lost."""

    provider, method = "afterpay", "afterpay"
    opening: tuple[dict[str, str], ...] = ({}, {"status": "under_review"})
    taken_while_open = 0
    won = {"status": "won"}
    lost = {"status": "lost"}

    def __init__(self, bench: Any, reference: str) -> None:
        self._bench, self._url = bench, f"{bench._url}/_sandbox/afterpay/{reference}/dispute"

    def step(self, **body: Any) -> Webhook:
        """Let the next thing happen; return the event about it."""
        response = requests.post(self._url, json=body, timeout=SECONDS)
        response.raise_for_status()
        return self._bench.signed(response.json(), url="http://localhost/api/v1/payments/webhooks/afterpay")


TAKEN = {"affected_party": "SELLER", "type": "DEBIT", "reason": "DISPUTE_SETTLEMENT"}
Kind = type[PayPalDispute] | type[AfterpayDispute]
KINDS = pytest.mark.parametrize("kind", [PayPalDispute, AfterpayDispute], ids=lambda kind: kind.provider)


def captured(system: System, kind: Kind, **changes: Any) -> tuple[str, Any]:
    """Return a captured payment, and a dispute about it that is not opened yet."""
    bench, _ = system.add_provider(kind.provider)
    payment_id = system.pay(payment_method=kind.method, currency=bench.currency, **(HOSTED | changes))
    system.run_until_idle()
    reference = system.reference(payment_id)
    bench.let_customer_act(reference, is_good=True)
    for _ in range(4):  # a slow machine may let a call time out, and a look-up follows
        system.advance(seconds=40)
    assert system.state(payment_id) == "captured"
    return payment_id, kind(bench, reference)


def deliver(system: System, provider: str, webhook: Webhook) -> None:
    """Deliver an event and let the workers apply it."""
    row_id = system.receive(f"/webhooks/{provider}", webhook.body, webhook.headers)
    system.run_until_idle()
    if system.rows(attempts, attempts.c.status == AttemptStatus.IN_DOUBT):
        system.advance(seconds=5)  # a slow machine may let a call time out, and a look-up follows
    assert system.webhook(row_id).status == "applied"


def listed(system: System) -> list[Any]:
    """Return the open entries about disputes."""
    return system.rows(attention, attention.c.reason == "dispute", attention.c.closed_at.is_(None))


def booked(system: System, payment_id: str) -> list[tuple[str, int]]:
    """Return the movements of a payment, without fees."""
    assert read(system.engine, lambda connection: list(differences(connection))) == []
    is_meant = (movements.c.payment_id == payment_id) & (movements.c.kind != "fee")
    return [(row.kind, row.amount) for row in system.rows(movements, is_meant)]


@KINDS
def test_an_open_dispute_is_on_the_list_with_its_deadline(system: System, kind: Kind) -> None:
    payment_id, dispute = captured(system, kind)
    for body in kind.opening:
        deliver(system, kind.provider, dispute.step(**body))
    [entry] = listed(system)
    [row] = system.rows(disputes)
    assert (row.status, row.payment_id, entry.amount) == ("open", payment_id, AMOUNT)
    assert entry.data["details"][0]["respond_by"] == row.respond_by > system.now().isoformat()
    assert system.payment(payment_id).reversed == kind.taken_while_open
    assert (system.state(payment_id), system.get("/invoices/inv").json["open_amount"]) == ("captured", "0.00")


@KINDS
@pytest.mark.parametrize("result", ["won", "lost"])
@pytest.mark.parametrize("is_reversed", [False, True])
def test_a_dispute_ends_the_same_in_whatever_order_its_events_come(
    system: System, kind: Kind, result: str, is_reversed: bool
) -> None:
    payment_id, dispute = captured(system, kind)
    events = [dispute.step(**body) for body in (*kind.opening, getattr(kind, result))]
    for event in reversed(events) if is_reversed else events:
        deliver(system, kind.provider, event)
    is_won = result == "won"
    assert (system.state(payment_id), listed(system)) == ("captured" if is_won else "reversed", [])
    assert system.get("/invoices/inv").json["open_amount"] == ("0.00" if is_won else "12.30")
    assert sum(amount for _, amount in booked(system, payment_id)) == (AMOUNT if is_won else 0)
    [row] = system.rows(disputes)
    assert row.status == result


@KINDS
def test_money_that_is_given_back_after_all_is_booked(system: System, kind: Kind) -> None:
    payment_id, dispute = captured(system, kind)
    for body in (*kind.opening, kind.won):
        deliver(system, kind.provider, dispute.step(**body))
    expected = [("dispute", -AMOUNT), ("dispute_return", AMOUNT)] if kind.taken_while_open else []
    assert booked(system, payment_id) == [("charge", AMOUNT), *expected]


def test_money_that_a_dispute_takes_a_second_time_is_booked_a_second_time(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    steps = [{}, *({"status": "UNDER_REVIEW", "money": money} for money in ("debit", "credit", "debit", "credit"))]
    for body in (*steps, PayPalDispute.lost | {"money": "debit"}):
        webhook = dispute.step(**body)
        deliver(system, "paypal", webhook)
        deliver(system, "paypal", webhook)
    taken, given = ("dispute", -AMOUNT), ("dispute_return", AMOUNT)
    assert booked(system, payment_id) == [("charge", AMOUNT), taken, given, taken, given, taken]
    assert (system.state(payment_id), system.payment(payment_id).reversed) == ("reversed", AMOUNT)


@KINDS
def test_a_dispute_without_webhooks_is_booked_by_the_comparison(system: System, kind: Kind) -> None:
    payment_id, dispute = captured(system, kind)
    system.run(COMPARE)
    for body in (*kind.opening, kind.lost):
        dispute.step(**body)
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    system.run_until_idle()
    assert (system.state(payment_id), ("dispute", -AMOUNT) in booked(system, payment_id)) == ("reversed", True)
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (0, AMOUNT)


@pytest.mark.parametrize("result", ["won", "lost"])
@pytest.mark.parametrize("first", ["reversal", "dispute"])
def test_money_that_paypal_shows_as_a_reversal_and_in_its_dispute_is_taken_once(
    system: System, first: str, result: str
) -> None:
    """PayPal sends PAYMENT.CAPTURE.REVERSED and shows a refund beside the movements of the dispute."""
    payment_id, dispute = captured(system, PayPalDispute)
    events = [dispute.step(**body) for body in (*PayPalDispute.opening, getattr(PayPalDispute, result))]
    ordered = [dispute.reversal(), *events] if first == "reversal" else [*events, dispute.reversal()]
    for event in ordered:
        deliver(system, "paypal", event)
    is_won, payment = result == "won", system.payment(payment_id)
    assert (payment.state, payment.refunded) == ("captured" if is_won else "reversed", 0)
    assert payment.reversed == (0 if is_won else AMOUNT)
    assert sum(amount for _, amount in booked(system, payment_id)) == (AMOUNT if is_won else 0)
    assert system.get("/invoices/inv").json["open_amount"] == ("0.00" if is_won else "12.30")


def test_a_reversal_that_is_booked_before_its_dispute_shows_the_money_becomes_the_dispute_s(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    opened = dispute.step()
    dispute.step(status="UNDER_REVIEW", money="debit")
    movements_shown = dispute.body.pop("money_movements")
    deliver(system, "paypal", dispute.reversal())
    deliver(system, "paypal", opened)
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (AMOUNT, 0)
    assert open_reasons(system) == ["refund_elsewhere", "dispute"]
    dispute.body["money_movements"] = movements_shown
    deliver(system, "paypal", dispute.step(**PayPalDispute.lost))
    assert open_reasons(system) == []
    payment = system.payment(payment_id)
    assert (payment.state, payment.refunded, payment.reversed) == ("reversed", 0, AMOUNT)
    assert sum(amount for _, amount in booked(system, payment_id)) == 0
    compare_after_a_day(system)
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (0, AMOUNT)


def open_reasons(system: System) -> list[str]:
    """Return why something stands on the attention list."""
    return [row.reason for row in system.rows(attention) if row.closed_at is None]


@pytest.mark.parametrize("writes_first", ["either", "reversal", "dispute"])
@pytest.mark.parametrize("is_shown", [True, False])
def test_a_reversal_and_its_dispute_at_once_take_the_money_once(
    system: System, writes_first: str, is_shown: bool
) -> None:
    """Two workers have read what PayPal shows before either of them writes. `is_shown`: the dispute showed the money
    already when the worker read it who hears of the reversal."""
    payment_id, dispute = captured(system, PayPalDispute)
    opened = dispute.step()
    dispute.step(status="UNDER_REVIEW", money="debit")
    movements_shown = dispute.body["money_movements"]
    if not is_shown:
        del dispute.body["money_movements"]
    rows = [system.receive("/webhooks/paypal", event.body, event.headers) for event in (dispute.reversal(), opened)]
    system.messages.clear()
    gateway = system.runtime.gateways["paypal"]
    have_read = {name: threading.Event() for name in ("reversal", "dispute")}
    has_written = {name: threading.Event() for name in ("reversal", "dispute")}

    def read_in_turn(name: str, other: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def read(*given: Any) -> Any:
            if have_read[name].is_set():
                return call(*given)
            assert name == "reversal" or have_read["reversal"].wait(patient(10))
            shown = call(*given)
            dispute.body["money_movements"] = movements_shown
            have_read[name].set()
            assert have_read[other].wait(patient(10))
            assert writes_first != other or has_written[other].wait(patient(10))
            return shown

        return read

    def work(name: str, row: str) -> None:
        system.run(WEBHOOK, row)
        has_written[name].set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gateway, "read_charge", read_in_turn("reversal", "dispute", gateway.read_charge))
        patch.setattr(gateway, "read_dispute", read_in_turn("dispute", "reversal", gateway.read_dispute))
        threads = [
            threading.Thread(target=work, args=given) for given in zip(("reversal", "dispute"), rows, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(each.is_set() for each in has_written.values())
    system.run_until_idle()
    for _ in range(3):
        system.advance(minutes=5)
    assert {system.webhook(row).status for row in rows} == {"applied"}
    payment = system.payment(payment_id)
    assert (payment.state, payment.refunded, payment.reversed) == ("captured", 0, AMOUNT)
    assert sum(amount for _, amount in booked(system, payment_id)) == 0
    assert open_reasons(system) == ["dispute"]
    compare_after_a_day(system)
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (0, AMOUNT)


def test_a_refund_that_turns_out_to_be_a_dispute_s_leaves_the_list_without_the_others(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    account = dispute._bench.account
    order, capture = account.payments[dispute._capture]
    made = account.refund(order, capture, {"amount": {"value": "2.30", "currency_code": "EUR"}}, "")
    deliver(system, "paypal", dispute._bench.signed(dispute._bench.event(made.id)))
    system.move_clock(minutes=1)
    dispute.step()
    dispute.step(status="UNDER_REVIEW", money="debit")
    movements_shown = dispute.body.pop("money_movements")
    deliver(system, "paypal", dispute.reversal())
    [entry] = system.rows(attention, attention.c.reason == "refund_elsewhere")
    assert (entry.amount, len(entry.data["details"])) == (AMOUNT, 2)

    dispute.body["money_movements"] = movements_shown
    look_up_refund(system, system.attempts(payment_id)[2])
    compare_after_a_day(system)
    [entry] = system.rows(attention, attention.c.reason == "refund_elsewhere")
    assert (entry.amount, entry.data["details"]) == (230, [{"reference": made.id, "amount": 230}])
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (230, AMOUNT - 230)
    assert entry.closed_at is None


def look_up_refund(system: System, refund: Any) -> None:
    """Let a refund be looked up, as if nobody knew yet what has become of it."""
    again = update(attempts).where(attempts.c.id == refund.id).values(due_at=system.now())
    transact(system.engine, lambda connection: connection.execute(again))
    system.run(RECONCILE, refund.id)
    system.run_until_idle()


def test_a_reversal_without_a_dispute_is_booked_and_left_to_a_person(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    account = dispute._bench.account
    account.reverse(*account.payments[dispute._capture], 500)
    deliver(system, "paypal", dispute.reversal())
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (500, 0)
    [entry] = system.rows(attention)
    assert (entry.reason, entry.payment_id, entry.amount) == ("refund_elsewhere", payment_id, 500)


def test_a_look_up_takes_no_money_of_a_dispute_for_a_refund(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    for body in (*PayPalDispute.opening, PayPalDispute.lost):
        dispute.step(**body)
    dispute.reversal()
    charge = system.attempts(payment_id)[0]
    due = update(attempts).where(attempts.c.id == charge.id).values(due_at=system.now())
    transact(system.engine, lambda connection: connection.execute(due))
    system.run(RECONCILE, charge.id)
    system.run_until_idle()
    assert [row.verb for row in system.attempts(payment_id)] == ["charge"]
    assert (system.payment(payment_id).refunded, system.payment(payment_id).reversed) == (0, AMOUNT)


def test_a_reversal_of_another_system_s_capture_is_ignored(system: System) -> None:
    _, dispute = captured(system, PayPalDispute)
    account = dispute._bench.account
    account.reverse(*account.payments[dispute._capture], 500)
    reversal = dispute.reversal()
    show_capture(system, {"id": dispute._capture, "status": "COMPLETED"})
    row_id = system.receive("/webhooks/paypal", reversal.body, reversal.headers)
    system.run_until_idle()
    assert (system.webhook(row_id).status, system.rows(attention)) == ("ignored", [])


def test_a_reversal_that_cannot_be_looked_up_is_looked_up_again(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    account = dispute._bench.account
    account.reverse(*account.payments[dispute._capture], 500)
    system.provider.fail("paypal.orders.get", "error_before")
    reversal = dispute.reversal()
    row_id = system.receive("/webhooks/paypal", reversal.body, reversal.headers)
    system.run_until_idle()
    assert (system.webhook(row_id).status, system.payment(payment_id).refunded) == ("stored", 0)
    system.advance(seconds=10)
    assert (system.webhook(row_id).status, system.payment(payment_id).refunded) == ("applied", 500)


def compare_after_a_day(system: System) -> None:
    """Let a comparison find what no webhook brings."""
    system.run(COMPARE)
    system.move_clock(days=1, hours=2)
    system.run(COMPARE)
    system.run_until_idle()


@pytest.mark.parametrize("first", ["refund", "dispute", "comparison"])
@pytest.mark.parametrize("refunded", [500, 615])
def test_what_is_left_of_a_refunded_charge_is_lost_in_whatever_order(system: System, first: str, refunded: int) -> None:
    """The rest, which is disputed, may be as much as the refund: nothing but their times tells them apart."""
    payment_id, dispute = captured(system, PayPalDispute)
    account = dispute._bench.account
    order, capture = account.payments[dispute._capture]
    amount = {"value": f"{refunded / 100:.2f}", "currency_code": "EUR"}
    made = account.refund(order, capture, {"amount": amount}, "")
    system.move_clock(minutes=1)
    system.run(COMPARE)
    given = [dispute._bench.signed(dispute._bench.event(made.id))]
    lost = [dispute.step(**body) for body in (*PayPalDispute.opening, PayPalDispute.lost)]
    told = {"refund": [*given, *lost], "dispute": [*lost, *given], "comparison": []}[first]
    for event in told:
        deliver(system, "paypal", event)
    system.provider.fail("paypal.webhooks.events", "error_before", times=None)
    compare_after_a_day(system)
    payment = system.payment(payment_id)
    assert (payment.refunded, payment.reversed, payment.lost) == (refunded, AMOUNT - refunded, AMOUNT - refunded)
    assert payment.state == "reversed"
    invoice = system.get("/invoices/inv").json
    assert (invoice["collected_amount"], invoice["open_amount"]) == (
        f"{refunded / 100:.2f}",
        f"{(AMOUNT - refunded) / 100:.2f}",
    )


def test_a_dispute_that_names_no_payment_of_ours_is_found_by_its_capture(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    for body in ({"is_anonymous": True}, {"status": "UNDER_REVIEW", "money": "debit"}, PayPalDispute.lost):
        deliver(system, "paypal", dispute.step(**body))
    assert system.state(payment_id) == "reversed"
    [shown] = system.get(f"/{payment_id}").json["disputes"]
    assert (shown["reference"], shown["status"]) == (dispute.body["dispute_id"], "lost")


def test_an_anonymous_dispute_is_on_the_list_of_its_payment_at_once(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    opened = dispute.step(is_anonymous=True)
    dispute.body["disputed_transactions"][0].pop("buyer")
    deliver(system, "paypal", opened)
    [entry] = listed(system)
    assert (entry.payment_id, entry.amount) == (payment_id, AMOUNT)
    [shown] = system.get(f"/{payment_id}").json["disputes"]
    assert (shown["reference"], shown["status"]) == (dispute.body["dispute_id"], "open")


@pytest.mark.parametrize("transaction", [None, "9XX99999XX999999X"])
def test_a_dispute_whose_charge_nobody_can_tell_is_shown_to_a_person_after_a_day(
    system: System, transaction: str | None
) -> None:
    _, dispute = captured(system, PayPalDispute)
    opened = dispute.step(is_anonymous=True)
    [disputed] = dispute.body["disputed_transactions"]
    disputed.pop("seller_transaction_id")
    disputed |= {"seller_transaction_id": transaction} if transaction else {}
    row_id = system.receive("/webhooks/paypal", opened.body, opened.headers)
    system.run_until_idle()
    system.advance(days=1, hours=1)
    [entry] = system.rows(attention)
    assert (entry.reason, entry.webhook_event_id) == ("webhook_waiting", row_id)


def test_a_dispute_about_a_capture_of_another_system_is_no_business_of_ours(system: System) -> None:
    _, dispute = captured(system, PayPalDispute)
    opened = dispute.step(is_anonymous=True)
    show_capture(system, {"id": dispute._capture, "status": "COMPLETED"})
    deliver(system, "paypal", opened)
    assert (system.rows(disputes), system.rows(attention)) == ([], [])


def show_capture(system: System, body: Any) -> None:
    """Let PayPal show this of every capture."""
    client = system.runtime.gateways["paypal"]._client  # type: ignore[attr-defined]
    get = client.get

    def shown(path: str, *given: Any) -> Any:
        is_capture = path.startswith("/v2/payments/captures/")
        return ProviderResponse(200, body) if is_capture else get(path, *given)

    client.get = shown


def test_a_lost_dispute_of_a_saved_account_makes_its_subscription_past_due(system: System) -> None:
    bench, _ = system.add_provider("paypal")
    saved = {"payment_method": "paypal", "payment_method_token": "sandbox_COMPLETED", "off_session": True}
    payment_id = system.pay(currency=bench.currency, subscription_id="sub", **saved)
    system.run_until_idle()
    dispute = PayPalDispute(bench, system.reference(payment_id))
    for body in (*PayPalDispute.opening, PayPalDispute.lost):
        deliver(system, "paypal", dispute.step(**body))
    assert (system.state(payment_id), system.subscription_status()) == ("in_grace", "past_due")


def test_fees_of_a_dispute_are_no_part_of_what_is_taken(system: System) -> None:
    payment_id, dispute = captured(system, PayPalDispute)
    opened = dispute.step()
    [body] = dispute._bench.account.disputes.values()
    fee = {"affected_party": "SELLER", "amount": {"value": "20.00", "currency_code": "EUR"}}
    body["money_movements"] = [fee | {"type": "DEBIT", "reason": "CHARGEBACK_FEE"}]
    deliver(system, "paypal", opened)
    assert system.payment(payment_id).reversed == 0
    [kept] = system.rows(movements, movements.c.kind == "fee")
    named = f"{body['dispute_id']}/fee/1"
    assert (kept.payment_id, kept.amount, kept.provider_id) == (payment_id, -2000, named)
    body["money_movements"].append(fee | {"type": "CREDIT", "reason": "CHARGEBACK_FEE"})
    system.run(COMPARE)
    for _ in range(2):
        system.move_clock(days=1, hours=2)
        system.run(COMPARE)
    amounts = [row.amount for row in system.rows(movements, movements.c.provider_id.startswith(body["dispute_id"]))]
    assert amounts == [-2000, 2000], "each is booked once"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(status="INVENTED"),
        lambda body: body.update(status="RESOLVED", dispute_outcome={"outcome_code": "INVENTED"}),
        *(
            lambda body, name=name: body.update(money_movements=[{**TAKEN, name: "INVENTED"}])
            for name in ("affected_party", "type", "reason")
        ),
    ],
)
def test_a_dispute_with_a_word_that_nobody_knows_is_read_again(system: System, change: Callable[[Any], None]) -> None:
    _, dispute = captured(system, PayPalDispute)
    opened = dispute.step()
    [body] = dispute._bench.account.disputes.values()
    genuine = dict(body)
    change(body)
    row_id = system.receive("/webhooks/paypal", opened.body, opened.headers)
    system.run_until_idle()
    assert (system.webhook(row_id).status, system.rows(disputes)) == ("stored", [])
    body.clear()
    body.update(genuine)
    system.advance(minutes=1)
    assert (system.webhook(row_id).status, len(listed(system))) == ("applied", 1)
