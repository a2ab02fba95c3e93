"""Afterpay: captures in part, releases, reversals and refunds, also when a worker dies in between or days go by."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from domain.outcome import Approved, InDoubt, NotSent
from domain.payment import Verb
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import AttemptRequest
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .afterpay_wire import Wire
from .bench import Books, attempt
from .benches.afterpay import ProviderBench as AfterpayBench
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


def state_of(sandbox: RunningSandbox, asked: AttemptRequest) -> str:
    """Return what Afterpay says of the payment."""
    accounts = [account for provider in sandbox.state.providers for account in provider.accounts()]
    token = asked.charge_reference or asked.reference
    return next(account.status for account in accounts if account.object == token)


# --- captures in part ---


def test_what_a_dead_worker_left_held_is_released_by_the_look_up(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    """It died after the capture, before the release of the rest."""
    asked = operation(held, Verb.CAPTURE, 400)
    wire.responses["/void"] = (503, b"")
    assert gateway.capture(asked) == InDoubt("http_503", held.reference)
    assert state_of(sandbox, asked) == "PARTIALLY_CAPTURED"
    found = gateway.retrieve(asked)
    assert found == Approved(held.reference, authorized=1000, captured=400)
    assert gateway.retrieve(asked) == found
    assert books.movements(asked.payment_id) == [HELD, ("capture", 400), ("void", 600)]
    assert state_of(sandbox, asked) == "CAPTURED"


@pytest.mark.parametrize("days", [0, 2])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_release_of_the_rest_is_made_once(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, held: AttemptRequest, fault: str, days: int
) -> None:
    asked = operation(held, Verb.CAPTURE, 400)
    books.fail("afterpay.void", fault)
    assert isinstance(gateway.capture(asked), InDoubt)
    sandbox.state.advance(days * DAY)
    again = [gateway.retrieve(asked), gateway.capture(asked), gateway.retrieve(asked)]
    assert again == [Approved(held.reference, authorized=1000, captured=400)] * 3
    assert books.movements(asked.payment_id) == [HELD, ("capture", 400), ("void", 600)]


@pytest.mark.parametrize("days", [0, 2])
@pytest.mark.parametrize("fault", LOST)
def test_a_lost_capture_in_part_is_made_once(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, held: AttemptRequest, fault: str, days: int
) -> None:
    """After a day Afterpay forgets the request id; the capture's own reference is still there."""
    asked = operation(held, Verb.CAPTURE, 400)
    books.fail("afterpay.capture_payment", fault)
    assert isinstance(gateway.capture(asked), InDoubt)
    sandbox.state.advance(days * DAY)
    assert gateway.capture(replace(asked, retries=1)) == Approved(held.reference, authorized=1000, captured=400)
    assert books.movements(asked.payment_id) == [HELD, ("capture", 400), ("void", 600)]


def test_a_capture_does_not_release_what_another_captured(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    first, second = operation(held, Verb.CAPTURE, 400), operation(held, Verb.CAPTURE, 300)
    wire.responses["/void"] = (503, b"")
    gateway.capture(first)
    assert gateway.capture(second) == InDoubt("unexpected_state", held.reference)
    assert gateway.retrieve(second) == Approved(held.reference, authorized=1000, captured=400)
    assert books.movements(held.payment_id) == [HELD, ("capture", 400)]


def test_less_than_the_least_capture(gateway: AfterpayGateway, books: Books, held: AttemptRequest) -> None:
    outcome = gateway.capture(operation(held, Verb.CAPTURE, 99))
    assert outcome == NotSent("invalid_amount", is_retryable=False, reference=held.reference)
    assert books.movements(held.payment_id) == [HELD]


def test_captures_and_releases_have_ids_of_their_own(
    gateway: AfterpayGateway, wire: Wire, held: AttemptRequest
) -> None:
    gateway.capture(operation(held, Verb.CAPTURE, 400))
    ids = [wire.bodies(end)[-1]["requestId"] for end in ("/auth", "/capture", "/void")]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID])
def test_an_authorization_that_has_ended(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, held: AttemptRequest, verb: Verb
) -> None:
    sandbox.state.advance(13 * DAY + 1)
    asked = operation(held, verb)
    released = Approved(held.reference, voided=True)
    assert call(gateway, asked) == (released if verb is Verb.VOID else InDoubt("unexpected_state", held.reference))
    assert gateway.retrieve(asked) == released
    assert books.movements(held.payment_id) == [HELD, ("void", 1000)]


def test_a_capture_in_part_whose_rest_ran_out(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    asked = operation(held, Verb.CAPTURE, 400)
    wire.responses["/void"] = (503, b"")
    gateway.capture(asked)
    sandbox.state.advance(13 * DAY + 1)
    assert gateway.retrieve(asked) == Approved(held.reference, authorized=1000, captured=400)
    assert books.movements(held.payment_id) == [HELD, ("capture", 400), ("void", 600)]


# --- voids ---


@pytest.mark.parametrize("card", ["good", "hard"])
def test_void_of_a_charge_that_came_to_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, card: str
) -> None:
    """Declined, or approved by the shopper and not paid with yet: nothing is held."""
    asked = attempt(afterpay, card=card)
    if card == "hard":
        gateway.charge(asked, lambda _: None)
    released = Approved(asked.reference, voided=True, may_still_charge=card == "good")
    void = operation(asked, Verb.VOID)
    assert [gateway.void(void), gateway.retrieve(void)] == [released] * 2
    assert books.movements(asked.payment_id) == []


def test_a_void_that_a_capture_overtook_is_looked_up(
    gateway: AfterpayGateway, wire: Wire, books: Books, held: AttemptRequest
) -> None:
    refused = {"errorCode": "invalid_amount", "errorId": "1", "message": "exceeded", "httpStatusCode": 422}
    wire.responses["/void"] = (422, refused)
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
    asked = operation(held, verb)
    for body in (b"<h1>Not found</h1>", {"message": "no route"}, {"errorCode": "route_not_found"}):
        wire.responses[f"token:{held.reference}"] = (404, body)
        assert gateway.retrieve(asked).reason == "http_404"
        wire.responses[f"token:{held.reference}"] = (404, body)
        assert gateway.retrieve(held) == InDoubt("http_404", held.reference)


# --- reversals ---


@pytest.mark.parametrize("reason", ["not_sent", "expired"])
def test_a_charge_that_was_given_up_is_reversed(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, paid: AttemptRequest, reason: str
) -> None:
    void = operation(paid, Verb.VOID, reason=reason)
    assert gateway.void(void) == InDoubt("reversal_pending", paid.reference)
    assert gateway.retrieve(void) == InDoubt("reversal_pending", paid.reference)
    sandbox.state.advance(10)
    assert gateway.retrieve(void) == Approved(paid.reference, voided=True)
    assert books.movements(paid.payment_id) == [CHARGED, ("refund", 1000)]


def test_a_reversal_begun_by_nobody_who_lives_is_begun_by_the_look_up(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, paid: AttemptRequest
) -> None:
    void = operation(paid, Verb.VOID, reason="not_sent")
    wire.responses["/reversal"] = (500, b"")
    assert gateway.void(void) == InDoubt("http_500", paid.reference)
    assert gateway.retrieve(void) == InDoubt("reversal_pending", paid.reference)
    sandbox.state.advance(10)
    assert gateway.retrieve(void) == Approved(paid.reference, voided=True)
    assert books.movements(paid.payment_id) == [CHARGED, ("refund", 1000)]


def test_a_reversal_that_the_payment_does_not_show_is_believed_by_its_answer(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, paid: AttemptRequest
) -> None:
    void = operation(paid, Verb.VOID, reason="not_sent")
    gateway.void(void)
    shown = gateway._api.get(f"/payments/token:{paid.reference}").body
    sandbox.state.advance(10)
    wire.responses[f"token:{paid.reference}"] = (200, shown)
    assert gateway.retrieve(void) == Approved(paid.reference, voided=True)


def test_what_is_too_late_to_reverse_goes_into_the_books(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, paid: AttemptRequest
) -> None:
    sandbox.state.advance(601)
    void = operation(paid, Verb.VOID, reason="not_sent")
    captured = Approved(paid.reference, authorized=1000, captured=1000)
    assert [gateway.void(void), gateway.retrieve(void)] == [captured] * 2
    assert books.movements(paid.payment_id) == [CHARGED]


@pytest.mark.parametrize("reason", [None, "late_authorization"])
def test_a_charge_that_somebody_waits_for_is_never_reversed(
    gateway: AfterpayGateway, wire: Wire, books: Books, paid: AttemptRequest, reason: str | None
) -> None:
    void = operation(paid, Verb.VOID, reason=reason)
    assert gateway.void(void) == InDoubt("payment_captured", paid.reference)
    assert gateway.retrieve(void) == Approved(paid.reference, authorized=1000, captured=1000)
    assert wire.bodies("/reversal") == []


# --- refunds ---


def test_a_refund_is_repeated_for_ever(
    gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire, books: Books, paid: AttemptRequest
) -> None:
    asked = operation(paid, Verb.REFUND, 400)
    first = gateway.refund(asked)
    sandbox.state.advance(30 * DAY)
    assert gateway.refund(replace(asked, retries=1)) == first
    # Read before Afterpay shows the refund: what is sent once more is the same request.
    shown = gateway._api.get(f"/payments/token:{paid.reference}").body
    wire.responses[f"token:{paid.reference}"] = (200, shown | {"refunds": []})
    assert gateway.refund(replace(asked, retries=2)) == first
    assert wire.bodies("/refund")[0] == wire.bodies("/refund")[-1]
    assert books.movements(paid.payment_id) == [CHARGED, ("refund", 400)]


def test_after_120_days_nothing_is_refunded(
    gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, paid: AttemptRequest
) -> None:
    sandbox.state.advance(120 * DAY + 60)
    asked = operation(paid, Verb.REFUND)
    assert gateway.refund(asked) == NotSent("refund_timelimit_exceeded", is_retryable=False)
    assert gateway.retrieve(asked) == NotSent("not_created")
    assert books.movements(paid.payment_id) == [CHARGED]


def test_held_money_cannot_be_refunded(gateway: AfterpayGateway, books: Books, held: AttemptRequest) -> None:
    asked = operation(held, Verb.REFUND)
    assert gateway.refund(asked) == InDoubt("precondition_failed")
    assert gateway.retrieve(asked) == NotSent("not_created")
    assert books.movements(held.payment_id) == [HELD]


def test_the_release_of_a_rest_is_no_refund_of_ours(
    gateway: AfterpayGateway, books: Books, held: AttemptRequest
) -> None:
    """Afterpay lists it among the refunds."""
    gateway.capture(operation(held, Verb.CAPTURE, 400))
    asked = operation(held, Verb.REFUND, 400)
    assert gateway.retrieve(asked) == NotSent("not_created")
    outcome = gateway.refund(asked)
    assert isinstance(outcome, Approved)
    assert gateway.retrieve(asked) == gateway.retrieve(replace(asked, reference=outcome.reference)) == outcome
    assert books.movements(held.payment_id)[-1] == ("refund", 400)


def test_a_refund_of_another_amount_is_doubt(gateway: AfterpayGateway, paid: AttemptRequest) -> None:
    asked = operation(paid, Verb.REFUND, 400)
    outcome = gateway.refund(asked)
    other = replace(asked, money=replace(asked.money, minor=500))
    assert gateway.retrieve(other) == InDoubt("amount_mismatch", outcome.reference)
