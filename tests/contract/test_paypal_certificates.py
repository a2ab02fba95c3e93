"""PayPal's certificates: fetched from PayPal only, issued to PayPal by a trusted authority, valid now, and kept."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from domain.errors import WebhookDeferred, WebhookRefused
from gateways.paypal.certificates import (
    Authorities,
    Certificate,
    Certificates,
    Place,
    paypal_place,
    read_authorities,
    sandbox_place,
)
from gateways.paypal.gateway import BASES
from sandbox.paypal import signing
from stack.process import ROOT

from .bench import SECONDS, now
from .benches.paypal import ProviderBench
from .served import ReceivedRequest, Reply, Served, serving

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
        Certificates(paypal_place()).at(url, now())


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


# --- the authorities ---

LIVE_2025 = ROOT / "tests" / "fixtures" / "paypal_webhooks_2025.pem"


def in_2025() -> datetime:
    """Return a moment at which that certificate was the one of PayPal's live webhooks."""
    return x509.load_pem_x509_certificate(LIVE_2025.read_bytes()).not_valid_before_utc + timedelta(days=100)


def test_a_root_is_trusted_and_an_intermediate_only_leads_to_one() -> None:
    authorities = paypal_place().authorities()
    assert authorities.intermediates
    assert all(root.subject == root.issuer for root in authorities.roots)
    names = [each.subject.rfc4514_string() for each in (*authorities.roots, *authorities.intermediates)]
    assert all("O=DigiCert Inc" in name for name in names)
    # certifi no longer has this one.
    assert any("DigiCert High Assurance EV Root CA" in root.subject.rfc4514_string() for root in authorities.roots)


def test_the_shipped_intermediates_lead_to_a_trusted_root() -> None:
    authorities = paypal_place().authorities()
    for intermediate in authorities.intermediates:
        (issuer,) = {root for root in authorities.roots if root.subject == intermediate.issuer}
        intermediate.verify_directly_issued_by(issuer)


def test_the_certificate_that_paypal_served_in_2025_is_trusted_alone(served: Served) -> None:
    place = Place("http", frozenset({served.host}), "/v1/notifications/certs/", paypal_place().authorities)
    served.pages["/v1/notifications/certs/CERT-1"] = (200, LIVE_2025.read_bytes())
    certificates, url = Certificates(place), f"{served.url}/v1/notifications/certs/CERT-1"
    assert found(certificates.at(url, in_2025())).is_trusted
    with pytest.raises(WebhookRefused, match="not valid"):
        Certificates(place).at(url, in_2025() + timedelta(days=365))


def test_without_the_intermediate_that_certificate_is_not_trusted(served: Served) -> None:
    roots = replace(paypal_place().authorities(), intermediates=())
    place = Place("http", frozenset({served.host}), "/v1/notifications/certs/", lambda: roots)
    served.pages["/v1/notifications/certs/CERT-1"] = (200, LIVE_2025.read_bytes())
    assert not found(Certificates(place).at(f"{served.url}/v1/notifications/certs/CERT-1", in_2025())).is_trusted


def test_an_operator_adds_authorities(tmp_path: Path) -> None:
    file, added = tmp_path / "further.pem", signing.new_authority()
    file.write_bytes(b"Our own.\n" + signing.pem(*added.certificates))
    own, further = paypal_place().authorities(), paypal_place(read_authorities(file)).authorities()
    assert further == Authorities((*own.roots, added.root), (*own.intermediates, added.intermediate))


# --- what a certificate must be ---


def place_at(*hosts: str, trusted: signing.Authority | None = None) -> Place:
    """Return PayPal's place for certificates at other hosts."""
    authorities = Authorities.of((trusted or signing.authority()).certificates)
    return Place("http", frozenset(hosts), "/v1/notifications/certs/", lambda: authorities)


def found(certificate: Certificate | None) -> Certificate:
    """Return a certificate that could be fetched."""
    assert certificate is not None
    return certificate


def certificate_of(
    served: Served, pem: bytes, at: datetime | None = None, trusted: signing.Authority | None = None
) -> Certificate:
    """Return a certificate as if it came from PayPal."""
    served.pages["/v1/notifications/certs/CERT-1"] = (200, pem)
    certificates = Certificates(place_at(served.host, trusted=trusted))
    return found(certificates.at(f"{served.url}/v1/notifications/certs/CERT-1", at or now()))


def test_a_good_certificate_is_trusted_without_the_rest_of_its_chain(served: Served) -> None:
    certificate = certificate_of(served, signing.certificate())
    assert certificate.is_trusted
    assert certificate.key == signing.signing_key().public_key()


def test_a_certificate_may_come_with_its_chain(served: Served) -> None:
    roots_only = replace(signing.authority(), intermediate=signing.authority().root)
    pem = signing.certificate() + signing.pem(signing.authority().intermediate)
    assert certificate_of(served, pem, trusted=roots_only).is_trusted
    assert not certificate_of(served, signing.certificate(), trusted=roots_only).is_trusted


def test_a_served_root_is_not_trusted(served: Served) -> None:
    pem = signing.unknown_certificate() + signing.pem(*signing.unknown_authority().certificates)
    assert not certificate_of(served, pem).is_trusted


def test_a_certificate_of_an_unknown_authority_is_not_trusted(served: Served) -> None:
    assert not certificate_of(served, signing.certificate(), trusted=signing.new_authority()).is_trusted


@pytest.mark.parametrize("name", ["evil.example", "messageverificationcerts.paypal.com.evil.example", "www.paypal.com"])
def test_a_certificate_for_another_name_is_refused(served: Served, name: str) -> None:
    issued = signing.pem(signing.authority().issue(signing.signing_key(), name))
    with pytest.raises(WebhookRefused, match="somebody else"):
        certificate_of(served, issued)


@pytest.mark.parametrize("purpose", [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
def test_a_certificate_for_another_purpose_is_refused(served: Served, purpose: Any) -> None:
    issued = signing.pem(signing.authority().issue(signing.signing_key(), purpose=purpose))
    with pytest.raises(WebhookRefused, match="another purpose"):
        certificate_of(served, issued)


@pytest.mark.parametrize("days", [-30, 365 * 11])
def test_a_certificate_is_refused_outside_of_its_dates(served: Served, days: int) -> None:
    with pytest.raises(WebhookRefused, match="not valid"):
        certificate_of(served, signing.certificate(), now() + timedelta(days=days))


@pytest.mark.parametrize(
    "response",
    [
        (302, b"", {"Location": "/v1/notifications/certs/CERT-2"}),
        (301, b"", {"Location": "http://127.0.0.1:9/"}),
        (404, b"no"),
        (200, b""),
        (200, b"not a certificate"),
        (200, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        (200, b" " * 100_000),
    ],
    ids=["redirect", "elsewhere", "missing", "empty", "text", "broken", "large"],
)
def test_a_response_without_a_certificate_is_refused(served: Served, response: Reply) -> None:
    served.pages["/v1/notifications/certs/CERT-2"] = (200, signing.certificate())
    served.pages["/v1/notifications/certs/CERT-1"] = response
    with pytest.raises(WebhookRefused):
        Certificates(place_at(served.host)).at(f"{served.url}/v1/notifications/certs/CERT-1", now())
    assert [fetched.path for fetched in served.requests] == ["/v1/notifications/certs/CERT-1"]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_certificate_that_paypal_does_not_serve_now_is_not_refused(served: Served, status: int) -> None:
    served.pages["/v1/notifications/certs/CERT-1"] = (status, b"later")
    assert Certificates(place_at(served.host)).at(f"{served.url}/v1/notifications/certs/CERT-1", now()) is None


def test_a_certificate_that_cannot_be_fetched_is_not_refused() -> None:
    with serving(lambda fetched: None) as silent:
        place = place_at(silent.host, "127.0.0.1:9")
        for host in (silent.host, "127.0.0.1:9"):
            assert Certificates(place).at(f"http://{host}/v1/notifications/certs/CERT-1", now()) is None


# --- what is kept, and what is fetched ---


def test_a_kept_certificate_is_trusted_until_it_ends(served: Served) -> None:
    pem = signing.pem(signing.unknown_authority().issue(signing.signing_key()))
    served.pages["/v1/notifications/certs/CERT-1"] = (200, pem)
    certificates, url = Certificates(place_at(served.host)), f"{served.url}/v1/notifications/certs/CERT-1"
    first = found(certificates.at(url, now()))
    assert not first.is_trusted
    certificates.keep(url, first)
    for at in (now(), first.ends_at):
        assert certificates.at(url, at) == replace(first, is_trusted=True)
    assert len(served.requests) == 1
    for _ in range(2):
        with pytest.raises(WebhookRefused, match="not valid"):
            certificates.at(url, first.ends_at + timedelta(seconds=1))


def test_an_address_is_fetched_once_a_minute(served: Served) -> None:
    served.pages["/v1/notifications/certs/CERT-1"] = (404, b"no")
    certificates, url = Certificates(place_at(served.host)), f"{served.url}/v1/notifications/certs/CERT-1"
    at = now()
    for seconds in (0, 1, 59, 60, 61):
        with pytest.raises(WebhookRefused, match="no certificate there"):
            certificates.at(url, at + timedelta(seconds=seconds))
    assert len(served.requests) == 2
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    assert found(certificates.at(url, at + timedelta(seconds=120))).is_trusted


def test_threads_that_want_the_same_certificate_wait_for_one_download() -> None:
    may_respond = threading.Event()

    def respond(request: ReceivedRequest) -> Reply:
        may_respond.wait(SECONDS)
        return 200, signing.certificate()

    with serving(respond) as slow, ThreadPoolExecutor(20) as threads:
        certificates, at = Certificates(place_at(slow.host)), now()
        wanted = [threads.submit(certificates.at, f"{slow.url}/v1/notifications/certs/CERT-1", at) for _ in range(20)]
        slow.next()
        may_respond.set()
        assert all(found(each.result(SECONDS)).is_trusted for each in wanted)
        assert len(slow.requests) == 1


def test_a_flood_of_invented_addresses_is_fetched_ten_times_a_minute(served: Served) -> None:
    start, at = f"{served.url}/v1/notifications/certs", now()
    certificates = Certificates(place_at(served.host))
    for n in range(500):
        with pytest.raises((WebhookRefused, WebhookDeferred)):
            certificates.at(f"{start}/CERT-invented-{n}", at)
    assert len(served.requests) == 10
    # One more may be genuine: it comes again later.
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    with pytest.raises(WebhookDeferred, match="too many"):
        certificates.at(f"{start}/CERT-1", at + timedelta(seconds=59))
    assert certificates.at(f"{start}/CERT-1", at + timedelta(seconds=60))


def test_a_flood_neither_blocks_nor_pushes_out_a_kept_certificate(served: Served) -> None:
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    start, at = f"{served.url}/v1/notifications/certs", now()
    certificates = Certificates(place_at(served.host))
    certificates.keep(f"{start}/CERT-1", found(certificates.at(f"{start}/CERT-1", at)))
    for minute in range(20):
        for n in range(20):
            with pytest.raises((WebhookRefused, WebhookDeferred)):
                certificates.at(f"{start}/CERT-invented-{minute}-{n}", at + timedelta(minutes=minute))
    served.pages.clear()
    assert certificates.at(f"{start}/CERT-1", at + timedelta(minutes=20))


def test_of_the_kept_certificates_the_one_in_use_stays(served: Served) -> None:
    start, at = f"{served.url}/v1/notifications/certs", now()
    certificates = Certificates(place_at(served.host))
    served.pages["/v1/notifications/certs/CERT-1"] = (200, signing.certificate())
    certificate = found(certificates.at(f"{start}/CERT-1", at))
    for n in range(200):
        certificates.keep(f"{start}/CERT-alias-{n}", certificate)
        certificates.keep(f"{start}/CERT-1", certificate)
    assert certificates.at(f"{start}/CERT-1", at + timedelta(days=1))
    assert len(served.requests) == 1
