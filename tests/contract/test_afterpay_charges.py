"""Afterpay's charges: the customer's page, tokens and authorizations that expire, repeats, refused requests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from domain.decline import Decline, DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, CustomerApproved, Declined, InDoubt, NotSent
from domain.payment import Verb
from gateways.afterpay.gateway import AfterpayGateway
from gateways.base import AttemptRequest
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .afterpay_wire import Wire
from .bench import API_URL, SECONDS, Books, new_attempt, ready_attempt
from .benches.afterpay import ProviderBench as AfterpayBench

HOUR = 3600.0
DAY = 24 * HOUR


@pytest.fixture
def sandbox() -> Iterator[RunningSandbox]:
    """A sandbox of the test's own, whose clock it may move."""
    with RunningSandbox(Settings(seed=1)) as own:
        yield own


@pytest.fixture
def gateway(afterpay: AfterpayBench, wire: Wire) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway(base=wire.url)


def with_checkout(gateway: AfterpayGateway, charge: AttemptRequest) -> tuple[AttemptRequest, str]:
    """Return the attempt with the token of its new checkout, and the address of the customer's page."""
    outcome = gateway.charge(charge, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    return replace(charge, reference=outcome.reference), outcome.next_action["redirect_url"]


def charge_now(gateway: AfterpayGateway, charge: AttemptRequest) -> object:
    return gateway.charge(charge, lambda _: None)


# --- the customer ---


@pytest.mark.parametrize(
    ("decision", "status", "kind"),
    [("approve", "SUCCESS", Approved), ("decline", "SUCCESS", Declined), ("cancel", "CANCELLED", ActionRequired)],
)
def test_a_customer_decides_on_the_page(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, decision: str, status: str, kind: type
) -> None:
    charge, page = with_checkout(gateway, new_attempt(afterpay))
    shown = requests.get(page, timeout=SECONDS).text
    assert "10.00" in shown
    assert "AUD" in shown
    redirect = requests.post(page, data={"decision": decision}, allow_redirects=False, timeout=SECONDS)
    address = urlsplit(redirect.headers["Location"])
    assert f"{address.scheme}://{address.netloc}{address.path}" == f"{API_URL}/returns/{charge.attempt_id}"
    assert parse_qs(address.query) == {"status": [status], "orderToken": [charge.reference]}
    assert gateway.retrieve(charge) == CustomerApproved(charge.reference)
    assert isinstance(charge_now(gateway, charge), kind)
    assert books.movements(charge.payment_id) == ([("charge", 1000)] if kind is Approved else [])


def test_success_in_the_address_does_not_approve(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books
) -> None:
    """Only Afterpay decides, and only its response to a charge shows the decision."""
    charge, page = with_checkout(gateway, new_attempt(afterpay))
    requests.get(f"{page}?status=SUCCESS&orderToken={charge.reference}", timeout=SECONDS)
    assert charge_now(gateway, charge) == ActionRequired(charge.reference, {"type": "redirect", "redirect_url": page})
    assert books.movements(charge.payment_id) == []


def test_a_customer_may_cancel_and_approve_later(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    charge, _ = with_checkout(gateway, new_attempt(afterpay))
    afterpay.decide(charge.reference, "cancel")
    assert isinstance(charge_now(gateway, charge), ActionRequired)
    afterpay.decide(charge.reference, "approve")
    assert isinstance(charge_now(gateway, charge), Approved)


@pytest.mark.parametrize(("verb", "code"), [(Verb.CHARGE, "CAPTURE_DECLINED"), (Verb.AUTHORIZE, "AUTH_DECLINED")])
def test_a_decline_is_hard_whatever_its_status(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, verb: Verb, code: str
) -> None:
    """A capture declines with 201, an authorization with 402."""
    charge = ready_attempt(afterpay, verb, card="hard")
    declined = Declined(charge.reference, Decline(code, DeclineClass.HARD))
    assert [charge_now(gateway, charge), gateway.retrieve(charge), charge_now(gateway, charge)] == [declined] * 3
    assert books.movements(charge.payment_id) == []


# --- time ---


def test_after_an_hour_the_checkout_is_hidden_but_its_token_is_valid(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books
) -> None:
    charge, _ = with_checkout(gateway, new_attempt(afterpay))
    sandbox.state.advance(HOUR + 1)
    assert charge_now(gateway, charge) == ActionRequired(charge.reference, {"type": "redirect"})
    afterpay.decide(charge.reference, "approve")
    assert gateway.retrieve(charge) == CustomerApproved(charge.reference)
    assert isinstance(charge_now(gateway, charge), Approved)
    assert books.movements(charge.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
@pytest.mark.parametrize("is_approved", [True, False])
def test_after_three_hours_the_token_has_expired(
    afterpay: AfterpayBench,
    gateway: AfterpayGateway,
    sandbox: RunningSandbox,
    books: Books,
    verb: Verb,
    is_approved: bool,
) -> None:
    charge, _ = with_checkout(gateway, new_attempt(afterpay, verb))
    if is_approved:
        afterpay.decide(charge.reference, "approve")
    sandbox.state.advance(3 * HOUR + 1)
    assert charge_now(gateway, charge) == Approved(charge.reference, voided=True, may_still_charge=True)
    assert afterpay.decide(charge.reference, "approve").endswith(f"status=CANCELLED&orderToken={charge.reference}")
    assert charge_now(gateway, charge) == Approved(charge.reference, voided=True, may_still_charge=True)
    assert books.movements(charge.payment_id) == []


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_a_used_token_is_looked_up(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, verb: Verb
) -> None:
    """After days Afterpay has forgotten the request id; it still has the payment."""
    charge = ready_attempt(afterpay, verb)
    first = charge_now(gateway, charge)
    sandbox.state.advance(2 * DAY)
    assert charge_now(gateway, charge) == first
    assert len(books.movements(charge.payment_id)) == 1


def test_a_used_token_whose_look_up_fails_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire
) -> None:
    charge = ready_attempt(afterpay, Verb.AUTHORIZE)
    charge_now(gateway, charge)
    sandbox.state.advance(2 * DAY)
    wire.responses[f"token:{charge.reference}"] = (503, b"")
    assert charge_now(gateway, charge) == InDoubt("http_503", charge.reference)


def test_an_authorization_ends_after_13_days(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books
) -> None:
    charge = ready_attempt(afterpay, Verb.AUTHORIZE)
    held = charge_now(gateway, charge)
    assert isinstance(held, Approved)
    at = datetime.fromtimestamp(sandbox.state.clock.now(), UTC)
    assert abs(held.authorization_expires_at - at - timedelta(days=13)) < timedelta(minutes=1)
    sandbox.state.advance(13 * DAY + 1)
    assert gateway.retrieve(charge) == Approved(charge.reference, voided=True)
    assert books.movements(charge.payment_id) == [("authorization", 1000), ("void", 1000)]


# --- repeats ---


def test_an_authorization_is_repeated_with_the_same_id(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, books: Books
) -> None:
    charge = ready_attempt(afterpay, Verb.AUTHORIZE)
    outcomes = {charge_now(gateway, replace(charge, retries=retries)) for retries in range(3)}
    assert len(outcomes) == 1
    assert len({body["requestId"] for body in wire.bodies("/auth")}) == 1
    assert books.movements(charge.payment_id) == [("authorization", 1000)]


def test_a_checkout_that_was_opened_twice_is_paid_once(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books
) -> None:
    """The first response is lost, and with it the only token for the first checkout."""
    charge = new_attempt(afterpay)
    books.fail(afterpay.calls["create"], "reset_after")
    assert charge_now(gateway, charge) == NotSent("no_answer")
    again, _ = with_checkout(gateway, replace(charge, retries=1))
    afterpay.decide(again.reference, "approve")
    assert isinstance(charge_now(gateway, again), Approved)
    assert books.movements(charge.payment_id) == [("charge", 1000)]


# --- refused requests ---


@pytest.mark.parametrize("minor", [1, 99, 200_001])
def test_an_amount_outside_the_limits_is_refused(afterpay: AfterpayBench, gateway: AfterpayGateway, minor: int) -> None:
    outcome = charge_now(gateway, new_attempt(afterpay, minor=minor))
    assert outcome == NotSent("amount_outside_limits", is_retryable=False)


@pytest.mark.parametrize("minor", [100, 3705, 200_000])
def test_amounts_arrive_in_minor_units(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, minor: int
) -> None:
    charge = ready_attempt(afterpay, minor=minor)
    assert charge_now(gateway, charge) == Approved(charge.reference, authorized=minor, captured=minor)
    assert books.movements(charge.payment_id) == [("charge", minor)]


@pytest.mark.parametrize("money", [Money(1000, "USD"), Money(1000, "JPY"), Money(1000, "KWD")], ids=str)
def test_a_currency_of_another_region_is_not_sent(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, money: Money
) -> None:
    outcome = charge_now(gateway, new_attempt(afterpay, money=money))
    assert outcome == NotSent("unsupported_currency", is_retryable=False, param="currency")
    assert wire.requests == []


@pytest.mark.parametrize("region", ["au", "ca", "nz", "uk", "us"])
def test_every_region_has_its_currency(afterpay: AfterpayBench, region: str, books: Books) -> None:
    currency = {"au": "AUD", "ca": "CAD", "nz": "NZD", "uk": "GBP", "us": "USD"}[region]
    own = afterpay.gateway(region=region, merchant_id=f"sandbox-{region}")
    charge = ready_attempt(afterpay, money=Money(1000, currency), gateway=own)
    assert isinstance(charge_now(own, charge), Approved)
    assert books.movements(charge.payment_id) == [("charge", 1000)]


def test_the_token_of_another_merchant_has_no_payment(afterpay: AfterpayBench, books: Books) -> None:
    charge = ready_attempt(afterpay)
    other = afterpay.gateway(merchant_id="sandbox-other-au")
    assert charge_now(other, charge) == Approved(charge.reference, voided=True, may_still_charge=True)
    assert books.movements(charge.payment_id) == []


@pytest.mark.parametrize("payer", [{}, {"email": ""}, {"billing_address": {"country": "AU"}}], ids=str)
def test_a_customer_without_an_email_is_not_sent(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, payer: dict[str, object]
) -> None:
    outcome = charge_now(gateway, new_attempt(afterpay, payer=payer))
    assert outcome == NotSent("email_missing", is_retryable=False, param="email")
    assert wire.requests == []


@pytest.mark.parametrize(
    "response",
    [
        {},
        {"token": "t"},
        {"token": "t", "redirectCheckoutUrl": None},
        {"token": "t", "redirectCheckoutUrl": "javascript:alert(1)"},
        {"token": "", "redirectCheckoutUrl": "https://portal.afterpay.com"},
        {"token": "t" * 256, "redirectCheckoutUrl": "https://portal.afterpay.com"},
        {"token": "t\n", "redirectCheckoutUrl": "https://portal.afterpay.com"},
        {"token": 7, "redirectCheckoutUrl": "https://portal.afterpay.com"},
        [],
    ],
    ids=str,
)
def test_a_malformed_checkout_is_not_saved(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, response: object
) -> None:
    saved: list[str] = []
    wire.responses["/checkouts"] = (201, response)
    outcome = gateway.charge(new_attempt(afterpay), saved.append)
    assert outcome == NotSent("malformed_response")
    assert saved == []


@pytest.mark.parametrize("response", [(500, b""), (429, {}), (200, {}), (200, {"token": "another"})], ids=str)
def test_a_checkout_that_cannot_be_read_is_read_again(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, response: tuple[int, object]
) -> None:
    """The charge was refused, so nothing is charged; only the address of the customer's page is missing."""
    charge, page = with_checkout(gateway, new_attempt(afterpay))
    wire.responses[f"checkouts/{charge.reference}"] = response
    outcome = charge_now(gateway, charge)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert outcome.reference == charge.reference
    assert charge_now(gateway, charge) == ActionRequired(charge.reference, {"type": "redirect", "redirect_url": page})


def test_without_its_lease_an_attempt_sends_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire
) -> None:
    def refuse(reference: str) -> None:
        raise ConnectionError(reference)

    charge = ready_attempt(afterpay)
    with pytest.raises(ConnectionError):
        gateway.charge(charge, refuse)
    assert wire.requests == []
