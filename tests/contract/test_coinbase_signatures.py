"""Signatures of Coinbase's webhooks, against vectors that were published by those who sign."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import WebhookRefused
from gateways.coinbase import webhook_signatures
from gateways.coinbase_commerce.gateway import CoinbaseCommerceGateway

STAMP = 1636936200
AT = datetime.fromtimestamp(STAMP, UTC)
BODY, SECRET = b"hello !", "secret"
# The webhook engine's own test vectors (github.com/hook0/hook0, clients), read 2026-11-23.
V0 = "1b3d69df55f1e52f05224ba94a5162abeb17ef52cd7f4948c390f810d6a87e98"
V1 = "493c35f05443fdb74cb99fd4f00e0e7653c2ab6b24fbc97f4a7bd4d56b31758a"
NAMES = "x-test x-test2"
SIGNED = {"X-Test": "val1", "X-Test2": "val2"}

# The vector of the official package (github.com/coinbase/coinbase-commerce-python, tests), read 2026-11-23.
COMMERCE_SECRET = "30291a20-0bd1-4267-9b0f-e6e7b123c0bf"
COMMERCE_CODE = "8be7742c7d372f08a6a3224edadf18a22b65fa9e28f3f2de97376cdaa092590d"
COMMERCE_BODY = (
    b'{"id":1,"scheduled_for":"2017-01-31T20:50:02Z","attempt_number":1,'
    b'"event":{"id":"24934862-d980-46cb-9402-43c81b0cdba6","type":"charge:created","api_version":"2018-03-22",'
    b'"created_at":"2017-01-31T20:49:02Z","data":{"code":"66BEOV2A","name":"The Sovereign Individual",'
    b'"description":"Mastering the Transition to the Information Age",'
    b'"hosted_url":"https://commerce.coinbase.com/charges/66BEOV2A","created_at":"2017-01-31T20:49:02Z",'
    b'"expires_at":"2017-01-31T21:04:02Z","timeline":[{"time":"2017-01-31T20:49:02Z","status":"NEW"}],'
    b'"metadata":{},"pricing_type":"no_price","payments":[],'
    b'"addresses":{"bitcoin":"0000000000000000000000000000000000",'
    b'"ethereum":"0x0000000000000000000000000000000000000000","litecoin":"3000000000000000000000000000000000",'
    b'"bitcoincash":"bitcoincash:000000000000000000000000000000000000000000"}}}}'
)


def accepts(header: str, headers: dict[str, str] | None = None, at: datetime = AT, body: bytes = BODY) -> bool:
    """Tell whether a delivery is believed."""
    given = {"X-Hook0-Signature": header} | (SIGNED if headers is None else headers)
    try:
        webhook_signatures.verify(body, given, (SECRET, "another"), at)
    except WebhookRefused:
        return False
    return True


@pytest.mark.parametrize(
    "header",
    [
        f"t={STAMP},v0={V0}",
        f"t={STAMP},h={NAMES},v1={V1}",
        f"t={STAMP},v0={V0},h={NAMES},v1={V1}",
        f"t={STAMP},v0={'0' * 64},h={NAMES},v1={V1}",
        f"v1={V1},h={NAMES},t={STAMP},later=7",
    ],
)
def test_the_published_vectors(header: str) -> None:
    assert accepts(header)


@pytest.mark.parametrize(
    "header",
    [
        "",
        f"t={STAMP}",
        f"v0={V0}",
        f"t={STAMP},v0={V0[:-1]}",
        f"t={STAMP},v0={V0.upper()}",
        f"t={STAMP + 1},v0={V0}",
        f"t=0{STAMP},v0={V0}",
        f"t=+{STAMP},v0={V0}",
        f"t={'9' * 5000},v0={V0}",
        f"t=١٢٣,v0={V0}",
        f"t={STAMP},v0=é",
        # a good older signature never saves a newer one that is wrong, empty, or over headers that did not arrive
        f"t={STAMP},v0={V0},h={NAMES},v1={V0}",
        f"t={STAMP},v0={V0},h={NAMES},v1=",
        f"t={STAMP},v0={V0},v1={V1}",
        f"t={STAMP},v0={V0},h={NAMES} x-missing,v1={V1}",
        f"t={STAMP},h=x-test2 x-test,v1={V1}",
        # which of two counts is not said anywhere
        f"t={STAMP},v0={V0},t={STAMP}",
    ],
)
def test_what_is_no_signature(header: str) -> None:
    assert not accepts(header)


def test_names_of_headers_compare_without_case_but_are_signed_as_written() -> None:
    assert accepts(f"t={STAMP},h={NAMES},v1={V1}", {"x-TEST": "val1", "x-test2": "val2"})
    signed = f"{STAMP}.X-Test X-Test2.val1.val2.".encode() + BODY
    code = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert accepts(f"t={STAMP},h=X-Test X-Test2,v1={code}")
    assert not accepts(f"t={STAMP},h={NAMES},v1={code}")


@pytest.mark.parametrize("headers", [{}, {"X-Test": "val1"}, {"X-Test": "val1", "X-Test2": "other"}])
def test_a_signed_header_that_is_missing_or_changed(headers: dict[str, str]) -> None:
    assert not accepts(f"t={STAMP},v0={V0},h={NAMES},v1={V1}", headers)


def test_a_header_that_did_not_arrive_is_not_left_out() -> None:
    signed = f"{STAMP}.x-test x-missing.val1.".encode() + BODY
    code = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert not accepts(f"t={STAMP},h=x-test x-missing,v1={code}")


@pytest.mark.parametrize(("seconds", "is_good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_five_minutes_both_ways_exactly(seconds: int, is_good: bool) -> None:
    assert accepts(f"t={STAMP},h={NAMES},v1={V1}", at=AT + timedelta(seconds=seconds)) is is_good


@given(st.text(max_size=60), st.binary(max_size=20))
def test_no_header_breaks_it(header: str, body: bytes) -> None:
    assert not accepts(header, body=body)


def commerce(*secrets: str) -> CoinbaseCommerceGateway:
    return CoinbaseCommerceGateway(api_key="sandbox", webhook_secrets=secrets)


@pytest.mark.parametrize("secrets", [(COMMERCE_SECRET,), ("newer", COMMERCE_SECRET)])
def test_the_vector_of_commerce(secrets: tuple[str, ...]) -> None:
    headers = {"X-Cc-Webhook-Signature": COMMERCE_CODE}
    delivery = commerce(*secrets).verify_webhook(COMMERCE_BODY, headers, AT)
    assert (delivery.event_id, delivery.type) == ("24934862-d980-46cb-9402-43c81b0cdba6", "charge:created")
    kept = {"id": delivery.event_id, "type": delivery.type, "data": {"metadata": {}}}
    assert json.loads(delivery.payload) == {"event": kept}


@pytest.mark.parametrize("code", ["", "é", COMMERCE_CODE.upper(), COMMERCE_CODE.replace("3", "1"), COMMERCE_CODE[:-1]])
def test_another_code_of_commerce(code: str) -> None:
    with pytest.raises(WebhookRefused):
        commerce(COMMERCE_SECRET).verify_webhook(COMMERCE_BODY, {"X-Cc-Webhook-Signature": code}, AT)


def test_without_secrets_nothing_is_believed() -> None:
    empty = hmac.new(b"", COMMERCE_BODY, hashlib.sha256).hexdigest()
    with pytest.raises(WebhookRefused):
        commerce().verify_webhook(COMMERCE_BODY, {"X-Cc-Webhook-Signature": empty}, AT)
    with pytest.raises(WebhookRefused):
        webhook_signatures.verify(BODY, {"X-Hook0-Signature": f"t={STAMP},v0={V0}"}, (), AT)
