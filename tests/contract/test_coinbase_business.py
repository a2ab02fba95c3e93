"""Coinbase Business: what is its own about checkouts, refunds, tokens, webhooks and the hosted page."""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from domain.decline import Decline, DeclineClass
from domain.money import Money
from domain.outcome import ActionRequired, Approved, Declined, InDoubt, NotSent, Pending
from domain.payment import Verb
from gateways.base import GatewayError, Notice, Order
from gateways.coinbase.business import CoinbaseGateway
from gateways.coinbase.jwt import Signer
from sandbox.server import RunningSandbox
from sandbox.state import Settings
from stack.process import wait_until

from .bench import API_URL, SECONDS, Books, new_order, now, order
from .benches.coinbase import KEY, SECRET, ProviderBench
from .served import Asked, answering
from .specifications import all_of
from .test_gateway_operations import charged, operation

# The contract in brief, from docs.cdp.coinbase.com (checkout APIs), read 2026-11-23.
CREATE = {
    "amount",
    "currency",
    "network",
    "description",
    "metadata",
    "successRedirectUrl",
    "failRedirectUrl",
    "expiresAt",
}
REFUND = {"amount", "currency", "reason"}
STATUSES = {
    "ACTIVE", "PROCESSING", "DEACTIVATED", "EXPIRED", "COMPLETED", "FAILED", "REFUNDED", "PARTIALLY_REFUNDED",
}  # fmt: skip
SHOWN = {"id", "url", "amount", "currency", "network", "address", "status", "createdAt", "updatedAt"}
SPECIFICATIONS = all_of("coinbase", "business-checkouts.hand-written.json")
CHECKOUT = {
    "id": "68f7a946db0529ea9b6d3a12",
    "url": "https://payments.example/1",
    "amount": "11.50",
    "currency": "USDC",
    "fiatAmount": "10.00",
    "fiatCurrency": "EUR",
    "status": "COMPLETED",
    "createdAt": "2026-11-23T12:00:00Z",
    "updatedAt": "2026-11-23T12:01:00Z",
}
ID = CHECKOUT["id"]


@pytest.fixture
def bench(sandbox: RunningSandbox) -> Iterator[ProviderBench]:
    """Coinbase Business's bench, without faults."""
    yield ProviderBench(sandbox)
    sandbox.state.faults.clear()


@pytest.fixture
def gateway(bench: ProviderBench) -> CoinbaseGateway:
    """Its gateway."""
    return bench.gateway()


def opened(bench: ProviderBench, **changes: Any) -> Order:
    """Return the order of a checkout that waits for its customer."""
    asked, references = new_order(bench, **changes), []
    assert isinstance(bench.gateway().charge(asked, references.append), ActionRequired)
    return replace(asked, reference=references[0])


def sent_by(asked: Order, call: str = "charge") -> Asked:
    """Return the request that a gateway makes for an order."""
    with answering((200, CHECKOUT)) as canned:
        gateway = CoinbaseGateway(
            api_key_name="organizations/sandbox/apiKeys/1",
            api_key_secret=SECRET,
            base=f"{canned.url}/api/v1",
            api_url=API_URL,
        )
        if call == "charge":
            gateway.charge(asked, lambda _: None)
        else:
            getattr(gateway, call)(asked)
    return canned.asked[-1]


# --- requests ---


def test_a_checkout_is_asked_for_as_documented(bench: ProviderBench) -> None:
    asked = new_order(bench, minor=123456)
    request = sent_by(asked)
    assert (request.method, request.path) == ("POST", "/api/v1/checkouts")
    assert request.body == {
        "amount": "1234.56",
        "currency": "EUR",
        "description": f"Payment {asked.payment_id}",
        "metadata": {"payment_id": asked.payment_id, "attempt_id": asked.attempt_id},
        "successRedirectUrl": f"{API_URL}/returns/{asked.attempt_id}",
        "failRedirectUrl": f"{API_URL}/returns/{asked.attempt_id}",
    }
    assert request.body.keys() <= CREATE
    assert "jo@example.org" not in json.dumps(request.body)


def test_a_refund_is_asked_for_as_documented(bench: ProviderBench) -> None:
    first = replace(new_order(bench), reference=ID)
    asked = operation(first, Verb.REFUND, 250)
    request = sent_by(asked, "refund")
    assert request.path == f"/api/v1/checkouts/{ID}/refund"
    assert request.body == {"amount": "2.50", "currency": "EUR", "reason": asked.attempt_id}
    assert request.body.keys() == REFUND


def test_our_reading_of_the_contract_is_that_of_the_specification() -> None:
    """Where the hand-written file is at hand; everything else here holds without it."""
    for spec in SPECIFICATIONS:
        fields = {
            each["path"]: {*each["request_required"], *each["request_optional"]}
            for each in spec["operations"]
            if "request_required" in each
        }
        assert fields == {"/checkouts": CREATE, "/checkouts/{id}/refund": REFUND}
        assert set(spec["checkout"]["status"]) == STATUSES
        assert set(spec["checkout"]["required"]) == SHOWN


def test_the_same_attempt_has_the_same_key_which_is_a_uuid(bench: ProviderBench) -> None:
    asked = new_order(bench)
    keys = [sent_by(each).headers["X-Idempotency-Key"] for each in (asked, replace(asked, retries=3), new_order(bench))]
    assert keys[0] == keys[1] != keys[2]
    assert uuid.UUID(keys[0]).version == 4


def test_a_token_is_signed_for_one_request(bench: ProviderBench) -> None:
    request = sent_by(new_order(bench))
    token = request.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, KEY.public_key(), algorithms=["EdDSA"])
    assert claims["uris"] == [f"POST {request.headers['Host']}/api/v1/checkouts"]
    assert (claims["sub"], claims["iss"]) == ("organizations/sandbox/apiKeys/1", "cdp")
    assert claims["exp"] - claims["nbf"] == 120
    assert "aud" not in claims
    header = jwt.get_unverified_header(token)
    assert (header["alg"], header["typ"], header["kid"]) == ("EdDSA", "JWT", claims["sub"])
    assert len(header["nonce"]) == 32


@pytest.mark.parametrize("line_end", ["\n", "\\n"])
def test_a_pem_key_signs_too(line_end: str) -> None:
    key = generate_private_key(SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
    token = Signer("name", pem.replace("\n", line_end)).token(
        "GET", "https://business.coinbase.com/api/v1/x?pageSize=1"
    )
    claims = jwt.decode(token, key.public_key(), algorithms=["ES256"])
    assert claims["uris"] == ["GET business.coinbase.com/api/v1/x"]


@pytest.mark.parametrize("secret", ["", "no key", SECRET[:-8], "A" * 88, "-----BEGIN EC PRIVATE KEY-----\nAAAA"])
def test_what_is_no_key(secret: str) -> None:
    with pytest.raises(ValueError, match="is neither an Ed25519 secret") as raised:
        Signer("name", secret)
    assert secret not in str(raised.value) or not secret


def test_the_sandbox_believes_a_token_for_one_request_only(bench: ProviderBench) -> None:
    signer = Signer("organizations/sandbox/apiKeys/1", SECRET)
    address = f"{bench.url}/coinbase/checkouts"
    for made_for in (("POST", address), ("GET", f"{address}/x"), ("GET", "https://elsewhere.example/checkouts")):
        headers = {"Authorization": f"Bearer {signer.token(*made_for)}"}
        answer = requests.get(address, headers=headers, timeout=SECONDS)
        assert answer.status_code == 401
        assert answer.json().keys() >= {"errorType", "errorMessage"}
    headers = {"Authorization": f"Bearer {signer.token('GET', address)}"}
    assert requests.get(address, headers=headers, timeout=SECONDS).ok


def ask(bench: ProviderBench, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    """Send a request with a good token to the sandbox."""
    address = f"{bench.url}/coinbase{path}"
    token = Signer("organizations/sandbox/apiKeys/1", SECRET).token(method, address)
    given = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): text for name, text in headers.items()}}
    return requests.request(method, address, json=body, headers=given, timeout=SECONDS)


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "10.001"},
        {"amount": "0"},
        {"amount": "0.001"},
        {"amount": 10},
        {"amount": "100000000.01"},
        {"currency": "JPY"},
        {"currency": None},
        {"network": "ethereum"},
        {"description": "x" * 501},
        {"metadata": {"long": "x" * 101}},
        {"metadata": {"number": 1}},
        {"metadata": {str(number): "" for number in range(21)}},
        {"metadata": ["x"]},
        {"successRedirectUrl": "http://shop.example/"},
        {"failRedirectUrl": "https://shop.example/" + "x" * 2048},
    ],
    ids=lambda changes: str(changes)[:40],
)
def test_the_sandbox_refuses_what_the_api_refuses(bench: ProviderBench, changes: dict[str, Any]) -> None:
    good = {"amount": "10.00", "currency": "EUR"}
    answer = ask(bench, "POST", "/checkouts", good | changes)
    assert (answer.status_code, answer.json()["errorType"]) == (400, "invalid_request")


def test_a_checkout_is_shown_as_documented(bench: ProviderBench) -> None:
    answer = ask(bench, "POST", "/checkouts", {"amount": "10.00", "currency": "EUR"})
    assert answer.status_code == 201
    assert answer.json().keys() >= SHOWN
    assert (answer.json()["amount"], answer.json()["currency"]) == ("11.50", "USDC")
    listed = ask(bench, "GET", "/checkouts?pageSize=1&status=ACTIVE").json()
    assert [each["id"] for each in listed["checkouts"]] == [answer.json()["id"]]
    assert ask(bench, "GET", f"/checkouts/{'0' * 24}").json()["errorType"] == "not_found"


def test_an_idempotency_key_is_a_uuid_and_for_one_request(bench: ProviderBench) -> None:
    good, key = {"amount": "10.00", "currency": "EUR"}, str(uuid.uuid4())
    first = ask(bench, "POST", "/checkouts", good, X_Idempotency_Key=key)
    assert ask(bench, "POST", "/checkouts", good, X_Idempotency_Key=key).json() == first.json()
    other = ask(bench, "POST", "/checkouts", good | {"amount": "11.00"}, X_Idempotency_Key=key)
    assert (other.status_code, other.json()["errorType"]) == (400, "idempotency_error")
    assert ask(bench, "POST", "/checkouts", good, X_Idempotency_Key="at_1").status_code == 400
    assert ask(bench, "POST", "/checkouts", good).json()["id"] != first.json()["id"]


# --- the customer's part ---


def test_a_charge_whose_answer_was_lost_is_the_same_checkout(bench: ProviderBench, books: Books) -> None:
    asked, gateway, references = new_order(bench), bench.gateway(), []
    books.fail(bench.calls["create"], "reset_after")
    assert isinstance(gateway.charge(asked, references.append), NotSent)
    made = [c.id for c in business(bench).checkouts.all() if c.body["metadata"].get("attempt_id") == asked.attempt_id]
    gateway.charge(replace(asked, retries=1), references.append)
    gateway.charge(asked, references.append)
    assert made == [references[0]]
    assert references == made * 2


def business(bench: ProviderBench) -> Any:
    """Return the sandbox's service."""
    return next(each for each in bench.sandbox.state.providers if getattr(each, "provider", "") == "coinbase")


@pytest.mark.parametrize(
    ("decision", "path", "outcome"),
    [("approve", "returns", Approved), ("decline", "returns", Declined), ("cancel", "returns", ActionRequired)],
)
def test_the_hosted_page(bench: ProviderBench, decision: str, path: str, outcome: type) -> None:
    known = opened(bench)
    shown = bench.gateway().retrieve(known)
    assert isinstance(shown, ActionRequired)
    page = requests.get(shown.next_action["redirect_url"], timeout=SECONDS)
    assert "10.00 EUR" in page.text
    sent = requests.post(page.url, data={"decision": decision}, timeout=SECONDS, allow_redirects=False)
    assert sent.headers["Location"] == f"{API_URL}/{path}/{known.attempt_id}"
    assert isinstance(bench.gateway().retrieve(known), outcome)


def test_a_payment_that_failed_is_final(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    known = order(bench, card="hard")
    assert gateway.retrieve(known) == Declined(known.reference, Decline("payment_failed", DeclineClass.HARD))
    bench.decide(known.reference, "approve")
    assert isinstance(gateway.retrieve(known), Declined)


def test_a_checkout_nobody_paid_expires(books: Books) -> None:
    with RunningSandbox(Settings(seed=1)) as running:
        bench = ProviderBench(running)
        known = opened(bench)
        running.state.advance(24 * 3600 + 1)
        assert bench.gateway().retrieve(known) == Approved(known.reference, voided=True)
        bench.decide(known.reference, "approve")
        assert bench.gateway().retrieve(known) == Approved(known.reference, voided=True)
        assert bench.event(known.reference)["eventType"] == "checkout.payment.expired"
        assert running.state.ledger.movements == []


def test_a_sandbox_that_settles_later() -> None:
    with RunningSandbox(Settings(seed=1, async_settle_seconds=60)) as running:
        bench = ProviderBench(running)
        known = opened(bench)
        bench.decide(known.reference, "approve")
        assert bench.gateway().retrieve(known) == Pending(known.reference)
        running.state.advance(61)
        assert bench.gateway().retrieve(known) == Approved(known.reference, authorized=1000, captured=1000)


def test_the_status_is_told_of_a_void_that_came_too_late(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    first = charged(bench, gateway)
    late = operation(first, Verb.VOID)
    assert isinstance(gateway.void(late), InDoubt)
    assert gateway.retrieve(late) == Approved(first.reference, authorized=1000, captured=1000)


def test_a_void_is_looked_up(bench: ProviderBench, gateway: CoinbaseGateway, books: Books) -> None:
    asked = operation(opened(bench), Verb.VOID)
    books.fail(bench.calls["void"], "timeout_after")
    assert isinstance(gateway.void(asked), InDoubt)
    assert gateway.retrieve(asked) == Approved(asked.charge_reference, voided=True)


@pytest.mark.parametrize("currency", ["EUR", "USD", "GBP", "SGD"])
def test_every_currency_is_charged_to_the_cent(bench: ProviderBench, books: Books, currency: str) -> None:
    known = order(bench, money=Money(1999, currency))
    assert bench.gateway().retrieve(known) == Approved(known.reference, authorized=1999, captured=1999)
    assert books.movements(known.payment_id) == [("charge", 1999)]


def test_what_checkouts_cannot_do(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    refused = [
        gateway.charge(new_order(bench, Verb.AUTHORIZE), pytest.fail),
        gateway.charge(new_order(bench, money=Money(1000, "JPY")), pytest.fail),
        gateway.capture(operation(replace(new_order(bench), reference=ID), Verb.CAPTURE)),
    ]
    assert refused == [
        NotSent("not_supported", is_retryable=False),
        NotSent("currency_not_supported", is_retryable=False),
        NotSent("not_supported", is_retryable=False),
    ]


# --- what was paid ---


@pytest.mark.parametrize(
    "changes",
    [
        {"fiatAmount": "9.99"},
        {"fiatAmount": "10.001"},
        {"fiatAmount": "1e1"},
        {"fiatAmount": None},
        {"fiatAmount": 10.0},
        {"fiatCurrency": "USD"},
        {"fiatCurrency": None},
        {"status": "TOMORROW"},
        {"status": None},
    ],
    ids=str,
)
def test_another_amount_than_asked_is_doubt(bench: ProviderBench, changes: dict[str, Any]) -> None:
    with answering((200, CHECKOUT | changes)) as canned:
        known = replace(new_order(bench), reference=ID)
        outcome = bench.gateway(base=canned.url).retrieve(known)
    assert isinstance(outcome, InDoubt)
    assert outcome.reference == ID


@pytest.mark.parametrize("status", ["COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"])
def test_a_refund_takes_nothing_from_what_was_charged(bench: ProviderBench, status: str) -> None:
    with answering((200, CHECKOUT | {"status": status})) as canned:
        known = replace(new_order(bench), reference=ID)
        assert bench.gateway(base=canned.url).retrieve(known) == Approved(ID, authorized=1000, captured=1000)


def test_every_status_is_decided(bench: ProviderBench) -> None:
    for status in STATUSES:
        with answering((200, CHECKOUT | {"status": status})) as canned:
            outcome = bench.gateway(base=canned.url).retrieve(replace(new_order(bench), reference=ID))
        assert not isinstance(outcome, InDoubt), status


@pytest.mark.parametrize("id", ["another", None, 7])
def test_another_checkout_is_never_believed(bench: ProviderBench, id: Any) -> None:
    known = replace(new_order(bench), reference=ID)
    with answering((200, CHECKOUT | {"id": id})) as canned:
        gateway = bench.gateway(base=canned.url)
        assert gateway.retrieve(known) == gateway.void(operation(known, Verb.VOID)) == InDoubt("another_object", ID)
        asked = operation(known, Verb.REFUND)
        assert gateway.refund(asked) == gateway.retrieve(asked) == InDoubt("another_object")


# --- refunds ---


def test_a_refund_without_an_id_is_nobodys(bench: ProviderBench) -> None:
    asked = operation(replace(new_order(bench), reference=ID), Verb.REFUND)
    refund = {"id": None, "reason": "another", "status": "COMPLETED", "fiatAmount": "10.00", "fiatCurrency": "EUR"}
    with answering((200, CHECKOUT | {"refunds": [refund]})) as canned:
        gateway = bench.gateway(base=canned.url)
        assert isinstance(gateway.refund(asked), InDoubt)
        assert isinstance(gateway.retrieve(asked), InDoubt)


def refund_event(*refunds: dict[str, Any], kind: str = "success") -> str:
    """Return an event as it is stored."""
    return json.dumps(CHECKOUT | {"eventType": f"checkout.refund.{kind}", "refunds": refunds})


GIVEN = {
    "id": "r1",
    "status": "COMPLETED",
    "reason": "goodwill",
    "amount": "2.88",
    "currency": "USDC",
    "fiatAmount": "2.50",
    "fiatCurrency": "EUR",
    "completedAt": "2026-11-23T12:02:00Z",
}


def test_a_refund_of_the_dashboard_says_how_much_it_gave_back(gateway: CoinbaseGateway) -> None:
    notice = gateway.read_webhook(refund_event(GIVEN))
    assert notice == Notice("r1", "goodwill", Approved("r1", refunded=250), ID)
    failed = gateway.read_webhook(refund_event(GIVEN | {"status": "FAILED"}, kind="failed"))
    assert isinstance(failed.outcome, Declined)
    earlier = GIVEN | {"id": "r0", "fiatAmount": "1.00", "completedAt": "2026-11-23T12:01:00Z"}
    for refunds in ((earlier, GIVEN), (GIVEN, earlier)):
        assert gateway.read_webhook(refund_event(*refunds)) == notice


@pytest.mark.parametrize(
    "refunds",
    [
        [GIVEN | {"id": "r0"}, GIVEN],
        [GIVEN | {"fiatCurrency": None}],
        [GIVEN | {"fiatAmount": "lots"}],
        [GIVEN | {"fiatAmount": None}],
    ],
    ids=["which", "currency", "amount", "nothing"],
)
def test_a_refund_that_is_not_clear_is_only_named(gateway: CoinbaseGateway, refunds: list[Any]) -> None:
    notice = gateway.read_webhook(refund_event(*refunds))
    assert (notice.reference, notice.outcome, notice.charge_reference) == ("r1", None, ID)


def test_of_an_event_only_what_is_read_is_stored(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    refund = GIVEN | {"reason": "for Jo Canary", "payer": "canary"}
    event = json.loads(refund_event(refund)) | {"description": "canary", "payerInfo": {"email": "canary"}}
    sent = bench.signed(event)
    payload = gateway.verify_webhook(sent.body, sent.headers, now()).payload
    assert "canary" not in payload.lower()
    assert gateway.read_webhook(payload) == Notice("r1", None, Approved("r1", refunded=250), ID)


def test_a_refund_that_fails_on_its_way(bench: ProviderBench, gateway: CoinbaseGateway, books: Books) -> None:
    first = charged(bench, gateway, card="refund_later")
    asked = operation(first, Verb.REFUND)
    pending = gateway.refund(asked)
    assert isinstance(pending, Pending)
    bench.let_bank_answer(pending.reference, is_good=False)
    declined = Declined(pending.reference, Decline("refund_failed", DeclineClass.HARD))
    assert gateway.retrieve(asked) == declined
    assert gateway.retrieve(replace(asked, reference=pending.reference)) == declined
    assert books.movements(first.payment_id) == [("charge", 1000)]
    notice = gateway.read_webhook(json.dumps(bench.event(pending.reference)))
    assert (notice.reference, notice.attempt_id) == (pending.reference, asked.attempt_id)
    assert isinstance(gateway.refund(operation(first, Verb.REFUND)), Pending)


def test_a_refund_with_a_reference_cannot_vanish(bench: ProviderBench) -> None:
    asked = operation(replace(new_order(bench), reference=ID), Verb.REFUND)
    with answering((200, CHECKOUT | {"refunds": []})) as canned:
        gateway = bench.gateway(base=canned.url)
        assert gateway.retrieve(asked) == NotSent("not_created")
        assert gateway.retrieve(replace(asked, reference="r1")) == InDoubt("refund_not_found", "r1")


def test_a_refund_of_another_amount_is_doubt(bench: ProviderBench) -> None:
    asked = operation(replace(new_order(bench), reference=ID), Verb.REFUND, 250)
    refund = {
        "id": "r1",
        "status": "COMPLETED",
        "reason": asked.attempt_id,
        "fiatAmount": "2.51",
        "fiatCurrency": "EUR",
    }
    with answering((200, {"checkout": CHECKOUT | {"refunds": [refund]}})) as canned:
        assert bench.gateway(base=canned.url).refund(asked) == InDoubt("amount_differs", "r1")


# --- webhooks, timeline, check ---


def test_two_partial_refunds_are_two_events_even_without_an_id(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    event = CHECKOUT | {"eventType": "checkout.refund.success", "status": "PARTIALLY_REFUNDED"}
    ids = []
    for refunded in ("1.00", "1.00", "2.00"):
        sent = bench.signed(event | {"refundedAmount": refunded})
        stamp, code = older_signature(sent.body)
        headers = {"X-Hook0-Signature": f"t={stamp},v0={code}", "X-Event-Id": "not-signed"}
        ids.append(gateway.verify_webhook(sent.body, headers, now()).event_id)
    assert ids[0] == ids[1] != ids[2]
    assert "not-signed" not in ids


def test_the_last_of_two_refunds_is_told_even_within_a_second(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    first = charged(bench, gateway)
    for asked in (operation(first, Verb.REFUND, 100), operation(first, Verb.REFUND, 100)):
        outcome = gateway.refund(asked)
        notice = gateway.read_webhook(json.dumps(bench.event(outcome.reference)))
        assert (notice.reference, notice.attempt_id) == (outcome.reference, asked.attempt_id)
        assert notice.charge_reference == first.reference


def older_signature(body: bytes) -> tuple[int, str]:
    """Return stamp and code of version 0, which covers no header."""
    stamp = int(now().timestamp())
    return stamp, hmac.new(b"new-secret", f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_the_event_is_told_to_the_products_own_receiver() -> None:
    with answering((200, {})) as receiver:
        settings = Settings(seed=1, webhook_url=f"{receiver.url}/webhooks/stripe", webhook_secret="new-secret")
        with RunningSandbox(settings) as running:
            bench = ProviderBench(running)
            known = order(bench)
            assert wait_until(lambda: bool(receiver.asked), SECONDS)
        request = receiver.asked[0]
        assert request.path == "/webhooks/coinbase"
        body = json.dumps(request.body).encode()
        delivery = bench.gateway().verify_webhook(body, request.headers, now())
        assert delivery.type == "checkout.payment.success"
        assert delivery.event_id == request.headers["X-Event-Id"]
        assert bench.gateway().read_webhook(delivery.payload).reference == known.reference


def test_the_timeline(bench: ProviderBench, gateway: CoinbaseGateway) -> None:
    known = opened(bench)
    assert [row["status"] for row in gateway.timeline(known.reference)] == ["active"]
    bench.decide(known.reference, "approve")
    gateway.refund(operation(known, Verb.REFUND, 300))
    rows = gateway.timeline(known.reference)
    assert [(row["status"], row["context"]) for row in rows] == [
        ("active", ""),
        ("partially_refunded", ""),
        ("completed", "refund"),
    ]
    assert rows[1]["transaction"].startswith("0x")
    assert all(isinstance(value, str) for row in rows for value in row.values())
    with pytest.raises(GatewayError):
        gateway.timeline("none")


def test_the_check(bench: ProviderBench) -> None:
    assert "accepts the API key" in bench.gateway().check()
    with pytest.raises(GatewayError, match="unauthorized") as raised:
        bench.gateway(**bench.credentials).check()
    assert SECRET not in str(raised.value)
