"""PayPal's webhooks: certificates from PayPal only, a signature over the raw body, PayPal asked as the last resort."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from domain.errors import WebhookRefused
from domain.outcome import Approved, Declined, Pending
from domain.payment import Verb
from gateways.base import Notice
from gateways.paypal.certificates import Certificates, Place, Unchecked, paypal_place, sandbox_place, trusted_roots
from gateways.paypal.gateway import BASES
from gateways.paypal.kept import kept
from gateways.paypal.webhooks import Webhooks, notice_of
from sandbox.clock import stamp
from sandbox.paypal import signing
from sandbox.paypal.events import WEBHOOK_ID
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import Webhook, body_of, now
from .benches.paypal import ProviderBench
from .served import Reply, Served, answering, serving
from .test_gateway_operations import call, charged, operation

EVENT = {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": {}}
GOOD = "https://api.paypal.com/v1/notifications/certs/CERT-360caa42-fca2a594-1d93a270"
FORGED = [
    "",
    "http://api.paypal.com/v1/notifications/certs/CERT-1",
    "HTTPS://api.paypal.com/v1/notifications/certs/CERT-1",
    "ftp://api.paypal.com/v1/notifications/certs/CERT-1",
    "file:///v1/notifications/certs/CERT-1",
    "//api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com.evil.example/v1/notifications/certs/CERT-1",
    "https://evil-api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evilapi.paypal.com/v1/notifications/certs/CERT-1",
    "https://www.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypa1.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com@evil.example/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:pass@evil.example/v1/notifications/certs/CERT-1",
    "https://evil.example@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example#@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example\\@api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example/https://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://evil.example?https://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:443/v1/notifications/certs/CERT-1",
    "https://api.paypal.com:8443/v1/notifications/certs/CERT-1",
    "https://api.paypal.com./v1/notifications/certs/CERT-1",
    "https://API.PAYPAL.COM/v1/notifications/certs/CERT-1",
    "https://api.paypal.com%2eevil.example/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/",
    "https://api.paypal.com/v1/notifications/certs",
    "https://api.paypal.com/v1/notifications/certsevil/CERT-1",
    "https://api.paypal.com/v1/notifications/other/CERT-1",
    "https://api.paypal.com/evil/v1/notifications/certs/CERT-1",
    "https://api.paypal.com//v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/../webhooks",
    "https://api.paypal.com/v1/notifications/certs/..",
    "https://api.paypal.com/v1/notifications/certs/%2e%2e%2fwebhooks",
    "https://api.paypal.com/v1/notifications/certs/a/b",
    "https://api.paypal.com/v1/notifications/certs/CERT-1?redirect=https://evil.example",
    "https://api.paypal.com/v1/notifications/certs/CERT-1#x",
    "https://api.paypal.com/v1/notifications/certs/CERT-1\n",
    "https://api.paypal.com/v1/notifications/certs/CERT-1\r\nHost: evil.example",
    " https://api.paypal.com/v1/notifications/certs/CERT-1",
    "https://api.paypal.com/v1/notifications/certs/CERT-\u0661",
]


@pytest.fixture
def paypal(sandbox: RunningSandbox) -> Iterator[ProviderBench]:
    """PayPal's bench."""
    yield ProviderBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def questions(paypal: ProviderBench, sandbox: RunningSandbox) -> Callable[[], int]:
    """How often PayPal was asked for its opinion: the hits of a fault that does nothing."""
    fault = sandbox.state.faults.add("paypal.webhooks.verify", "latency", times=None, seconds=0.0)
    return lambda: fault.hits


def verify(paypal: ProviderBench, sent: Webhook, **changes: Any) -> str:
    """Return the id of a delivery that is believed."""
    return paypal.gateway(**changes).verify_webhook(sent.body, sent.headers, now()).event_id


# --- where a certificate may come from ---


@pytest.mark.parametrize("host", ["api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com"])
def test_certificates_of_paypal(host: str) -> None:
    assert paypal_place().allows(GOOD.replace("api.paypal.com", host))


@pytest.mark.parametrize("url", FORGED)
def test_certificates_from_elsewhere(url: str) -> None:
    assert not paypal_place().allows(url)
    with pytest.raises(WebhookRefused):
        Certificates(paypal_place()).key(url, now())


@pytest.mark.parametrize(
    ("changes", "is_own"),
    [
        ({}, True),
        ({"is_live": True}, False),
        ({"base": BASES["sandbox"]}, False),
        ({"base": BASES["live"]}, False),
    ],
)
def test_only_an_imitation_brings_its_own_certificates(
    paypal: ProviderBench, changes: dict[str, Any], is_own: bool
) -> None:
    sent = paypal.signed(EVENT)
    if is_own:
        assert verify(paypal, sent, **changes) == "WH-1"
    else:
        with pytest.raises(WebhookRefused, match="elsewhere"):
            verify(paypal, sent, **changes)


def test_another_imitation_is_elsewhere(paypal: ProviderBench) -> None:
    place = sandbox_place("http://127.0.0.1:9/paypal")
    assert not place.allows(paypal.signed(EVENT).headers["Paypal-Cert-Url"])


def test_the_authorities_are_those_of_paypals_issuer() -> None:
    assert trusted_roots()
    assert all("DigiCert" in root.subject.rfc4514_string() for root in trusted_roots())


# --- what a certificate must be ---


def chained(
    served: Served, certificate: bytes, at: datetime | None = None, trusted: signing.Authority | None = None
) -> object:
    """Check a certificate as if it came from PayPal."""
    served.pages["/v1/notifications/certs/CERT-1"] = (200, certificate)
    roots = (trusted or signing.authority()).certificate
    place = Place("http", frozenset({served.host}), "/v1/notifications/certs/", lambda: (roots,))
    return Certificates(place).key(f"{served.url}/v1/notifications/certs/CERT-1", at or now())


@pytest.fixture
def served() -> Iterator[Served]:
    """A server of files."""
    with serving(lambda asked: served.pages.get(asked.path, (404, b""))) as served:
        yield served


def test_a_good_certificate(served: Served) -> None:
    assert chained(served, signing.certificate())


def test_a_certificate_of_an_unknown_authority_cannot_be_checked(served: Served) -> None:
    with pytest.raises(Unchecked):
        chained(served, signing.certificate(), trusted=signing.new_authority())


@pytest.mark.parametrize("name", ["evil.example", "messageverificationcerts.paypal.com.evil.example", "www.paypal.com"])
def test_a_certificate_of_somebody_else(served: Served, name: str) -> None:
    issued = signing.pem(signing.authority().issue(signing.signing_key(), name))
    with pytest.raises(WebhookRefused, match="somebody else"):
        chained(served, issued)


@pytest.mark.parametrize("days", [-30, 365 * 11])
def test_a_certificate_at_another_time(served: Served, days: int) -> None:
    with pytest.raises(WebhookRefused, match="not valid"):
        chained(served, signing.certificate(), now() + timedelta(days=days))


def test_a_certificate_that_was_good_and_has_expired(served: Served) -> None:
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    place = Place(
        "http",
        frozenset({served.host}),
        "/v1/notifications/certs/",
        lambda: (signing.authority().certificate,),
    )
    certificates, url = Certificates(place), f"{served.url}/v1/notifications/certs/CERT-1"
    assert certificates.key(url, now()) == certificates.key(url, now())
    assert len(served.asked) == 1  # kept by its address
    with pytest.raises(WebhookRefused, match="not valid"):
        certificates.key(url, now() + timedelta(days=365 * 11))


@pytest.mark.parametrize(
    "answer",
    [
        (302, b"", {"Location": "/v1/notifications/certs/CERT-2"}),
        (301, b"", {"Location": "http://127.0.0.1:9/"}),
        (404, b"no"),
        (503, b""),
        (200, b""),
        (200, b"not a certificate"),
        (200, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        (200, b" " * 100_000),
    ],
    ids=["redirect", "elsewhere", "missing", "trouble", "empty", "text", "broken", "large"],
)
def test_what_is_no_certificate_is_refused(served: Served, answer: Reply) -> None:
    served.pages["/v1/notifications/certs/CERT-2"] = (200, signing.certificate())
    served.pages["/v1/notifications/certs/CERT-1"] = answer
    place = Place("http", frozenset({served.host}), "/v1/notifications/certs/", lambda: ())
    with pytest.raises(WebhookRefused):
        Certificates(place).key(f"{served.url}/v1/notifications/certs/CERT-1", now())
    assert [asked.path for asked in served.asked] == ["/v1/notifications/certs/CERT-1"]


def test_a_certificate_that_nobody_brings_cannot_be_checked() -> None:
    with serving(lambda asked: None) as silent:
        place = Place("http", frozenset({silent.host, "127.0.0.1:9"}), "/v1/notifications/certs/", lambda: ())
        for host in (silent.host, "127.0.0.1:9"):
            with pytest.raises(Unchecked):
                Certificates(place).key(f"http://{host}/v1/notifications/certs/CERT-1", now())


def test_invented_addresses_are_fetched_ten_times_a_minute(served: Served) -> None:
    start = f"{served.url}/v1/notifications/certs"
    roots = (signing.authority().certificate,)
    certificates = Certificates(
        Place("http", frozenset({served.host}), "/v1/notifications/certs/", lambda: roots)
    )
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    at = now()
    certificates.key(f"{start}/CERT-1", at)
    for n in range(20):
        with pytest.raises(WebhookRefused):
            certificates.key(f"{start}/CERT-invented-{n}", at)
    assert len(served.asked) == 10
    assert certificates.key(f"{start}/CERT-1", at)  # known ones are none of them
    served.pages["/v1/notifications/certs/CERT-2"] = (200, signing.certificate())
    with pytest.raises(WebhookRefused, match="too many"):
        certificates.key(f"{start}/CERT-2", at + timedelta(seconds=59))
    assert certificates.key(f"{start}/CERT-2", at + timedelta(seconds=60))


# --- the signature ---


def test_the_signed_text_is_put_together_as_documented(served: Served) -> None:
    """id|time|webhook id|CRC-32 as an unsigned decimal; this body's is above 2**31."""
    body, key = json.dumps(EVENT | {"n": 3}).encode(), signing.signing_key()
    assert zlib.crc32(body) > 2**31
    at = now()
    sent_at, later = stamp(at.timestamp() - 60), stamp(at.timestamp() - 59)
    text = f"69cd13f0|{sent_at}|WH-REG|{zlib.crc32(body)}".encode()
    headers = {
        "Paypal-Auth-Algo": "SHA256withRSA",
        "Paypal-Cert-Url": f"{served.url}/v1/notifications/certs/CERT-1",
        "Paypal-Transmission-Id": "69cd13f0",
        "Paypal-Transmission-Time": sent_at,
        "Paypal-Transmission-Sig": base64.b64encode(key.sign(text, padding.PKCS1v15(), hashes.SHA256())).decode(),
    }
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    roots = (signing.authority().certificate,)
    place = Place("http", frozenset({served.host}), "/v1/notifications/certs/", lambda: roots)
    webhooks = Webhooks("WH-REG", Certificates(place), lambda question: pytest.fail("asked PayPal"))
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


def test_a_good_delivery_is_checked_here(paypal: ProviderBench, questions: Callable[[], int]) -> None:
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


def test_another_merchants_webhook(paypal: ProviderBench) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(EVENT, webhook_id="8SOMEBODYELSE"))
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(EVENT), webhook_id="8SOMEBODYELSE")


@pytest.mark.parametrize("webhook_id", [None, ""])
def test_without_a_webhook_id_nothing_is_believed(paypal: ProviderBench, webhook_id: str | None) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(EVENT, webhook_id=webhook_id or ""), webhook_id=webhook_id)


@pytest.mark.parametrize(("seconds", "is_good"), [(-3 * 86400 + 60, True), (-3 * 86400 - 60, False), (290, True)])
def test_paypal_tries_for_three_days(paypal: ProviderBench, seconds: float, is_good: bool) -> None:
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
def test_an_event_without_a_usable_name(paypal: ProviderBench, event: Any) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(event))


# --- PayPal's own opinion ---


def elsewhere(sent: Webhook, id: str = signing.UNKNOWN_CERTIFICATE_ID) -> Webhook:
    """Return a delivery with another certificate, by default with one whose authority is not known."""
    start = sent.headers["Paypal-Cert-Url"].rpartition("/")[0]
    return replace(sent, headers={**sent.headers, "Paypal-Cert-Url": f"{start}/{id}"})


def test_paypal_is_not_asked_about_a_certificate_that_there_is_not(
    paypal: ProviderBench, questions: Callable[[], int]
) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, elsewhere(paypal.signed(EVENT), "CERT-invented"))
    assert questions() == 0


def test_paypal_is_asked_when_the_certificate_cannot_be_checked(
    paypal: ProviderBench, questions: Callable[[], int]
) -> None:
    # Spaces and order that a body written anew would not keep.
    body = b'{ "event_type":"CUSTOMER.DISPUTE.CREATED",\n "id" : "WH-1", "amount": 1.10, "n": "\\u00e4"  }'
    assert verify(paypal, elsewhere(paypal.signed(body))) == "WH-1"
    assert questions() == 1


@pytest.mark.parametrize("changes", [{"is_forged": True}, {"webhook_id": "8SOMEBODYELSE"}])
def test_paypal_does_not_know_it(paypal: ProviderBench, questions: Callable[[], int], changes: dict[str, Any]) -> None:
    with pytest.raises(WebhookRefused):
        verify(paypal, elsewhere(paypal.signed(EVENT, **changes)))
    assert questions() == 1


@pytest.mark.parametrize("fault", ["error_before", "reset_before", "timeout_after", "rate_limit"])
def test_paypal_cannot_be_asked(paypal: ProviderBench, sandbox: RunningSandbox, fault: Any) -> None:
    sandbox.state.faults.add("paypal.webhooks.verify", fault, seconds=5.0)
    with pytest.raises(WebhookRefused):
        verify(paypal, elsewhere(paypal.signed(EVENT)))
    assert verify(paypal, elsewhere(paypal.signed(EVENT))) == "WH-1"


# --- a body of which only the CRC is signed ---


def with_checksum(start: bytes, end: bytes, wanted: int) -> bytes:
    """Return a body with this CRC-32, by the letters between start and end: each changes bits of its own."""
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
BELIEVED = {"CUSTOMER.DISPUTE.RESOLVED": DISPUTE, "PAYMENT.CAPTURE.REFUNDED": REFUND}


class OneKey:
    """Certificates of which every address has the sandbox's."""

    def key(self, url: str, now: datetime) -> rsa.RSAPublicKey:
        """Return its key."""
        return signing.signing_key().public_key()


@pytest.mark.parametrize("kind", BELIEVED)
def test_what_is_believed_is_not_proven_by_a_checksum(kind: str) -> None:
    body, asked = body_of({"id": "WH-1", "event_type": "CHECKOUT.ORDER.APPROVED", "resource": ORDER}), []
    headers = signing.headers(body, WEBHOOK_ID, now().timestamp(), "http://sandbox")
    webhooks = Webhooks(WEBHOOK_ID, OneKey(), lambda question: asked.append(question) or False)
    assert webhooks.verify(body, headers, now()).event_id == "WH-1"
    event = body_of({"id": "WH-2", "event_type": kind, "resource": BELIEVED[kind]})
    forged = with_checksum(event[:-1] + b', "x": "', b'"}', zlib.crc32(body))
    assert zlib.crc32(forged) == zlib.crc32(body)
    assert asked == []
    with pytest.raises(WebhookRefused, match="does not know"):
        webhooks.verify(forged, headers, now())
    assert [forged in question for question in asked] == [True]


@pytest.mark.parametrize("kind", BELIEVED)
def test_what_is_believed_is_confirmed_by_paypal(
    paypal: ProviderBench, sandbox: RunningSandbox, questions: Callable[[], int], kind: str
) -> None:
    event = {"id": "WH-1", "event_type": kind, "resource": BELIEVED[kind]}
    assert verify(paypal, paypal.signed(event)) == "WH-1"
    assert questions() == 1
    assert verify(paypal, elsewhere(paypal.signed(event))) == "WH-1"
    assert questions() == 2  # not twice
    sandbox.state.faults.clear()
    sandbox.state.faults.add("paypal.webhooks.verify", "error_before")
    with pytest.raises(WebhookRefused):
        verify(paypal, paypal.signed(event))


# --- what is stored ---

PERSONAL = {
    "payer": {"email_address": "canary", "payer_id": "canary", "name": {"given_name": "canary"}},
    "payment_source": {"paypal": {"email_address": "canary", "account_id": "canary", "vault_id": "canary"}},
    "subscriber": {"email_address": "canary"},
    "shipping": {"address": {"address_line_1": "canary"}},
    "shipping_address": "canary",
    "note_to_payer": "canary",
    "custom_id": "canary jo@example.org",
    "invoice_id": "Jo Canary canary",
    "amount": {"value": "10.00", "currency_code": "EUR", "note": "canary"},
    "disputed_transactions": [{"buyer": {"name": "canary"}, "custom": "canary@x", "seller": {"email": "canary"}}],
    "customer": {"email_address": "canary", "name": "canary"},
    "metadata": {"order_id": "O1", "more": "canary"},
}
PREFIXES = ("CHECKOUT.ORDER.X", "PAYMENT.CAPTURE.REFUNDED", "PAYMENT.SALE.COMPLETED", "CUSTOMER.DISPUTE.CREATED")


@pytest.mark.parametrize("kind", [*PREFIXES, "BILLING.SUBSCRIPTION.CREATED", "VAULT.X.Y", "VAULT", "OTHER.X", "canary"])
def test_neither_persons_nor_credentials_are_stored(kind: str) -> None:
    event = {"id": "WH-1", "event_type": kind, "summary": "canary", "resource": PERSONAL, "links": ["canary"]}
    assert "canary" not in json.dumps(kept(event)).replace('"event_type": "canary"', "")


@pytest.mark.parametrize("kind", ["VAULT.PAYMENT-TOKEN.CREATED", "VAULT.PAYMENT-TOKEN.DELETED", "VAULT.NEW"])
def test_what_can_be_charged_is_not_stored(paypal: ProviderBench, kind: str) -> None:
    token = {
        "id": "8kk8451t",
        "customer": {"id": "customer_1"},
        "links": [{"rel": "self", "href": "https://api.paypal.com/v3/vault/payment-tokens/8kk8451t"}],
    }
    sent = paypal.signed({"id": "WH-1", "event_type": kind, "resource": token})
    delivery = paypal.gateway().verify_webhook(sent.body, sent.headers, now())
    assert json.loads(delivery.payload)["resource"] == {"customer": {"id": "customer_1"}}


def test_what_is_stored_says_as_much_as_what_came(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    for verb in (Verb.CHARGE, Verb.AUTHORIZE):
        first = charged(paypal, gateway, verb)
        then = operation(first, Verb.REFUND if verb is Verb.CHARGE else Verb.CAPTURE, 400)
        outcome = call(gateway, then)
        events = [*events_of(paypal, first), paypal.event(outcome.reference)]
        assert len(events) > 3
        for event in events:
            assert notice_of(json.dumps(kept(event))) == notice_of(json.dumps(event)) is not None


# --- what they say ---


def test_every_stage_of_a_payment_is_told(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    held = charged(paypal, gateway, Verb.AUTHORIZE)
    capture = operation(held, Verb.CAPTURE, 400)
    gateway.capture(capture)
    told = [(event["event_type"], gateway.read_webhook(json.dumps(event))) for event in events_of(paypal, held)]
    ours = Notice(held.reference, held.attempt_id, None)
    assert told == [
        ("CHECKOUT.ORDER.APPROVED", ours),
        ("PAYMENT.AUTHORIZATION.CREATED", ours),
        ("CHECKOUT.ORDER.COMPLETED", ours),
        ("PAYMENT.CAPTURE.COMPLETED", Notice(held.reference, capture.attempt_id, None)),
    ]
    voided = charged(paypal, gateway, Verb.AUTHORIZE)
    gateway.void(operation(voided, Verb.VOID))
    assert events_of(paypal, voided)[-1]["event_type"] == "PAYMENT.AUTHORIZATION.VOIDED"
    assert notice_of(json.dumps(events_of(paypal, voided)[-1])).reference == voided.reference


def test_a_refund_names_itself_and_its_capture(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    asked = operation(charged(paypal, gateway), Verb.REFUND, 400)
    made = gateway.refund(asked)
    event = paypal.event(made.reference)
    capture_id = paypal.account.payments[made.reference][1].parent
    assert event["event_type"] == "PAYMENT.CAPTURE.REFUNDED"
    assert notice_of(json.dumps(event)) == Notice(made.reference, asked.attempt_id, made, capture_id)


@pytest.mark.parametrize(
    ("status", "outcome"),
    [("COMPLETED", Approved), ("PENDING", Pending), ("FAILED", Declined), ("CANCELLED", Declined)],
)
def test_a_refund_of_the_dashboard_is_not_taken_for_the_charge(status: str, outcome: type[Any]) -> None:
    """It repeats what its payment was called."""
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
    notice = notice_of(json.dumps(event))
    assert (notice.reference, notice.attempt_id) == ("1JU08902781691411", None)
    assert (notice.charge_reference, notice.payment_id) == ("5O190127TN364715T", "pay_1")
    assert isinstance(notice.outcome, outcome)


def test_an_approval_that_lapsed_names_its_order() -> None:
    resource = {"order_id": "5O1", "purchase_units": [{"invoice_id": "at_1"}]}
    event = {"id": "WH-1", "event_type": "CHECKOUT.PAYMENT-APPROVAL.REVERSED", "resource": resource}
    assert notice_of(json.dumps(event)) == Notice("5O1", "at_1", None)


@pytest.mark.parametrize(
    "kind",
    [
        "CUSTOMER.DISPUTE.OTHER",
        "BILLING.PLAN.ACTIVATED",
        "PAYMENT.SALE.OTHER",
        "VAULT.PAYMENT-TOKEN.DELETION-INITIATED",
        "PAYMENT.PAYOUTSBATCH.SUCCESS",
    ],
)
def test_what_is_only_stored(paypal: ProviderBench, kind: str) -> None:
    event = {"id": "WH-1", "event_type": kind, "resource": {"id": "X", "custom_id": "pay_1", "invoice_id": "at_1"}}
    sent = paypal.signed(event)
    delivery = paypal.gateway().verify_webhook(sent.body, sent.headers, now())
    stored = json.loads(delivery.payload)
    assert (delivery.event_id, delivery.type) == (stored["id"], stored["event_type"]) == ("WH-1", kind)
    assert paypal.gateway().read_webhook(delivery.payload) is None


def test_what_the_imitation_delivers_is_believed() -> None:
    with answering((200, b"")) as served, RunningSandbox(
        Settings(webhook_url=f"{served.url}/api/v1/payments/webhooks/stripe")
    ) as sandbox:
        paypal = ProviderBench(sandbox)
        first = charged(paypal, paypal.gateway())
        types = set()
        for _ in range(3):
            came = served.next()
            delivery = paypal.gateway().verify_webhook(came.raw, came.headers, now())
            assert came.path == "/api/v1/payments/webhooks/paypal"
            assert paypal.gateway().read_webhook(delivery.payload).reference == first.reference
            types.add(delivery.type)
    assert types == {"CHECKOUT.ORDER.APPROVED", "CHECKOUT.ORDER.COMPLETED", "PAYMENT.CAPTURE.COMPLETED"}


def events_of(paypal: ProviderBench, asked: Any) -> list[dict[str, Any]]:
    """Return the events about an order, oldest first."""
    return paypal.account.log.about(asked.reference)
