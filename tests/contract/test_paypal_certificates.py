"""PayPal's certificates: fetched from PayPal only, issued to PayPal by a trusted authority, valid now, and cached."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from domain.errors import WebhookRefused
from gateways.paypal.certificates import Certificates, Place, Unchecked, paypal_place, sandbox_place, trusted_roots
from gateways.paypal.gateway import BASES
from sandbox.paypal import signing

from .bench import now
from .benches.paypal import ProviderBench
from .served import Reply, Served, serving

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


# --- where a certificate may come from ---


@pytest.mark.parametrize("host", ["api.paypal.com", "api-m.paypal.com", "api.sandbox.paypal.com"])
def test_a_certificate_of_paypal_is_allowed(host: str) -> None:
    assert paypal_place().allows(GOOD.replace("api.paypal.com", host))


@pytest.mark.parametrize("url", FORGED)
def test_a_certificate_from_another_address_is_refused(url: str) -> None:
    assert not paypal_place().allows(url)
    with pytest.raises(WebhookRefused):
        Certificates(paypal_place()).key(url, now())


@pytest.mark.parametrize(
    ("changes", "may_be_simulated"),
    [
        ({}, True),
        ({"is_live": True}, False),
        ({"base": BASES["sandbox"]}, False),
        ({"base": BASES["live"]}, False),
    ],
)
def test_only_a_sandbox_brings_its_own_certificates(
    paypal: ProviderBench, changes: dict[str, Any], may_be_simulated: bool
) -> None:
    sent, gateway = paypal.signed(EVENT), paypal.gateway(**changes)
    if may_be_simulated:
        assert gateway.verify_webhook(sent.body, sent.headers, now()).event_id == "WH-1"
    else:
        with pytest.raises(WebhookRefused, match="elsewhere"):
            gateway.verify_webhook(sent.body, sent.headers, now())


def test_the_certificate_of_another_sandbox_is_refused(paypal: ProviderBench) -> None:
    place = sandbox_place("http://127.0.0.1:9/paypal")
    assert not place.allows(paypal.signed(EVENT).headers["Paypal-Cert-Url"])


def test_the_trusted_authorities_are_those_of_paypals_issuer() -> None:
    assert trusted_roots()
    assert all("DigiCert" in root.subject.rfc4514_string() for root in trusted_roots())


# --- what a certificate must be ---


def place_at(*hosts: str, trusted: signing.Authority | None = None) -> Place:
    """Return PayPal's place for certificates at other hosts."""
    root = (trusted or signing.authority()).certificate
    return Place("http", frozenset(hosts), "/v1/notifications/certs/", lambda: (root,))


def key_of(
    served: Served, certificate: bytes, at: datetime | None = None, trusted: signing.Authority | None = None
) -> object:
    """Return the key of a certificate as if it came from PayPal."""
    served.pages["/v1/notifications/certs/CERT-1"] = (200, certificate)
    certificates = Certificates(place_at(served.host, trusted=trusted))
    return certificates.key(f"{served.url}/v1/notifications/certs/CERT-1", at or now())


def test_a_good_certificate(served: Served) -> None:
    assert key_of(served, signing.certificate())


def test_a_certificate_of_an_unknown_authority_cannot_be_checked(served: Served) -> None:
    with pytest.raises(Unchecked):
        key_of(served, signing.certificate(), trusted=signing.new_authority())


@pytest.mark.parametrize("name", ["evil.example", "messageverificationcerts.paypal.com.evil.example", "www.paypal.com"])
def test_a_certificate_for_another_name_is_refused(served: Served, name: str) -> None:
    issued = signing.pem(signing.authority().issue(signing.signing_key(), name))
    with pytest.raises(WebhookRefused, match="somebody else"):
        key_of(served, issued)


@pytest.mark.parametrize("days", [-30, 365 * 11])
def test_a_certificate_is_refused_outside_of_its_dates(served: Served, days: int) -> None:
    with pytest.raises(WebhookRefused, match="not valid"):
        key_of(served, signing.certificate(), now() + timedelta(days=days))


def test_a_cached_certificate_expires(served: Served) -> None:
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    certificates, url = Certificates(place_at(served.host)), f"{served.url}/v1/notifications/certs/CERT-1"
    assert certificates.key(url, now()) == certificates.key(url, now())
    assert len(served.requests) == 1  # cached by its address
    with pytest.raises(WebhookRefused, match="not valid"):
        certificates.key(url, now() + timedelta(days=365 * 11))


@pytest.mark.parametrize(
    "response",
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
    ids=["redirect", "elsewhere", "missing", "error", "empty", "text", "broken", "large"],
)
def test_a_response_without_a_certificate_is_refused(served: Served, response: Reply) -> None:
    served.pages["/v1/notifications/certs/CERT-2"] = (200, signing.certificate())
    served.pages["/v1/notifications/certs/CERT-1"] = response
    with pytest.raises(WebhookRefused):
        Certificates(place_at(served.host)).key(f"{served.url}/v1/notifications/certs/CERT-1", now())
    assert [fetched.path for fetched in served.requests] == ["/v1/notifications/certs/CERT-1"]


def test_a_certificate_that_cannot_be_fetched_cannot_be_checked() -> None:
    with serving(lambda fetched: None) as silent:
        place = place_at(silent.host, "127.0.0.1:9")
        for host in (silent.host, "127.0.0.1:9"):
            with pytest.raises(Unchecked):
                Certificates(place).key(f"http://{host}/v1/notifications/certs/CERT-1", now())


def test_new_addresses_are_fetched_ten_times_a_minute(served: Served) -> None:
    start = f"{served.url}/v1/notifications/certs"
    certificates = Certificates(place_at(served.host))
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    at = now()
    certificates.key(f"{start}/CERT-1", at)
    for n in range(20):
        with pytest.raises(WebhookRefused):
            certificates.key(f"{start}/CERT-invented-{n}", at)
    assert len(served.requests) == 10
    assert certificates.key(f"{start}/CERT-1", at)  # it is cached, and does not count
    served.pages["/v1/notifications/certs/CERT-2"] = (200, signing.certificate())
    with pytest.raises(WebhookRefused, match="too many"):
        certificates.key(f"{start}/CERT-2", at + timedelta(seconds=59))
    assert certificates.key(f"{start}/CERT-2", at + timedelta(seconds=60))
