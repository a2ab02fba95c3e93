"""The HTTP session of every gateway: verified certificates, and TLS 1.2 or newer, also through a proxy."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import stripe
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.outcome import NotSent
from gateways.failures import CallFailed, FailureKind
from gateways.http import make_session
from gateways.json_api import JsonApi
from gateways.stripe.gateway import StripeGateway
from sandbox.paypal.signing import new_authority

from .bench import SECONDS
from .served import Served, serving
from .test_stripe_responses import ATTEMPT

# OpenSSL checks the dates of certificates by the system's clock.
pytestmark = pytest.mark.openssl

AUTHORITY = new_authority()
KEY = rsa.generate_private_key(65537, 2048)
VERSIONS = ssl.TLSVersion
OLD_VERSIONS = [version for version in (VERSIONS.TLSv1, VERSIONS.TLSv1_1) if getattr(ssl, f"HAS_{version.name}")]


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The file of the authority that a client has to trust."""
    file = tmp_path / "authority.pem"
    file.write_bytes(b"".join(each.public_bytes(Encoding.PEM) for each in AUTHORITY.certificates))
    return file


@pytest.fixture
def identity(tmp_path: Path) -> Path:
    """The file of the server's certificate for localhost and of its key."""
    file = tmp_path / "server.pem"
    key = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(AUTHORITY.issue(KEY, "localhost").public_bytes(Encoding.PEM) + key)
    return file


@contextmanager
def serving_tls(identity: Path, newest: ssl.TLSVersion) -> Iterator[Served]:
    """Serve over TLS of at most this version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # OpenSSL 3 offers the old versions only at its lowest security level.
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = min(newest, VERSIONS.TLSv1_2)
    context.maximum_version = newest
    context.load_cert_chain(identity)
    with serving(lambda request: (200, {}), context) as served:
        yield served


def trusting(url: str, bundle: Path) -> JsonApi:
    """Return an API whose session trusts the authority."""
    api = JsonApi(url, 2)
    api._session.verify = str(bundle)
    return api


@pytest.mark.parametrize("version", [VERSIONS.TLSv1_2, VERSIONS.TLSv1_3], ids=lambda version: version.name)
def test_a_trusted_certificate_over_a_new_version_is_accepted(
    identity: Path, bundle: Path, version: ssl.TLSVersion
) -> None:
    with serving_tls(identity, version) as served:
        assert trusting(served.url, bundle).send("GET", "/").body == {}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", OLD_VERSIONS, ids=lambda version: version.name)
def test_an_old_version_is_refused_before_a_request_is_sent(
    identity: Path, bundle: Path, version: ssl.TLSVersion
) -> None:
    with serving_tls(identity, version) as served:
        with pytest.raises(CallFailed):
            trusting(served.url, bundle).send("POST", "/", json={"secret": 1})
        assert served.requests == []


def test_an_untrusted_certificate_is_refused_before_a_request_is_sent(identity: Path) -> None:
    with serving_tls(identity, VERSIONS.TLSv1_3) as served:
        with pytest.raises(CallFailed) as failed:
            JsonApi(served.url, 2).send("POST", "/", json={"secret": 1})
        outcome = StripeGateway("sk_test_x", base=served.url, read_seconds=SECONDS).charge(ATTEMPT, lambda _: None)
        assert served.requests == []
    assert failed.value.kind is FailureKind.NOT_EXECUTED
    assert outcome == NotSent("unreachable", reference=ATTEMPT.reference)


def test_a_certificate_for_another_host_is_refused(identity: Path, bundle: Path) -> None:
    with serving_tls(identity, VERSIONS.TLSv1_3) as served, pytest.raises(CallFailed):
        trusting(served.url.replace("localhost", "127.0.0.1"), bundle).send("GET", "/")
    assert served.requests == []


def test_no_variable_of_the_environment_changes_what_is_trusted(
    identity: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.setenv(name, str(bundle))
    with serving_tls(identity, VERSIONS.TLSv1_3) as served, pytest.raises(CallFailed):
        JsonApi(served.url, 2).send("GET", "/")


def test_stripe_is_called_through_the_same_session(
    identity: Path, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stripe, "ca_bundle_path", str(bundle))
    with serving_tls(identity, VERSIONS.TLSv1_3) as served:
        StripeGateway("sk_test_x", base=served.url, read_seconds=SECONDS).retrieve(ATTEMPT)
    assert [request.path.split("?")[0] for request in served.requests] == ["/v1/payment_intents/pi_1"]


@pytest.mark.parametrize("proxy", ["http://proxy.example:3128", "https://proxy.example:3128"])
def test_the_oldest_version_is_the_same_through_a_proxy(proxy: str) -> None:
    adapter = make_session("https://api.example").get_adapter("https://api.example")
    for manager in (adapter.poolmanager, adapter.proxy_manager_for(proxy)):
        pool = manager.connection_from_host("api.example", 443, "https")
        assert pool.ssl_minimum_version == VERSIONS.TLSv1_2
