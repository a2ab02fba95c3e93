"""Afterpay's captures, voids, reversals and refunds, also after a worker has died or days have passed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from domain.outcome import Approved, InDoubt, NotSent
from domain.payment import Verb
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import AttemptRequest
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .afterpay_wire import Wire
from .bench import Books, ready_attempt
from .benches.afterpay import ProviderBench as AfterpayBench
from .test_afterpay_errors import refused
from .test_gateway_operations import CHARGED, HELD, call, charged, operation

DAY = 86_400.0
LOST = ("timeout_after", "error_after", "reset_after")


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox of the test's own, whose clock it may move."""
    with RunningSandbox(Settings(seed=1)) as own:
        yield own


@pytest.fixture
def gateway(afterpay: AfterpayBench, wire: Wire) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway(base=wire.url)


@pytest.fixture
def held(afterpay: AfterpayBench, gateway: AfterpayGateway) -> AttemptRequest:
    """An authorization of 10.00."""
    return charged(afterpay, gateway, Verb.AUTHORIZE)


@pytest.fixture
def paid(afterpay: AfterpayBench, gateway: AfterpayGateway) -> AttemptRequest:
    """A charge of 10.00."""
    return charged(afterpay, gateway)


def state_of(sandbox: RunningSandbox, attempt: AttemptRequest) -> str:
    """Return the payment's state in the sandbox."""
    accounts = [account for provider in sandbox.state.providers for account in provider.accounts()]
    token = attempt.charge_reference or attempt.reference
    return next(account.status for account in accounts if account.object == token)


def shown_payment(gateway: AfterpayGateway, charge: AttemptRequest) -> Any:
    """Return the payment of a charge as Afterpay shows it."""
    return gateway._client.send("GET", f"/payments/token:{charge.reference}").body


# --- partial captures ---


def test_the_look_up_releases_the_remainder_that_a_dead_worker_left_held(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    """The worker died after the capture, before the release."""
    capture = operation(held, Verb.CAPTURE, 400)
    wire.responses["/void"] = (503, b"")
    assert gateway.capture(capture) == InDoubt("http_503", held.reference)
    assert state_of(sandbox, capture) == "PARTIALLY_CAPTURED"
    outcome = gateway.retrieve(capture)
    assert outcome == Approved(held.reference, authorized=1000, captured=400)
    assert gateway.retrieve(capture) == outcome
    assert books.movements(capture.payment_id) == [HELD, ("capture", 400), ("void", 600)]
    assert state_of(sandbox, capture) == "CAPTURED"


@pytest.mark.parametrize("days", [0, 2])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_release_of_the_remainder_is_made_once(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, held: AttemptRequest, fault: str, days: int
) -> None:
    capture = operation(held, Verb.CAPTURE, 400)
    books.fail("afterpay.void", fault)
    assert isinstance(gateway.capture(capture), InDoubt)
    sandbox.state.advance(days * DAY)
    outcomes = [gateway.retrieve(capture), gateway.capture(capture), gateway.retrieve(capture)]
    assert outcomes == [Approved(held.reference, authorized=1000, captured=400)] * 3
    assert books.movements(capture.payment_id) == [HELD, ("capture", 400), ("void", 600)]


@pytest.mark.parametrize("days", [0, 2])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_partial_capture_is_made_once(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, held: AttemptRequest, fault: str, days: int
) -> None:
    """After a day Afterpay has forgotten the request id; the payment still shows the capture's reference."""
    capture = operation(held, Verb.CAPTURE, 400)
    books.fail("afterpay.capture_payment", fault)
    assert isinstance(gateway.capture(capture), InDoubt)
    sandbox.state.advance(days * DAY)
    assert gateway.capture(replace(capture, retries=1)) == Approved(held.reference, authorized=1000, captured=400)
    assert books.movements(capture.payment_id) == [HELD, ("capture", 400), ("void", 600)]


def test_a_capture_does_not_release_the_remainder_of_another_capture(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    first, second = operation(held, Verb.CAPTURE, 400), operation(held, Verb.CAPTURE, 300)
    wire.responses["/void"] = (503, b"")
    gateway.capture(first)
    assert gateway.capture(second) == InDoubt("unexpected_state", held.reference)
    assert gateway.retrieve(second) == Approved(held.reference, authorized=1000, captured=400)
    assert books.movements(held.payment_id) == [HELD, ("capture", 400)]


def test_a_capture_below_the_minimum_is_refused(gateway: AfterpayGateway, books: Books, held: AttemptRequest) -> None:
    outcome = gateway.capture(operation(held, Verb.CAPTURE, 99))
    assert outcome == NotSent("invalid_amount", is_retryable=False, reference=held.reference)
    assert books.movements(held.payment_id) == [HELD]


def test_every_call_has_a_request_id_of_its_own(gateway: AfterpayGateway, wire: Wire, held: AttemptRequest) -> None:
    gateway.capture(operation(held, Verb.CAPTURE, 400))
    ids = [wire.bodies(end)[-1]["requestId"] for end in ("/auth", "/capture")]
    assert len(set(ids)) == 2


def test_the_release_of_a_remainder_meets_no_stored_failure(
    gateway: AfterpayGateway, wire: Wire, held: AttemptRequest
) -> None:
    gateway.capture(operation(held, Verb.CAPTURE, 400))
    assert "requestId" not in wire.bodies("/void")[-1]


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID])
def test_an_authorization_that_has_ended_is_neither_captured_nor_held(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, held: AttemptRequest, verb: Verb
) -> None:
    sandbox.state.advance(13 * DAY + 1)
    request = operation(held, verb)
    released = Approved(held.reference, voided=True)
    assert call(gateway, request) == (released if verb is Verb.VOID else InDoubt("unexpected_state", held.reference))
    assert gateway.retrieve(request) == released
    assert books.movements(held.payment_id) == [HELD, ("void", 1000)]


def test_the_remainder_of_a_partial_capture_expires(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    capture = operation(held, Verb.CAPTURE, 400)
    wire.responses["/void"] = (503, b"")
    gateway.capture(capture)
    sandbox.state.advance(13 * DAY + 1)
    assert gateway.retrieve(capture) == Approved(held.reference, authorized=1000, captured=400)
    assert books.movements(held.payment_id) == [HELD, ("capture", 400), ("void", 600)]


# --- voids ---


@pytest.mark.parametrize("card", ["good", "hard"])
def test_void_of_a_declined_or_unpaid_charge_releases_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, card: str
) -> None:
    """Nothing is held, although the customer may have approved."""
    charge = ready_attempt(afterpay, card=card)
    if card == "hard":
        gateway.charge(charge, lambda _: None)
    released = Approved(charge.reference, voided=True, may_still_charge=card == "good")
    void = operation(charge, Verb.VOID)
    assert [gateway.void(void), gateway.retrieve(void)] == [released] * 2
    assert books.movements(charge.payment_id) == []


def test_a_void_after_a_faster_capture_is_doubt(
    gateway: AfterpayGateway, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    wire.responses["/void"] = (422, refused(422, "invalid_amount", "exceeded").body)
    void = operation(held, Verb.VOID)
    assert gateway.void(void) == InDoubt("invalid_amount", held.reference)
    assert gateway.void(void) == Approved(held.reference, voided=True)
    assert books.movements(held.payment_id) == [HELD, ("void", 1000)]


def test_an_operation_whose_payment_cannot_be_read_is_not_sent(
    gateway: AfterpayGateway, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    for verb in (Verb.CAPTURE, Verb.VOID, Verb.REFUND):
        wire.responses[f"token:{held.reference}"] = (503, b"")
        assert call(gateway, operation(held, verb)) == NotSent("http_503")
    assert books.movements(held.payment_id) == [HELD]


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.REFUND])
def test_a_404_of_another_server_proves_nothing(
    gateway: AfterpayGateway, wire: Wire, held: AttemptRequest, verb: Verb
) -> None:
    capture = operation(held, verb)
    for body in (b"<h1>Not found</h1>", {"message": "no route"}, {"errorCode": "route_not_found"}):
        wire.responses[f"token:{held.reference}"] = (404, body)
        assert gateway.retrieve(capture).reason == "http_404"
        wire.responses[f"token:{held.reference}"] = (404, body)
        assert gateway.retrieve(held) == InDoubt("http_404", held.reference)


# --- reversals ---


@pytest.mark.parametrize("reason", ["not_sent", "expired"])
def test_an_abandoned_charge_is_reversed(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, paid: AttemptRequest, reason: str
) -> None:
    void = operation(paid, Verb.VOID, reason=reason)
    assert gateway.void(void) == InDoubt("reversal_pending", paid.reference)
    assert gateway.retrieve(void) == InDoubt("reversal_pending", paid.reference)
    sandbox.state.advance(10)
    assert gateway.retrieve(void) == Approved(paid.reference, voided=True)
    assert books.movements(paid.payment_id) == [CHARGED, ("refund", 1000)]


def test_the_look_up_makes_the_reversal_that_a_dead_worker_did_not_make(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, paid: AttemptRequest
) -> None:
    void = operation(paid, Verb.VOID, reason="not_sent")
    wire.responses["/reversal"] = (500, b"")
    assert gateway.void(void) == InDoubt("http_500", paid.reference)
    assert gateway.retrieve(void) == InDoubt("reversal_pending", paid.reference)
    sandbox.state.advance(10)
    assert gateway.retrieve(void) == Approved(paid.reference, voided=True)
    assert books.movements(paid.payment_id) == [CHARGED, ("refund", 1000)]


def test_the_response_to_a_repeated_reversal_shows_that_it_is_done(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, paid: AttemptRequest
) -> None:
    void = operation(paid, Verb.VOID, reason="not_sent")
    gateway.void(void)
    before = shown_payment(gateway, paid)
    sandbox.state.advance(10)
    wire.responses[f"token:{paid.reference}"] = (200, before)
    assert gateway.retrieve(void) == Approved(paid.reference, voided=True)


def test_a_charge_too_late_for_a_reversal_is_captured(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, paid: AttemptRequest
) -> None:
    sandbox.state.advance(601)
    void = operation(paid, Verb.VOID, reason="not_sent")
    captured = Approved(paid.reference, authorized=1000, captured=1000)
    assert [gateway.void(void), gateway.retrieve(void)] == [captured] * 2
    assert books.movements(paid.payment_id) == [CHARGED]


@pytest.mark.parametrize("message", [None, "Reversal of tomorrow"])
def test_a_reversal_that_is_refused_in_unknown_words_is_doubt(
    gateway: AfterpayGateway, wire: Wire, paid: AttemptRequest, message: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    wire.responses["/reversal"] = (412, {"errorCode": "precondition_failed", "message": message})
    assert gateway.void(operation(paid, Verb.VOID, reason="not_sent")) == InDoubt("unknown_message", paid.reference)
    shown = "null" if message is None else "no short word"
    assert caplog.messages == [f"unknown word of a provider: ReversalRefusal.message is {shown}"]


@pytest.mark.parametrize("reason", [None, "late_authorization"])
def test_a_charge_that_is_not_abandoned_is_never_reversed(
    gateway: AfterpayGateway, wire: Wire, books: Books, paid: AttemptRequest, reason: str | None
) -> None:
    void = operation(paid, Verb.VOID, reason=reason)
    assert gateway.void(void) == InDoubt("payment_captured", paid.reference)
    assert gateway.retrieve(void) == Approved(paid.reference, authorized=1000, captured=1000)
    assert wire.bodies("/reversal") == []


# --- refunds ---


def test_a_repeated_refund_is_the_same_refund_for_ever(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, paid: AttemptRequest
) -> None:
    refund = operation(paid, Verb.REFUND, 400)
    first = gateway.refund(refund)
    sandbox.state.advance(30 * DAY)
    assert gateway.refund(replace(refund, retries=1)) == first
    # Read before Afterpay shows the refund: the same request is sent once more.
    wire.responses[f"token:{paid.reference}"] = (200, shown_payment(gateway, paid) | {"refunds": []})
    assert gateway.refund(replace(refund, retries=2)) == first
    assert wire.bodies("/refund")[0] == wire.bodies("/refund")[-1]
    assert books.movements(paid.payment_id) == [CHARGED, ("refund", 400)]


def test_after_120_days_nothing_is_refunded(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, paid: AttemptRequest
) -> None:
    sandbox.state.advance(120 * DAY + 60)
    refund = operation(paid, Verb.REFUND)
    assert gateway.refund(refund) == NotSent("refund_timelimit_exceeded", is_retryable=False)
    assert gateway.retrieve(refund) == NotSent("not_created")
    assert books.movements(paid.payment_id) == [CHARGED]


def test_held_money_cannot_be_refunded(gateway: AfterpayGateway, books: Books, held: AttemptRequest) -> None:
    refund = operation(held, Verb.REFUND)
    assert gateway.refund(refund) == InDoubt("precondition_failed")
    assert gateway.retrieve(refund) == NotSent("not_created")
    assert books.movements(held.payment_id) == [HELD]


def test_the_release_of_a_remainder_is_not_the_refund(
    gateway: AfterpayGateway, books: Books, held: AttemptRequest
) -> None:
    """Afterpay lists the release among the refunds."""
    gateway.capture(operation(held, Verb.CAPTURE, 400))
    refund = operation(held, Verb.REFUND, 400)
    assert gateway.retrieve(refund) == NotSent("not_created")
    outcome = gateway.refund(refund)
    assert isinstance(outcome, Approved)
    assert gateway.retrieve(refund) == gateway.retrieve(replace(refund, reference=outcome.reference)) == outcome
    assert books.movements(held.payment_id)[-1] == ("refund", 400)


def test_a_refund_of_another_amount_is_doubt(gateway: AfterpayGateway, paid: AttemptRequest) -> None:
    refund = operation(paid, Verb.REFUND, 400)
    outcome = gateway.refund(refund)
    other = replace(refund, money=replace(refund.money, minor=500))
    assert gateway.retrieve(other) == InDoubt("amount_mismatch", outcome.reference)
