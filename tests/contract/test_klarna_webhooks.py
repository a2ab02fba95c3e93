"""Klarna's callbacks: a secret in the address instead of a signature, and content that only names what to look up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import WebhookRefused
from gateways.base import SideEvent, WebhookEvent
from gateways.failures import MalformedResponse
from gateways.klarna.gateway import KlarnaGateway
from gateways.klarna.hosted_page import HostedPage
from gateways.klarna.webhooks import read, verify
from sandbox.server import RunningSandbox
from sandbox.state import Settings

from .bench import API_URL, PAYER, SECONDS, new_attempt, now
from .benches.klarna import ProviderBench as KlarnaBench
from .served import Served, replying

SECRET, OLD = "s" * 32, "o" * 32
SESSION = {"session_id": "hpp-1", "status": "COMPLETED", "order_id": "o-1", "klarna_reference": "K4MADNY"}
UPDATE = {"event_id": "e-1", "session": SESSION}
DECISION = {"order_id": "o-1", "event_type": "FRAUD_RISK_ACCEPTED"}
ADDRESS = f"{API_URL}/webhooks/klarna/{SECRET}"


def verified(event: Any, url: str = f"{ADDRESS}?attempt=at_1", secrets: tuple[str, ...] = (SECRET, OLD)) -> Any:
    """Return a callback as it is stored."""
    return verify(json.dumps(event).encode(), url, secrets)


def test_a_status_update_names_the_order() -> None:
    webhook = verified(UPDATE)
    assert (webhook.event_id, webhook.type) == ("e-1", "page.completed")
    assert read(webhook.payload) == WebhookEvent("o-1", "at_1", None)


def test_a_status_update_without_an_order_names_the_page() -> None:
    waiting = {"event_id": "e-2", "session": {"session_id": "hpp-1", "status": "IN_PROGRESS"}}
    assert read(verified(waiting).payload) == WebhookEvent("hpp/hpp-1", "at_1", None)


def test_a_fraud_decision_is_identified_by_order_and_type() -> None:
    webhook = verified(DECISION)
    assert (webhook.event_id, webhook.type) == ("o-1:FRAUD_RISK_ACCEPTED", "FRAUD_RISK_ACCEPTED")
    assert webhook == verified(DECISION)
    assert verified(DECISION | {"event_type": "FRAUD_RISK_STOPPED"}).event_id != webhook.event_id
    assert verified(DECISION | {"event_id": "e-9"}).event_id == "e-9"
    assert read(webhook.payload) == WebhookEvent("o-1", "at_1", None)


def test_a_stop_is_a_side_event_and_leads_to_a_look_up() -> None:
    """It can come after Klarna has accepted the order, and after the capture."""
    stopped = read(verified(DECISION | {"event_type": "FRAUD_RISK_STOPPED"}).payload)
    side_event = SideEvent("fraud_risk_stopped", {"reference": "o-1"})
    assert stopped == WebhookEvent("o-1", "at_1", None, side_event=side_event, is_news=True)
    for other in ("FRAUD_RISK_ACCEPTED", "FRAUD_RISK_REJECTED"):
        assert read(verified(DECISION | {"event_type": other}).payload) == WebhookEvent("o-1", "at_1", None)


def test_credentials_and_personal_data_are_not_stored() -> None:
    canary = {"authorization_token": "canary", "customer": {"family_name": "canary"}, "order_id": "o-1"}
    for event in (UPDATE | {"session": SESSION | canary}, DECISION | canary, UPDATE | {"client_token": "canary"}):
        assert "canary" not in verified(event).payload
    assert SECRET not in verified(UPDATE).payload


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/",
        API_URL,
        f"{API_URL}/webhooks/klarna",
        f"{API_URL}/webhooks/klarna/?attempt=at_1",
        f"{API_URL}/webhooks/klarna/{SECRET}x",
        f"{API_URL}/webhooks/klarna/{SECRET[:-1]}",
        f"{API_URL}/webhooks/klarna/{SECRET.upper()}",
        f"{API_URL}/webhooks/klarna/{SECRET}/",
        f"{API_URL}/webhooks/{SECRET}/klarna",
        f"{API_URL}/webhooks/klarna/x?secret={SECRET}",
        f"{API_URL}/webhooks/klarna/x?/{SECRET}",
        f"{API_URL}/webhooks/klarna/x#/{SECRET}",
        f"{API_URL}/webhooks/klarna/\u017f{SECRET}",
        "https://[broken/" + SECRET,
    ],
)
def test_the_secret_must_be_the_last_part_of_the_path(url: str) -> None:
    with pytest.raises(WebhookRefused):
        verified(UPDATE, url)


def test_every_secret_is_accepted_and_an_empty_one_is_not() -> None:
    for secret in (SECRET, OLD):
        assert verified(UPDATE, f"{API_URL}/webhooks/klarna/{secret}")
    for secrets in ((), ("",)):
        for url in (f"{API_URL}/webhooks/klarna/", f"{API_URL}/webhooks/klarna/{SECRET}"):
            with pytest.raises(WebhookRefused):
                verified(UPDATE, url, secrets)


@pytest.mark.parametrize(
    ("query", "attempt_id"),
    [
        ("?attempt=at_1", "at_1"),
        ("", None),
        ("?attempt=", None),
        ("?attempt=at_1&attempt=at_2", None),
        ("?attempt=a%20b", None),
        ("?attempt=%ff", None),
        ("?attempt=" + "a" * 65, None),
    ],
)
def test_the_attempt_is_taken_from_the_address(query: str, attempt_id: str | None) -> None:
    assert json.loads(verified(UPDATE, ADDRESS + query).payload)["attempt_id"] == attempt_id


@pytest.mark.parametrize(
    "event",
    [
        UPDATE | {"event_id": None},
        UPDATE | {"event_id": ""},
        UPDATE | {"event_id": "x" * 256},
        UPDATE | {"event_id": "ü"},
        UPDATE | {"event_id": "a\nb"},
        UPDATE | {"session": None},
        UPDATE | {"session": [SESSION]},
        UPDATE | {"session": "COMPLETED"},
        UPDATE | {"session": SESSION | {"status": "X" * 100}},
        UPDATE | {"session": SESSION | {"status": {"is": 1}}},
        DECISION | {"event_type": ["x"]},
        DECISION | {"event_type": ""},
        DECISION | {"order_id": 17},
        {"event_id": "e-1"},
        {"event_type": "FRAUD_RISK_ACCEPTED"},
        "session",
        None,
    ],
)
def test_a_body_without_the_id_and_type_of_a_callback_is_refused(event: Any) -> None:
    with pytest.raises(WebhookRefused):
        verified(event)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*UPDATE, *DECISION, *SESSION, "x"]), inner),
)


@given(JSON)
def test_every_other_shape_is_refused_or_malformed(event: Any) -> None:
    try:
        webhook_event = read(verified(event).payload)
    except (WebhookRefused, MalformedResponse):
        return
    assert webhook_event is not None
    assert webhook_event.outcome is None


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (None, "StoredCallback.event"),
        ([], "StoredCallback.event"),
        ({"session": {}}, "CallbackPage.session_id"),
        ({"session": None}, "CallbackPage"),
        ({"event_type": "FRAUD_RISK_ACCEPTED"}, "FraudDecision.order_id"),
        ({"event_type": "FRAUD_RISK_STOPPED", "order_id": None}, "FraudDecision.order_id"),
        ({"event_type": 17, "order_id": "o-1"}, "FraudDecision.event_type"),
    ],
)
def test_a_stored_callback_of_another_form_is_malformed(event: Any, field: str) -> None:
    with pytest.raises(MalformedResponse) as raised:
        read(json.dumps({"attempt_id": None, "event": event}))
    assert raised.value.field == field


def test_a_status_update_without_its_page_is_stored_and_malformed() -> None:
    """No verified callback is lost: a person sees that it could not be read."""
    webhook = verified({"event_id": "e-1", "session": {"status": "COMPLETED"}})
    with pytest.raises(MalformedResponse):
        read(webhook.payload)


# --- from the page to the receiver ---


@pytest.fixture
def receiver() -> Iterator[Served]:
    """Receive what Klarna posts."""
    with replying((200, b"")) as served:
        yield served


def test_posted_callbacks_are_verified_and_read(receiver: Served) -> None:
    """The page opens, the customer approves, the assessment ends: three callbacks, each with the attempt and an id."""
    with RunningSandbox(Settings(seed=1)) as sandbox:
        klarna = KlarnaBench(sandbox)
        gateway: KlarnaGateway = klarna.gateway(api_url=f"{receiver.url}/api")
        charge = new_attempt(klarna, payer=PAYER | {"email": "jo+pend-accept@example.org"})
        reference = gateway.charge(charge, lambda _: None).reference
        klarna.let_customer_act(reference, is_good=True)
        page = requests.get(f"{sandbox.url}/_sandbox/klarna/callbacks", timeout=SECONDS).json()["callbacks"][-1]
        order_id = page["event"]["session"]["order_id"]
        klarna.let_bank_decide(order_id, is_good=True)
        events, ids = set(), set()
        for _ in range(3):
            posted = receiver.next()
            assert posted.path == f"/api/webhooks/klarna/{klarna.secrets[0]}?attempt={charge.attempt_id}"
            webhook = gateway.verify_webhook(posted.raw, {}, now(), receiver.url + posted.path)
            events.add(gateway.read_webhook(webhook.payload))
            ids.add(webhook.event_id)
    page_id = HostedPage.of(reference).id
    assert events == {WebhookEvent(name, charge.attempt_id, None) for name in (order_id, f"hpp/{page_id}")}
    assert len(ids) == 3


def test_without_a_secret_klarna_gets_no_callback_address(sandbox: RunningSandbox) -> None:
    klarna = KlarnaBench(sandbox)
    charge = new_attempt(klarna)
    reference = klarna.gateway(callback_secrets=()).charge(charge, lambda _: None).reference
    klarna.let_customer_act(reference, is_good=True)
    with pytest.raises(LookupError):
        klarna.event(reference)
