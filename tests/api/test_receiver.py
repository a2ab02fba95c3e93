"""The receiver: verify the raw body, store the event once, publish; record a forgery without its content."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from sqlalchemy import select

from models.tables import events, webhook_events
from sandbox.paypal import signing
from tests.contract.bench import Webhook
from tests.contract.benches.paypal import ProviderBench
from tests.system import WEBHOOK_SECRETS
from webhooks import receiver

from .api_system import ApiSystem, assert_problem, unique

PATH = "/webhooks/stripe"


@pytest.fixture(autouse=True)
def _every_refusal_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The note of a refusal is made once a second; a test must not hide another one's."""
    monkeypatch.setattr("webhooks.receiver._last_refusal", {})


def event(**changes: Any) -> bytes:
    body = {"id": unique("evt"), "type": "customer.created", "livemode": False, "data": {"object": {}}}
    return json.dumps(body | changes).encode()


def sign(body: bytes, at: float, secret: str = WEBHOOK_SECRETS[0]) -> str:
    stamp = int(at)
    digest = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={stamp},v1={digest}"


def send(api: ApiSystem, body: bytes, *, secret: str = WEBHOOK_SECRETS[0], seconds: float = 0) -> Any:
    signature = sign(body, api.now().timestamp() + seconds, secret)
    return api.post(PATH, body, caller=None, Stripe_Signature=signature)


def stored(api: ApiSystem, body: bytes) -> list[Any]:
    return api.query(select(webhook_events).where(webhook_events.c.event_id == json.loads(body)["id"]))


def last_event(api: ApiSystem) -> Any:
    return api.query(select(events).order_by(events.c.id.desc()).limit(1))[0]


@pytest.mark.parametrize("secret", WEBHOOK_SECRETS)
def test_a_verified_event_is_stored_as_received_and_published(api: ApiSystem, secret: str) -> None:
    body = event()
    response = send(api, body, secret=secret)
    assert (response.status_code, response.json) == (200, {"received": True})
    (row,) = stored(api, body)
    assert (row.provider, row.type, row.status, row.payload) == ("stripe", "customer.created", "stored", body.decode())
    assert row.due_at is not None
    assert api.messages == [("payments.webhook", row.id)]


def test_a_duplicate_is_stored_and_published_once(api: ApiSystem) -> None:
    body = event()
    assert [send(api, body).status_code for _ in range(3)] == [200, 200, 200]
    assert len(stored(api, body)) == 1
    assert len(api.messages) == 1


def test_the_provider_needs_no_api_key(api: ApiSystem) -> None:
    body = event()
    signature = sign(body, api.now().timestamp())
    response = api.post(PATH, body, caller=None, Authorization="Bearer nonsense", Stripe_Signature=signature)
    assert response.status_code == 200


FORGERIES = {
    "wrong secret": lambda body, now: sign(body, now, "whsec_wrong"),
    "other body": lambda body, now: sign(body + b" ", now),
    "too old": lambda body, now: sign(body, now - 301),
    "from the future": lambda body, now: sign(body, now + 301),
    "no signature": lambda body, now: None,
    "empty": lambda body, now: "",
    "nonsense": lambda body, now: "nonsense",
    "no stamp": lambda body, now: sign(body, now).split(",")[1],
    "stamp is no number": lambda body, now: "t=x,v1=" + "0" * 64,
    "huge stamp": lambda body, now: f"t={10**30},v1=" + "0" * 64,
    "only v0": lambda body, now: sign(body, now).replace("v1=", "v0="),
    "not ASCII": lambda body, now: "t=1,v1=ü",
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_forgery_is_recorded_without_its_content(
    api: ApiSystem, forgery: str, caplog: pytest.LogCaptureFixture
) -> None:
    body, before = event(secret="canary"), api.row_counts()
    signature = FORGERIES[forgery](body, api.now().timestamp())
    headers = {} if signature is None else {"Stripe_Signature": signature}
    with caplog.at_level("WARNING"):
        response = api.post(PATH, body, caller=None, **headers)

    assert_problem(response, 400, "webhook_refused")
    assert api.row_counts() == before | {"events": before["events"] + 1}
    noted = last_event(api)
    assert (noted.name, noted.payment_id, noted.actor) == ("webhook_refused", None, "web")
    assert "canary" not in str(noted.data)
    assert "canary" not in caplog.text
    assert "security" in caplog.text
    assert api.messages == []


def test_an_event_of_the_other_mode_is_acknowledged_counted_and_not_stored(
    api: ApiSystem, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "_of_other_mode", {})
    body, before = event(livemode=True, secret="canary"), api.row_counts()
    with caplog.at_level("INFO"):
        response = send(api, body)
    assert (response.status_code, response.json) == (200, {"received": True})
    assert api.row_counts() == before | {"events": before["events"] + 1}
    assert api.messages == []
    for _ in range(3):
        send(api, event(livemode=True))
    monkeypatch.setattr(receiver, "_COUNTS_APART_SECONDS", 0.0)
    send(api, event(livemode=True))
    counted = api.rows(events, events.c.name == "webhook_of_other_mode")[-2:]
    assert [row.data for row in counted] == [
        {"provider": "stripe", "number": number, "mode": "a live event"} for number in (1, 4)
    ]
    [record] = [record for record in caplog.records if "other mode" in record.message]
    assert record.levelname == "INFO"
    assert "canary" not in caplog.text
    assert "security" not in caplog.text


def test_a_flood_of_forgeries_does_not_fill_the_audit_trail(api: ApiSystem) -> None:
    before = api.row_counts()["events"]
    for _ in range(20):
        assert api.post(PATH, event(), caller=None).status_code == 400
    assert before + 1 <= api.row_counts()["events"] <= before + 3


@pytest.mark.parametrize(
    "body",
    [
        b"not JSON",
        b"[]",
        b'"text"',
        b"null",
        b'{"type": "x", "livemode": false}',
        b'{"id": "evt_1", "livemode": false}',
        b"\xff\xfe\xff",
        b"",
        b"[" * 100_000,
    ],
    ids=lambda body: repr(body[:40]),
)
def test_a_signed_body_that_is_no_event_is_refused(api: ApiSystem, body: bytes) -> None:
    before = api.row_counts()
    assert_problem(send(api, body), 400, "webhook_refused")
    assert api.row_counts()["webhook_events"] == before["webhook_events"]
    assert api.messages == []


@pytest.mark.parametrize(
    "changes",
    [
        {"id": "e" * 300},
        {"type": "t" * 200},
        {"id": 17},
        {"id": "evt\x00"},
        {"id": "evt\ud800"},
        {"data": {"object": {"note": "\x00"}}},
        {"data": {"object": {"note": "\ud800"}}},
    ],
    ids=lambda changes: repr(changes)[:40],
)
def test_odd_events_are_stored_or_refused_but_never_an_error(api: ApiSystem, changes: dict[str, Any]) -> None:
    """A 5xx would make the provider deliver it again for days."""
    assert send(api, event(**changes)).status_code in (200, 400)


def test_an_unknown_type_is_stored(api: ApiSystem) -> None:
    body = event(type="invented.tomorrow")
    assert send(api, body).status_code == 200
    assert len(stored(api, body)) == 1


def test_an_event_above_64_kib_is_stored(api: ApiSystem) -> None:
    body = event(data={"object": {"padding": "x" * 100_000}})
    assert send(api, body).status_code == 200
    assert len(stored(api, body)) == 1


def test_a_body_above_1_mib_is_refused_unread(api: ApiSystem) -> None:
    before = api.row_counts()
    assert_problem(send(api, b" " * (1024 * 1024 + 1)), 413, "body_too_large")
    assert api.row_counts() == before


def test_the_webhook_of_an_unknown_provider_is_not_found(api: ApiSystem) -> None:
    before = api.row_counts()
    assert_problem(api.post("/webhooks/acme", event(), caller=None), 404, "not_found")
    assert api.row_counts() == before


# --- addresses ---


def test_a_provider_may_probe_the_address_of_its_webhooks(api: ApiSystem) -> None:
    assert api.call("HEAD", "/webhooks/stripe", caller=None).status_code == 200
    assert api.call("HEAD", "/webhooks/unknown", caller=None).status_code == 404


def test_a_secret_in_the_address_does_not_replace_a_signature(api: ApiSystem) -> None:
    before = api.row_counts()["webhook_events"]
    assert_problem(api.post("/webhooks/stripe/anything", b"{}", caller=None), 400, "webhook_refused")
    assert_problem(api.post("/webhooks/klarna/anything", b"{}", caller=None), 404, "not_found")
    assert api.row_counts()["webhook_events"] == before


# --- what cannot be told now ---


def paypal_in(api: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> ProviderBench:
    """Add PayPal to the providers of the application."""
    bench = ProviderBench(api.sandbox)
    monkeypatch.setitem(api.runtime.gateways, "paypal", bench.gateway())
    return bench


def deliver(api: ApiSystem, sent: Webhook, certificate: str = signing.CERTIFICATE_ID) -> Any:
    """Deliver a webhook of PayPal's with this certificate."""
    headers = {name.replace("-", "_"): text for name, text in sent.headers.items()}
    headers["Paypal_Cert_Url"] = headers["Paypal_Cert_Url"].rpartition("/")[0] + f"/{certificate}"
    return api.post("/webhooks/paypal", sent.body, caller=None, **headers)


def test_a_webhook_that_cannot_be_verified_now_is_asked_for_again(
    api: ApiSystem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    paypal, before = paypal_in(api, monkeypatch), api.row_counts()
    body = event(event_type="CUSTOMER.DISPUTE.OTHER")
    api.sandbox.state.faults.add("paypal.webhooks.verify", "error_before")
    with caplog.at_level("WARNING"):
        response = deliver(api, paypal.signed(body), signing.UNKNOWN_CERTIFICATE_ID)
    assert_problem(response, 503, "webhook_deferred")
    assert api.row_counts() == before
    assert "webhook for paypal deferred" in caplog.text
    assert "security" not in caplog.text
    assert deliver(api, paypal.signed(body), signing.UNKNOWN_CERTIFICATE_ID).status_code == 200
    assert len(stored(api, body)) == 1


def test_a_flood_of_forged_webhooks_loses_no_genuine_one(api: ApiSystem, monkeypatch: pytest.MonkeyPatch) -> None:
    paypal = paypal_in(api, monkeypatch)
    assert deliver(api, paypal.signed(event(event_type="CUSTOMER.DISPUTE.OTHER"))).status_code == 200
    statuses = []
    for n in range(40):
        forged, genuine = event(event_type="CUSTOMER.DISPUTE.OTHER"), event(event_type="CUSTOMER.DISPUTE.OTHER")
        statuses.append(deliver(api, paypal.signed(forged), f"CERT-invented-{n}").status_code)
        assert deliver(api, paypal.signed(genuine)).status_code == 200
        assert (stored(api, forged), len(stored(api, genuine))) == ([], 1)
    # Beyond the limit a certificate that is not known may be PayPal's next one.
    assert set(statuses[:9]) == {400}
    assert 503 in statuses
