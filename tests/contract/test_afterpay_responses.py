"""Afterpay's responses: what follows from a payment, and doubt for every other form."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from domain.decline import DeclineClass
from domain.outcome import AmountMismatch, Approved, Declined, InDoubt, NotSent
from domain.payment import Verb
from gateways.afterpay.gateway import AfterpayGateway
from gateways.afterpay.responses import Amount, Payment, minor_units, outcome_of_payment
from gateways.base import AttemptRequest
from gateways.failures import MalformedResponse

from .afterpay_wire import Wire
from .bench import Books, new_attempt, ready_attempt
from .benches.afterpay import ProviderBench as AfterpayBench
from .test_afterpay_errors import refused
from .test_gateway_operations import call, charged, operation


@pytest.fixture
def gateway(afterpay: AfterpayBench, wire: Wire) -> AfterpayGateway:
    """Afterpay's gateway."""
    return afterpay.gateway(base=wire.url)


# --- a charge ---


def payment(charge: AttemptRequest, **changes: Any) -> dict[str, Any]:
    """Return the payment of a charge of 10.00 AUD, with changes."""
    money = {"amount": "10.00", "currency": "AUD"}
    fields = {
        "id": "100101",
        "token": charge.reference,
        "status": "APPROVED",
        "paymentState": "CAPTURED",
        "originalAmount": money,
        "openToCaptureAmount": {"amount": "0.00", "currency": "AUD"},
        "refunds": [],
        "events": [{"type": "CAPTURED", "amount": money, "paymentEventMerchantReference": None}],
    }
    return fields | changes


DECLINED = {"status": "DECLINED", "paymentState": "CAPTURE_DECLINED", "events": []}


@pytest.mark.parametrize("status", [200, 201])
def test_a_payment_approves_a_charge(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, status: int
) -> None:
    charge = ready_attempt(afterpay)
    wire.responses["/capture"] = (status, payment(charge))
    assert gateway.charge(charge, lambda _: None) == Approved(charge.reference, authorized=1000, captured=1000)


@pytest.mark.parametrize("status", [200, 201, 402])
def test_a_declined_payment_declines_a_charge(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, status: int
) -> None:
    charge = ready_attempt(afterpay)
    wire.responses["/capture"] = (status, payment(charge, **DECLINED))
    outcome = gateway.charge(charge, lambda _: None)
    assert isinstance(outcome, Declined)
    assert outcome.decline.decline_class is DeclineClass.HARD


AUD, USD = ({"amount": "10.00", "currency": currency} for currency in ("AUD", "USD"))
AUTHORIZED = {"type": "AUTH_APPROVED", "amount": AUD, "paymentEventMerchantReference": None}


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        (402, {}),
        (201, {"token": "another"}),
        (201, {"status": "DECLINED"}),
        (201, {"status": "INVENTED"}),
        (201, DECLINED | {"status": "INVENTED"}),
        (201, DECLINED | {"status": "APPROVED"}),
        (201, {"originalAmount": USD}),
        (201, {"originalAmount": AUD | {"amount": 10.00}}),
        (201, {"originalAmount": AUD | {"amount": "1e1"}}),
        (201, {"originalAmount": AUD | {"amount": "-10.00"}}),
        (201, {"originalAmount": None}),
        (201, {"events": []}),
        (201, {"events": None}),
        (201, {"events": [{"type": "CAPTURED", "amount": USD}]}),
        (201, {"paymentState": "AUTH_APPROVED", "events": []}),
        (201, {"paymentState": "AUTH_APPROVED", "events": [AUTHORIZED | {"expires": "soon"}]}),
        (201, {"paymentState": "AUTH_APPROVED", "events": [AUTHORIZED | {"expires": "2026-12-01"}]}),
        (201, {"paymentState": "AUTH_APPROVED", "events": [AUTHORIZED]}),
        (201, {"paymentState": "INVENTED"}),
        (201, {"paymentState": None}),
        (201, {"paymentState": ["CAPTURED"]}),
        (500, {}),
        (302, {}),
    ],
    ids=str,
)
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
def test_a_contradicting_or_malformed_payment_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, status: int, changes: dict[str, Any], verb: Verb
) -> None:
    charge = ready_attempt(afterpay, verb)
    wire.responses["/capture" if verb is Verb.CHARGE else "/auth"] = (status, payment(charge, **changes))
    outcome = gateway.charge(charge, lambda _: None)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == charge.reference


@pytest.mark.parametrize(("verb", "expected"), [(Verb.CHARGE, InDoubt), (Verb.AUTHORIZE, AmountMismatch)])
def test_a_charge_is_captured_in_whole_and_an_authorization_has_the_amount_that_was_asked(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb, expected: type
) -> None:
    charge = ready_attempt(afterpay, verb)
    body = payment(charge, originalAmount=AUD | {"amount": "10.01"})
    wire.responses["/capture" if verb is Verb.CHARGE else "/auth"] = (201, body)
    assert isinstance(gateway.charge(charge, lambda _: None), expected)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b"\xff", b"[" * 100_000], ids=lambda body: body[:9])
@pytest.mark.parametrize("status", [200, 201, 402, 412])
def test_a_response_without_a_payment_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, body: bytes, status: int
) -> None:
    charge = ready_attempt(afterpay)
    wire.responses["/capture"] = (status, body)
    assert isinstance(gateway.charge(charge, lambda _: None), InDoubt)


@pytest.mark.parametrize("code", ["invalid_token", "invalid_order_transaction_status"])
def test_a_server_error_with_a_documented_code_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, code: str
) -> None:
    charge = ready_attempt(afterpay)
    wire.responses["/capture"] = (500, refused(500, code).body)
    assert isinstance(gateway.charge(charge, lambda _: None), InDoubt)


def test_a_conflict_is_doubt_until_the_payment_is_there(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, books: Books
) -> None:
    charge = ready_attempt(afterpay)
    wire.responses["/capture"] = (409, refused(409, "conflict").body)
    assert gateway.charge(charge, lambda _: None) == InDoubt("http_409", charge.reference)
    assert isinstance(gateway.charge(charge, lambda _: None), Approved)
    assert books.movements(charge.payment_id) == [("charge", 1000)]


def test_a_redirect_is_not_followed(afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire) -> None:
    wire.responses["/checkouts"] = (307, {})
    assert gateway.charge(new_attempt(afterpay), lambda _: None) == NotSent("http_307")
    assert len(wire.requests) == 1


# --- operations and look-ups ---


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"paymentState": "CAPTURED"}', b'{"refundId": "1"}'])
@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID, Verb.REFUND])
def test_an_operation_with_a_malformed_response_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb, body: bytes
) -> None:
    first = charged(afterpay, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    wire.responses[f"/{verb}"] = (201, body)
    assert isinstance(call(gateway, operation(first, verb)), InDoubt)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b'{"id": "1"}', b'{"paymentState": "CAPTURED"}', b"{"])
@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE, Verb.CAPTURE, Verb.REFUND, Verb.VOID])
def test_a_malformed_look_up_proves_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb, body: bytes
) -> None:
    first = charged(afterpay, gateway)
    request = replace(first, verb=verb) if verb.is_collecting else operation(first, verb)
    wire.responses[f"token:{first.reference}"] = (200, body)
    outcome = gateway.retrieve(request)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == (None if verb is Verb.REFUND else first.reference)


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.CAPTURE, Verb.REFUND, Verb.VOID])
def test_the_payment_of_another_token_proves_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb
) -> None:
    first = charged(afterpay, gateway)
    request = first if verb is Verb.CHARGE else operation(first, verb)
    wire.responses[f"token:{first.reference}"] = (200, payment(first, token="another"))
    assert isinstance(gateway.retrieve(request), InDoubt)


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.REFUND])
def test_an_operation_on_a_charge_without_a_payment_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, verb: Verb
) -> None:
    first = charged(afterpay, gateway, Verb.AUTHORIZE)
    for carry_out in (gateway.retrieve, lambda operation: call(gateway, operation)):
        wire.responses[f"token:{first.reference}"] = (404, refused(404, "not_found").body)
        outcome = carry_out(operation(first, verb))
        assert isinstance(outcome, InDoubt)
        assert outcome.reason == "no_payment"


@pytest.mark.parametrize("verb", [Verb.CAPTURE, Verb.VOID, Verb.REFUND])
def test_an_operation_on_a_malformed_payment_is_doubt_and_the_log_names_the_field(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, caplog: pytest.LogCaptureFixture, verb: Verb
) -> None:
    first = charged(afterpay, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE)
    wire.responses[f"token:{first.reference}"] = (200, payment(first, originalAmount=None))
    outcome = call(gateway, operation(first, verb))
    assert outcome == InDoubt("malformed_response", None if verb is Verb.REFUND else first.reference)
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert errors == ["malformed provider response: Payment.originalAmount"]


@pytest.mark.parametrize("changes", [{"status": "INVENTED"}, {"paymentState": "INVENTED"}, DECLINED | {"status": "X"}])
def test_a_void_of_a_payment_with_an_unknown_word_is_doubt_and_reverses_nothing(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire, changes: dict[str, Any]
) -> None:
    first = charged(afterpay, gateway)
    void = operation(first, Verb.VOID, reason="expired")
    for carry_out in (gateway.void, gateway.retrieve):
        wire.responses[f"token:{first.reference}"] = (200, payment(first, **changes))
        assert isinstance(carry_out(void), InDoubt)
    assert wire.bodies("/reversal") == []


def test_without_the_list_of_refunds_a_refund_is_doubt(
    afterpay: AfterpayBench, gateway: AfterpayGateway, wire: Wire
) -> None:
    """Only a list without the refund shows that it was not made."""
    first = charged(afterpay, gateway)
    refund = operation(first, Verb.REFUND)
    fields = payment(first)
    wire.responses[f"token:{first.reference}"] = (200, {name: fields[name] for name in fields if name != "refunds"})
    assert gateway.retrieve(refund) == InDoubt("malformed_response")
    wire.responses[f"token:{first.reference}"] = (200, fields | {"refunds": None})
    assert gateway.retrieve(refund) == NotSent("not_created")


# --- models ---


@pytest.mark.parametrize("name", ["id", "token", "originalAmount", "openToCaptureAmount", "events"])
def test_a_payment_without_a_field_that_decides_is_malformed(afterpay: AfterpayBench, name: str) -> None:
    fields = payment(new_attempt(afterpay, reference="t"))
    for changed in ({key: fields[key] for key in fields if key != name}, fields | {name: None}, fields | {name: 17}):
        with pytest.raises(MalformedResponse) as raised:
            Payment.parse(changed)
        assert raised.value.field == f"Payment.{name}"


@pytest.mark.parametrize("text", ["", "ten", "1e1", "-10.00", "+1", "1,000.00", " 1", "1.", ".5", "0.0.0", "١"])
def test_an_amount_that_is_no_decimal_is_malformed(text: str) -> None:
    with pytest.raises(MalformedResponse) as raised:
        Amount.parse({"amount": text, "currency": "AUD"})
    assert raised.value.field == "Amount.amount"


@pytest.mark.parametrize(("amount", "field"), [(USD, "Amount.currency"), (AUD | {"amount": "10.001"}, "Amount.amount")])
def test_an_amount_of_another_currency_or_precision_is_malformed(amount: dict[str, str], field: str) -> None:
    with pytest.raises(MalformedResponse) as raised:
        minor_units(Amount.parse(amount), "AUD")
    assert raised.value.field == field


def test_a_release_has_the_time_of_its_event(afterpay: AfterpayBench) -> None:
    charge = ready_attempt(afterpay)
    money = {"amount": "10.00", "currency": "AUD"}
    steps = (("AUTH_APPROVED", 7), ("VOIDED", 8))
    events = [{"type": type, "amount": money, "created": f"2026-11-2{day}T12:00:00.000Z"} for type, day in steps]
    ended = Payment.parse(payment(charge, paymentState="VOIDED", events=events))
    outcome = outcome_of_payment(ended, str(charge.reference), "AUD")
    assert isinstance(outcome, Approved)
    assert (outcome.voided, outcome.at) == (True, datetime(2026, 11, 28, 12, tzinfo=UTC))
