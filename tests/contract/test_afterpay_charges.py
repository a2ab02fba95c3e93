"""Afterpay: the shopper at his page, tokens and authorizations that run out, and answers that contradict."""

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
from .bench import API_URL, SECONDS, Books, attempt, new_order
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


def opened(gateway: AfterpayGateway, asked: AttemptRequest) -> tuple[AttemptRequest, str]:
    """Return the order of a new checkout, and the address of its page."""
    outcome = gateway.charge(asked, lambda _: None)
    assert isinstance(outcome, ActionRequired)
    return replace(asked, reference=outcome.reference), outcome.next_action["redirect_url"]


def go_on(gateway: AfterpayGateway, asked: AttemptRequest) -> object:
    return gateway.charge(asked, lambda _: None)


# --- the shopper ---


@pytest.mark.parametrize(
    ("decision", "status", "kind"),
    [("approve", "SUCCESS", Approved), ("decline", "SUCCESS", Declined), ("cancel", "CANCELLED", ActionRequired)],
)
def test_a_shopper_decides_on_his_page(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, decision: str, status: str, kind: type
) -> None:
    asked, page = opened(gateway, new_order(afterpay))
    shown = requests.get(page, timeout=SECONDS)
    assert "10.00" in shown.text
    assert "AUD" in shown.text
    sent = requests.post(page, data={"decision": decision}, allow_redirects=False, timeout=SECONDS)
    back = urlsplit(sent.headers["Location"])
    assert f"{back.scheme}://{back.netloc}{back.path}" == f"{API_URL}/returns/{asked.attempt_id}"
    assert parse_qs(back.query) == {"status": [status], "orderToken": [asked.reference]}
    assert gateway.retrieve(asked) == CustomerApproved(asked.reference)
    assert isinstance(go_on(gateway, asked), kind)
    assert books.movements(asked.payment_id) == ([("charge", 1000)] if kind is Approved else [])


def test_success_in_the_address_is_not_believed(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books
) -> None:
    """Nothing is sent but what is asked, and the one who decided is Afterpay."""
    asked, page = opened(gateway, new_order(afterpay))
    requests.get(f"{page}?status=SUCCESS&orderToken={asked.reference}", timeout=SECONDS)
    assert go_on(gateway, asked) == ActionRequired(asked.reference, {"type": "redirect", "redirect_url": page})
    assert books.movements(asked.payment_id) == []


def test_a_shopper_may_think_again(afterpay: AfterpayBench, gateway: AfterpayGateway) -> None:
    asked, _ = opened(gateway, new_order(afterpay))
    afterpay.decide(asked.reference, "cancel")
    assert isinstance(go_on(gateway, asked), ActionRequired)
    afterpay.decide(asked.reference, "approve")
    assert isinstance(go_on(gateway, asked), Approved)


@pytest.mark.parametrize(("verb", "code"), [(Verb.CHARGE, "CAPTURE_DECLINED"), (Verb.AUTHORIZE, "AUTH_DECLINED")])
def test_a_decline_is_hard_whatever_its_status(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, verb: Verb, code: str
) -> None:
    """A capture declines with 201, an authorization with 402."""
    asked = attempt(afterpay, verb, card="hard")
    declined = Declined(asked.reference, Decline(code, DeclineClass.HARD))
    assert [go_on(gateway, asked), gateway.retrieve(asked), go_on(gateway, asked)] == [declined] * 3
    assert books.movements(asked.payment_id) == []


# --- time ---


def test_after_an_hour_the_checkout_is_forgotten_but_its_token_is_good(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books
) -> None:
    asked, _ = opened(gateway, new_order(afterpay))
    sandbox.state.advance(HOUR + 1)
    assert go_on(gateway, asked) == ActionRequired(asked.reference, {"type": "redirect"})
    afterpay.decide(asked.reference, "approve")
    assert gateway.retrieve(asked) == CustomerApproved(asked.reference)
    assert isinstance(go_on(gateway, asked), Approved)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
@pytest.mark.parametrize("is_approved", [True, False])
def test_after_three_hours_the_token_is_over(
    afterpay: AfterpayBench,
    gateway: AfterpayGateway,
    sandbox: RunningSandbox,
    books: Books,
    verb: Verb,
    is_approved: bool,
) -> None:
    asked, _ = opened(gateway, new_order(afterpay, verb))
    if is_approved:
        afterpay.decide(asked.reference, "approve")
    sandbox.state.advance(3 * HOUR + 1)
    assert go_on(gateway, asked) == Approved(asked.reference, voided=True, may_still_charge=True)
    assert afterpay.decide(asked.reference, "approve").endswith(f"status=CANCELLED&orderToken={asked.reference}")
    assert go_on(gateway, asked) == Approved(asked.reference, voided=True, may_still_charge=True)
    assert books.movements(asked.payment_id) == []


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_a_token_that_is_over_because_it_was_used_is_looked_up(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books, verb: Verb
) -> None:
    """Days later the request id is forgotten; the payment is not."""
    asked = attempt(afterpay, verb)
    first = go_on(gateway, asked)
    sandbox.state.advance(2 * DAY)
    assert go_on(gateway, asked) == first
    assert len(books.movements(asked.payment_id)) == 1


def test_a_used_token_that_cannot_be_looked_up_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, wire: Wire
) -> None:
    asked = attempt(afterpay, Verb.AUTHORIZE)
    go_on(gateway, asked)
    sandbox.state.advance(2 * DAY)
    wire.responses[f"token:{asked.reference}"] = (503, b"")
    assert go_on(gateway, asked) == InDoubt("http_503", asked.reference)


def test_an_authorization_ends_by_itself(
    afterpay: AfterpayBench, gateway: AfterpayGateway, sandbox: RunningSandbox, books: Books
) -> None:
    asked = attempt(afterpay, Verb.AUTHORIZE)
    held = go_on(gateway, asked)
    assert isinstance(held, Approved)
    at = datetime.fromtimestamp(sandbox.state.clock.now(), UTC)
    assert abs(held.authorization_expires_at - at - timedelta(days=13)) < timedelta(minutes=1)
    sandbox.state.advance(13 * DAY + 1)
    assert gateway.retrieve(asked) == Approved(asked.reference, voided=True)
    assert books.movements(asked.payment_id) == [("authorization", 1000), ("void", 1000)]


# --- twice ---


def test_an_authorization_is_repeated_with_the_same_id(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, books: Books
) -> None:
    asked = attempt(afterpay, Verb.AUTHORIZE)
    outcomes = {go_on(gateway, replace(asked, retries=retries)) for retries in range(3)}
    assert len(outcomes) == 1
    assert len({body["requestId"] for body in wire.bodies("/auth")}) == 1
    assert books.movements(asked.payment_id) == [("authorization", 1000)]


def test_a_checkout_that_was_opened_twice_is_paid_once(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books
) -> None:
    """The first answer was lost: nobody will ever pay with its token."""
    asked = new_order(afterpay)
    books.fail(afterpay.calls["create"], "reset_after")
    assert go_on(gateway, asked) == NotSent("no_answer")
    again, _ = opened(gateway, replace(asked, retries=1))
    afterpay.decide(again.reference, "approve")
    assert isinstance(go_on(gateway, again), Approved)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


# --- what is refused ---


@pytest.mark.parametrize("minor", [1, 99, 200_001])
def test_an_amount_outside_the_limits(afterpay: AfterpayBench, gateway: AfterpayGateway, minor: int) -> None:
    outcome = go_on(gateway, new_order(afterpay, minor=minor))
    assert outcome == NotSent("amount_outside_limits", is_retryable=False)


@pytest.mark.parametrize("minor", [100, 3705, 200_000])
def test_amounts_arrive_as_they_were_meant(
    afterpay: AfterpayBench, gateway: AfterpayGateway, books: Books, minor: int
) -> None:
    asked = attempt(afterpay, minor=minor)
    assert go_on(gateway, asked) == Approved(asked.reference, authorized=minor, captured=minor)
    assert books.movements(asked.payment_id) == [("charge", minor)]


@pytest.mark.parametrize("money", [Money(1000, "USD"), Money(1000, "JPY"), Money(1000, "KWD")], ids=str)
def test_another_currency_than_the_region_s_is_not_even_asked_for(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, money: Money
) -> None:
    outcome = go_on(gateway, new_order(afterpay, money=money))
    assert outcome == NotSent("unsupported_currency", is_retryable=False)
    assert wire.asked == []


@pytest.mark.parametrize("region", ["au", "ca", "nz", "uk", "us"])
def test_every_region_has_its_currency(afterpay: AfterpayBench, region: str, books: Books) -> None:
    currency = {"au": "AUD", "ca": "CAD", "nz": "NZD", "uk": "GBP", "us": "USD"}[region]
    own = afterpay.gateway(region=region, merchant_id=f"sandbox-{region}")
    asked = attempt(afterpay, money=Money(1000, currency), gateway=own)
    assert isinstance(go_on(own, asked), Approved)
    assert books.movements(asked.payment_id) == [("charge", 1000)]


def test_the_token_of_another_merchant_is_none(afterpay: AfterpayBench, books: Books) -> None:
    asked = attempt(afterpay)
    other = afterpay.gateway(merchant_id="sandbox-other-au")
    assert go_on(other, asked) == Approved(asked.reference, voided=True, may_still_charge=True)
    assert books.movements(asked.payment_id) == []


@pytest.mark.parametrize("payer", [{}, {"email": ""}, {"billing_address": {"country": "AU"}}], ids=str)
def test_a_shopper_without_an_email(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, payer: dict[str, object]
) -> None:
    outcome = go_on(gateway, new_order(afterpay, payer=payer))
    assert outcome == NotSent("email_missing", is_retryable=False)
    assert wire.asked == []


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
def test_a_checkout_that_makes_no_sense_is_not_remembered(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, response: object
) -> None:
    remembered: list[str] = []
    wire.responses["/checkouts"] = (201, response)
    outcome = gateway.charge(new_order(afterpay), remembered.append)
    assert outcome == NotSent("malformed_response")
    assert remembered == []


@pytest.mark.parametrize("response", [(500, b""), (429, {}), (200, {}), (200, {"token": "another"})], ids=str)
def test_a_checkout_that_cannot_be_read_is_asked_for_again(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, response: tuple[int, object]
) -> None:
    """Not approved is not paid; what is missing is only where the shopper can approve."""
    asked, page = opened(gateway, new_order(afterpay))
    wire.responses[f"checkouts/{asked.reference}"] = response
    outcome = go_on(gateway, asked)
    assert isinstance(outcome, NotSent)
    assert outcome.is_retryable
    assert outcome.reference == asked.reference
    assert go_on(gateway, asked) == ActionRequired(asked.reference, {"type": "redirect", "redirect_url": page})


def test_a_lost_lease_stops_everything(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    def refuse(reference: str) -> None:
        raise ConnectionError(reference)

    asked = attempt(afterpay)
    with pytest.raises(ConnectionError):
        gateway.charge(asked, refuse)
    assert wire.asked == []
