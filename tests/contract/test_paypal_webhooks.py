"""PayPal's webhooks: a signature over the raw body, PayPal's own verdict where it is not enough, and the events."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from domain.errors import WebhookDeferred, WebhookRefused
from domain.outcome import Approved, Declined, Pending
from domain.payment import Verb
from gateways.base import AttemptRequest, WebhookEvent
from gateways.failures import MalformedResponse
from gateways.paypal.certificates import Authorities, Certificate, Certificates, Place
from gateways.paypal.stored_fields import stored_fields
from gateways.paypal.webhooks import Webhooks, read_event
from sandbox.clock import iso_seconds
from sandbox.paypal import signing
from sandbox.paypal.events import WEBHOOK_ID
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import Webhook, body_of, now
from .benches.paypal import ProviderBench
from .served import Served, replying
from .test_gateway_operations import charged, operation

EVENT = {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {}}


@pytest.fixture
def questions(paypal: ProviderBench, sandbox: RunningSandbox) -> Callable[[], int]:
    """The number of webhooks that PayPal was to verify: the hits of a fault that does nothing."""
    fault = sandbox.state.faults.add("paypal.webhooks.verify", "latency", times=None, seconds=0.0)
    return lambda: fault.hits


def verify(paypal: ProviderBench, sent: Webhook, **changes: Any) -> str:
    """Verify a webhook; return the id of its event."""
    return paypal.gateway(**changes).verify_webhook(sent.body, sent.headers, now()).event_id


# --- the signature ---


def test_the_signed_text_is_put_together_as_documented(served: Served) -> None:
    """id|time|webhook id|CRC-32 as an unsigned decimal; this body's is above 2**31."""
    body, key = json.dumps(EVENT | {"n": 3}).encode(), signing.signing_key()
    assert zlib.crc32(body) > 2**31
    at = now()
    sent_at, later = iso_seconds(at.timestamp() - 60), iso_seconds(at.timestamp() - 59)
    text = f"69cd13f0|{sent_at}|WH-REG|{zlib.crc32(body)}".encode()
    headers = {
        "Paypal-Auth-Algo": "SHA256withRSA",
        "Paypal-Cert-Url": f"{served.url}/v1/notifications/certs/CERT-1",
        "Paypal-Transmission-Id": "69cd13f0",
        "Paypal-Transmission-Time": sent_at,
        "Paypal-Transmission-Sig": base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode(),
    }
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    authorities = Authorities.of(signing.authority().certificates)
    place = Place("http", frozenset({served.host}), "/v1/notifications/certs/", lambda: authorities)
    webhooks = Webhooks("WH-REG", Certificates(place), lambda question: pytest.fail("called PayPal"))
    assert webhooks.verify(body, headers, at).event_id == "WH-1"
    for changed in (
        headers | {"Paypal-Transmission-Id": "69cd13f1"},
        headers | {"Paypal-Transmission-Time": later},
        headers | {"Paypal-Auth-Algo": "SHA1withRSA"},
        headers | {"Paypal-Transmission-Sig": "AAAA"},
        headers | {"Paypal-Transmission-Sig": "not base64!"},
        headers | {"Paypal-Transmission-Sig": "\u00e4"},
        headers | {"Paypal-Transmission-Time": f"{at:%Y}-19-24T10:00:00Z"},
        headers | {"Paypal-Transmission-Time": "yesterday"},
        headers | {"Paypal-Transmission-Id": "x" * 3000},
    ):
        with pytest.raises(WebhookRefused):
            webhooks.verify(body, changed, at)
    for name in headers:
        with pytest.raises(WebhookRefused):
            webhooks.verify(body, {key: text for key, text in headers.items() if key != name}, at)


def test_a_good_signature_needs_no_question_to_paypal(paypal: ProviderBench, questions: Callable[[], int]) -> None:
    assert verify(paypal, paypal.signed(EVENT)) == "WH-1"
    assert questions() == 0


def test_another_key_is_refused_without_a_question(paypal: ProviderBench, questions: Callable[[], int]) -> None:
    sent = paypal.signed(EVENT)
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    forged = base64.b64encode(other.sign(b"x", padding.PKCS1v15(), hashes.SHA256())).decode()
    for signature in (forged, "AAAA"):
        with pytest.raises(WebhookRefused):
            verify(paypal, replace(sent, headers={**sent.headers, "Paypal-Transmission-Sig": signature}))
    assert questions() == 0


def test_the_webhook_of_another_merchant_is_refused(paypal: ProviderBench) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(EVENT, webhook_id="8SOMEBODYELSE"))
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(EVENT), webhook_id="8SOMEBODYELSE")


@pytest.mark.parametrize("webhook_id", [None, ""])
def test_without_a_webhook_id_every_webhook_is_refused(paypal: ProviderBench, webhook_id: str | None) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(EVENT, webhook_id=webhook_id or ""), webhook_id=webhook_id)


@pytest.mark.parametrize(("seconds", "is_good"), [(-3 * 86400 + 60, True), (-3 * 86400 - 60, False), (290, True)])
def test_a_delivery_is_accepted_for_three_days(paypal: ProviderBench, seconds: float, is_good: bool) -> None:
    sent = paypal.signed(EVENT, seconds=seconds)
    if is_good:
        assert verify(paypal, sent) == "WH-1"
    else:
        with pytest.raises(WebhookRefused):
            verify(paypal, sent)


@pytest.mark.parametrize(
    "event",
    [
        {"id": 7, "event_type": "X"},
        {"id": "", "event_type": "X"},
        {"id": "x" * 256, "event_type": "X"},
        {"id": "WH-1", "event_type": "x" * 101},
        {"id": "WH-1\n", "event_type": "X"},
        {"id": "WH-\u00e4", "event_type": "X"},
        {"id": "WH-1"},
        {"event_type": "X"},
    ],
)
def test_an_event_without_a_usable_id_or_type_is_refused(paypal: ProviderBench, event: Any) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(event))


# --- PayPal's own verdict ---


def with_certificate(sent: Webhook, id: str = signing.UNKNOWN_CERTIFICATE_ID) -> Webhook:
    """Return a webhook with another certificate, by default with one of an unknown authority."""
    start = sent.headers["Paypal-Cert-Url"].rpartition("/")[0]
    return replace(sent, headers={**sent.headers, "Paypal-Cert-Url": f"{start}/{id}"})


def test_paypal_is_not_called_for_a_missing_certificate(paypal: ProviderBench, questions: Callable[[], int]) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, with_certificate(paypal.signed(EVENT), "CERT-invented"))
    assert questions() == 0


def test_paypal_is_called_when_the_certificate_cannot_be_checked(
    paypal: ProviderBench, questions: Callable[[], int]
) -> None:
    # Serialised anew, the body would lose these spaces and this order.
    body = b'{ "event_type":"CUSTOMER.DISPUTE.CREATED",\n "id" : "WH-1", "amount": 1.10, "n": "\\u00e4"  }'
    assert verify(paypal, with_certificate(paypal.signed(body))) == "WH-1"
    assert questions() == 1


def test_paypal_is_asked_once_about_a_certificate(paypal: ProviderBench, questions: Callable[[], int]) -> None:
    gateway = paypal.gateway()
    for n in range(30):
        sent = with_certificate(paypal.signed(EVENT | {"id": f"WH-{n}"}))
        assert gateway.verify_webhook(sent.body, sent.headers, now()).event_id == f"WH-{n}"
    assert questions() == 1


def test_with_the_operators_authority_paypal_is_not_asked(paypal: ProviderBench, questions: Callable[[], int]) -> None:
    sent = with_certificate(paypal.signed(EVENT))
    assert verify(paypal, sent, authorities=signing.unknown_authority().certificates) == "WH-1"
    assert questions() == 0


def test_a_forgery_with_an_unchecked_certificate_is_refused_without_a_question(
    paypal: ProviderBench, questions: Callable[[], int]
) -> None:
    with pytest.raises(WebhookRefused, match="bad signature"):
        verify(paypal, with_certificate(paypal.signed(EVENT, is_forged=True)))
    assert questions() == 0


def test_an_event_that_paypal_does_not_know_is_refused(paypal: ProviderBench, questions: Callable[[], int]) -> None:
    """The sandbox knows one registration only."""
    sent = with_certificate(paypal.signed(EVENT, webhook_id="8SOMEBODYELSE"))
    with pytest.raises(WebhookRefused, match="does not know"):
        verify(paypal, sent, webhook_id="8SOMEBODYELSE")
    assert questions() == 1


@pytest.mark.parametrize("fault", ["error_before", "reset_before", "timeout_after", "rate_limit"])
def test_without_a_verdict_of_paypal_the_webhook_comes_again(
    paypal: ProviderBench, sandbox: RunningSandbox, fault: Any
) -> None:
    sandbox.state.faults.add("paypal.webhooks.verify", fault, seconds=5.0)
    gateway, sent = paypal.gateway(), with_certificate(paypal.signed(EVENT))
    with pytest.raises(WebhookDeferred):
        gateway.verify_webhook(sent.body, sent.headers, now())
    later = now() + timedelta(minutes=1)
    assert gateway.verify_webhook(sent.body, sent.headers, later).event_id == "WH-1"


# --- a body of which only the CRC is signed ---


def with_checksum(start: bytes, end: bytes, wanted: int) -> bytes:
    """Return a body with this CRC-32, by a choice of letters between start and end.

    CRC-32 is linear: each letter changes a fixed set of bits, and elimination finds the letters to change."""
    plain = bytearray(start + b"@" * 48 + end)
    without, basis = zlib.crc32(plain), {}
    for place in range(48):
        plain[len(start) + place] ^= 1
        value, letters = zlib.crc32(plain) ^ without, 1 << place
        plain[len(start) + place] ^= 1
        while value and value.bit_length() in basis:
            value, letters = value ^ basis[value.bit_length()][0], letters ^ basis[value.bit_length()][1]
        if value:
            basis[value.bit_length()] = (value, letters)
    rest, letters = without ^ wanted, 0
    while rest:
        rest, letters = rest ^ basis[rest.bit_length()][0], letters ^ basis[rest.bit_length()][1]
    for place in range(48):
        plain[len(start) + place] ^= letters >> place & 1
    return bytes(plain)


DISPUTE = {"dispute_id": "PP-D-1", "disputed_transactions": [{"custom": "pay_1"}]}
REFUND = {"id": "R1", "status": "COMPLETED", "amount": {"value": "5.00", "currency_code": "EUR"}}
ORDER = {"id": "O1", "status": "APPROVED"}
BOOKED = {"CUSTOMER.DISPUTE.RESOLVED": DISPUTE, "PAYMENT.CAPTURE.REFUNDED": REFUND}


class OneKey:
    """Certificates that have the sandbox's key at every address."""

    def at(self, url: str, now: datetime) -> Certificate:
        """Return a trusted certificate for the sandbox's key."""
        day = timedelta(days=1)
        return Certificate(signing.signing_key().public_key(), now - day, now + day, is_trusted=True)

    def keep(self, url: str, certificate: Certificate) -> None:
        """Keep nothing."""


@pytest.mark.parametrize("type", BOOKED)
def test_a_checksum_does_not_prove_content_that_is_booked(type: str) -> None:
    body, questions = body_of({"id": "WH-1", "event_type": "CHECKOUT.ORDER.APPROVED", "resource": ORDER}), []
    headers = signing.headers(body, WEBHOOK_ID, now().timestamp(), "http://sandbox")
    webhooks = Webhooks(WEBHOOK_ID, OneKey(), lambda question: questions.append(question) or False)
    assert webhooks.verify(body, headers, now()).event_id == "WH-1"
    event = body_of({"id": "WH-2", "event_type": type, "resource": BOOKED[type]})
    forged = with_checksum(event[:-1] + b', "x": "', b'"}', zlib.crc32(body))
    assert zlib.crc32(forged) == zlib.crc32(body)
    assert questions == []
    with pytest.raises(WebhookRefused, match="does not know"):
        webhooks.verify(forged, headers, now())
    assert [forged in question for question in questions] == [True]


@pytest.mark.parametrize("type", BOOKED)
def test_paypal_confirms_content_that_is_booked(
    paypal: ProviderBench, sandbox: RunningSandbox, questions: Callable[[], int], type: str
) -> None:
    event = {"id": "WH-1", "event_type": type, "resource": BOOKED[type]}
    assert verify(paypal, paypal.signed(event)) == "WH-1"
    assert questions() == 1
    assert verify(paypal, with_certificate(paypal.signed(event))) == "WH-1"
    assert questions() == 2  # one question, although both reasons apply
    sandbox.state.faults.clear()
    sandbox.state.faults.add("paypal.webhooks.verify", "error_before")
    with pytest.raises(WebhookDeferred):
        verify(paypal, paypal.signed(event))


# --- rates and floods ---


@pytest.mark.parametrize("id", [signing.CERTIFICATE_ID, signing.UNKNOWN_CERTIFICATE_ID])
def test_no_rate_of_genuine_events_is_refused_during_a_flood(
    paypal: ProviderBench, questions: Callable[[], int], id: str
) -> None:
    gateway, at, refused = paypal.gateway(), now(), []
    sent = with_certificate(paypal.signed(EVENT), id)
    gateway.verify_webhook(sent.body, sent.headers, at)
    for n in range(100):
        for forged in (
            with_certificate(paypal.signed(EVENT), f"CERT-invented-{n}"),
            with_certificate(paypal.signed(EVENT, is_forged=True), id),
        ):
            with pytest.raises((WebhookRefused, WebhookDeferred)) as raised:
                gateway.verify_webhook(forged.body, forged.headers, at)
            refused.append(type(raised.value))
        sent = with_certificate(paypal.signed(EVENT | {"id": f"WH-{n}"}), id)
        assert gateway.verify_webhook(sent.body, sent.headers, at).event_id == f"WH-{n}"
    # Beyond the limit an invented address may as well be genuine.
    assert refused.count(WebhookDeferred) >= 90
    assert questions() == (id == signing.UNKNOWN_CERTIFICATE_ID)


def unreachable() -> Certificates:
    """Return certificates of a host that does not respond."""
    nowhere = Place("http", frozenset({"127.0.0.1:9"}), "/certs/", lambda: Authorities((), ()))
    return Certificates(nowhere)


def test_without_certificates_paypal_is_asked_ten_times_a_minute() -> None:
    questions: list[bytes] = []
    webhooks = Webhooks(WEBHOOK_ID, unreachable(), lambda question: questions.append(question) is None)
    body, at = body_of(EVENT), now()

    def verify_at(moment: datetime) -> str:
        sent = signing.headers(body, WEBHOOK_ID, at.timestamp(), "http://sandbox")
        return webhooks.verify(body, sent | {"Paypal-Cert-Url": "http://127.0.0.1:9/certs/CERT-1"}, moment).event_id

    for _ in range(10):
        assert verify_at(at) == "WH-1"
    for _ in range(50):
        with pytest.raises(WebhookDeferred, match="too many"):
            verify_at(at + timedelta(seconds=59))
    assert len(questions) == 10
    assert verify_at(at + timedelta(seconds=60)) == "WH-1"


@pytest.mark.parametrize("is_genuine", [True, False])
def test_paypal_is_asked_about_a_signature_once_a_minute(is_genuine: bool) -> None:
    """Whoever has one delivery can send it again, and make bodies without end that fit its signature."""
    questions: list[bytes] = []
    webhooks = Webhooks(WEBHOOK_ID, OneKey(), lambda question: questions.append(question) or is_genuine)
    body = body_of({"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.RESOLVED", "resource": DISPUTE})
    at = now()
    headers = signing.headers(body, WEBHOOK_ID, at.timestamp(), "http://sandbox")
    if is_genuine:
        for _ in range(50):
            assert webhooks.verify(body, headers, at).event_id == "WH-1"
    else:
        with pytest.raises(WebhookRefused, match="does not know"):
            webhooks.verify(body, headers, at)
    for n in range(50):
        forged = with_checksum(body[:-1] + f', "n": {n}, "x": "'.encode(), b'"}', zlib.crc32(body))
        with pytest.raises(WebhookDeferred, match="a moment ago"):
            webhooks.verify(forged, headers, at + timedelta(seconds=59))
    assert len(questions) == 1
    with suppress(WebhookRefused):
        webhooks.verify(body, headers, at + timedelta(seconds=60))
    assert len(questions) == 2


# --- reading ---


def test_every_stage_of_a_payment_names_its_order_and_attempt(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    held = charged(paypal, gateway, Verb.AUTHORIZE)
    capture = operation(held, Verb.CAPTURE, 400)
    gateway.capture(capture)
    events = [(event["event_type"], gateway.read_webhook(json.dumps(event))) for event in events_of(paypal, held)]
    of_charge = WebhookEvent(held.reference, held.attempt_id, None)
    assert events == [
        ("CHECKOUT.ORDER.APPROVED", of_charge),
        ("PAYMENT.AUTHORIZATION.CREATED", of_charge),
        ("CHECKOUT.ORDER.COMPLETED", of_charge),
        ("PAYMENT.CAPTURE.COMPLETED", WebhookEvent(held.reference, capture.attempt_id, None)),
    ]
    voided = charged(paypal, gateway, Verb.AUTHORIZE)
    gateway.void(operation(voided, Verb.VOID))
    assert events_of(paypal, voided)[-1]["event_type"] == "PAYMENT.AUTHORIZATION.VOIDED"
    assert read_event(json.dumps(events_of(paypal, voided)[-1])).reference == voided.reference


def test_a_pending_capture_names_its_order_in_a_link(paypal: ProviderBench) -> None:
    pending = paypal.approved_in_scenario("PENDING")
    paypal.gateway().charge(pending, lambda _: None)
    (event,) = [each for each in events_of(paypal, pending) if each["event_type"] == "PAYMENT.CAPTURE.PENDING"]
    assert read_event(json.dumps(event)) == WebhookEvent(pending.reference, pending.attempt_id, None)
    # Without an invoice id, only the link tells which payment it is.
    del event["resource"]["invoice_id"]
    stored = json.dumps(stored_fields(event))
    assert read_event(stored) == WebhookEvent(pending.reference, None, None)


@pytest.mark.parametrize(
    "href",
    [
        "https://api.paypal.com/v2/payments/authorizations/0VF52814937998046",
        "https://api.paypal.com/v2/checkout/orders/",
        "https://api.paypal.com/v2/checkout/orders/5O1/capture",
        "",
        None,
    ],
)
def test_a_link_to_another_object_names_no_order(href: str | None) -> None:
    resource = {"id": "2GG2", "status": "PENDING", "links": [{"rel": "up", "href": href}]}
    assert read_event(json.dumps({"event_type": "PAYMENT.CAPTURE.PENDING", "resource": resource})) is None


def test_a_refund_names_itself_and_its_capture(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    refund = operation(charged(paypal, gateway), Verb.REFUND, 400)
    made = gateway.refund(refund)
    event = paypal.event(made.reference)
    capture_id = paypal.account.payments[made.reference][1].parent
    assert event["event_type"] == "PAYMENT.CAPTURE.REFUNDED"
    assert read_event(json.dumps(event)) == WebhookEvent(made.reference, refund.attempt_id, made, capture_id)


@pytest.mark.parametrize("change", [{"amount": None}, {"amount": "1.10"}, {"status": None}, {"status": 7}])
def test_an_incomplete_refund_event_still_names_its_refund(change: dict[str, Any]) -> None:
    """The refund is looked up: an event that cannot say how it stands must not be dropped."""
    complete = {"id": "1JU0", "status": "COMPLETED", "amount": {"value": "1.10", "currency_code": "EUR"}}
    resource = complete | {"custom_id": "re_1", "invoice_id": "re_1"} | change
    read = read_event(json.dumps({"id": "WH-1", "event_type": "PAYMENT.CAPTURE.REFUNDED", "resource": resource}))
    assert read is not None
    assert (read.reference, read.attempt_id, read.outcome) == ("1JU0", "re_1", None)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("COMPLETED", Approved), ("PENDING", Pending), ("FAILED", Declined), ("CANCELLED", Declined)],
)
def test_a_refund_from_the_dashboard_is_not_the_charge(status: str, outcome: type[Any]) -> None:
    """It repeats the ids of its payment."""
    resource = {
        "id": "1JU08902781691411",
        "status": status,
        "amount": {"value": "1.10", "currency_code": "EUR"},
        "custom_id": "pay_1",
        "invoice_id": "at_1",
        "links": [{"rel": "up", "href": "https://api.paypal.com/v2/payments/captures/7TK53561YB803214S"}],
        "supplementary_data": {"related_ids": {"order_id": "5O190127TN364715T"}},
    }
    event = {"id": "WH-1", "event_type": "PAYMENT.REFUND.X", "resource": resource}
    read = read_event(json.dumps(event))
    assert (read.reference, read.attempt_id) == ("1JU08902781691411", None)
    assert (read.charge_reference, read.payment_id) == ("5O190127TN364715T", "pay_1")
    assert isinstance(read.outcome, outcome)


def test_a_reversed_approval_names_its_order() -> None:
    resource = {"order_id": "5O1", "purchase_units": [{"invoice_id": "at_1"}]}
    event = {"id": "WH-1", "event_type": "CHECKOUT.PAYMENT-APPROVAL.REVERSED", "resource": resource}
    assert read_event(json.dumps(event)) == WebhookEvent("5O1", "at_1", None)


@pytest.mark.parametrize(
    "type",
    [
        "CUSTOMER.DISPUTE.OTHER",
        "BILLING.PLAN.ACTIVATED",
        "PAYMENT.SALE.OTHER",
        "VAULT.PAYMENT-TOKEN.OTHER",
        "PAYMENT.PAYOUTSBATCH.SUCCESS",
    ],
)
def test_an_event_of_another_type_is_only_stored(paypal: ProviderBench, type: str) -> None:
    event = {"id": "WH-1", "event_type": type, "resource": {"id": "X", "custom_id": "pay_1", "invoice_id": "at_1"}}
    sent = paypal.signed(event)
    verified = paypal.gateway().verify_webhook(sent.body, sent.headers, now())
    stored = json.loads(verified.payload)
    assert (verified.event_id, verified.type) == (stored["id"], stored["event_type"]) == ("WH-1", type)
    assert paypal.gateway().read_webhook(verified.payload) is None


def test_a_malformed_event_is_raised_and_names_its_field(paypal: ProviderBench) -> None:
    for field, event in paypal.malformed_events():
        with pytest.raises(MalformedResponse) as raised:
            paypal.gateway().read_webhook(json.dumps(event))
        assert raised.value.field == field


def test_a_malformed_event_with_a_good_signature_is_stored(paypal: ProviderBench) -> None:
    """A refused event would be lost: PayPal stops sending it after three days."""
    sent = paypal.signed({"id": "WH-1", "event_type": "PAYMENT.REFUND.X", "resource": {}})
    assert verify(paypal, sent) == "WH-1"


def test_the_sandbox_delivers_events_that_verify() -> None:
    with (
        replying((200, b"")) as served,
        RunningSandbox(Settings(webhook_url=f"{served.url}/api/v1/payments/webhooks/stripe")) as sandbox,
    ):
        paypal = ProviderBench(sandbox)
        first = charged(paypal, paypal.gateway())
        types = set()
        for _ in range(3):
            sent = served.next()
            verified = paypal.gateway().verify_webhook(sent.raw, sent.headers, now())
            assert sent.path == "/api/v1/payments/webhooks/paypal"
            assert paypal.gateway().read_webhook(verified.payload).reference == first.reference
            types.add(verified.type)
    assert types == {"CHECKOUT.ORDER.APPROVED", "CHECKOUT.ORDER.COMPLETED", "PAYMENT.CAPTURE.COMPLETED"}


def events_of(paypal: ProviderBench, attempt: AttemptRequest) -> list[dict[str, Any]]:
    """Return the events about the order of an attempt, oldest first."""
    return paypal.account.log.about(attempt.reference)
