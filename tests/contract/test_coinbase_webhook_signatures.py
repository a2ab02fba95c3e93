"""The header `X-Hook0-Signature`, against the vectors that the webhook engine publishes."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import WebhookRefused
from gateways.coinbase import webhook_signatures

STAMP = 1636936200
AT = datetime.fromtimestamp(STAMP, UTC)
BODY, SECRET = b"hello !", "secret"
# The webhook engine's own test vectors (github.com/hook0/hook0, clients), read 2026-11-23.
V0 = "1b3d69df55f1e52f05224ba94a5162abeb17ef52cd7f4948c390f810d6a87e98"
V1 = "493c35f05443fdb74cb99fd4f00e0e7653c2ab6b24fbc97f4a7bd4d56b31758a"
NAMES = "x-test x-test2"
SIGNED = {"X-Test": "val1", "X-Test2": "val2"}


def accepts(header: str, headers: dict[str, str] | None = None, at: datetime = AT, body: bytes = BODY) -> bool:
    """Tell whether a webhook is accepted."""
    all_headers = {"X-Hook0-Signature": header} | (SIGNED if headers is None else headers)
    try:
        webhook_signatures.verify(body, all_headers, (SECRET, "another"), at)
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
def test_the_published_vectors_are_accepted(header: str) -> None:
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
        # a good version 0 never saves a version 1 that is wrong, empty, or covers headers that did not arrive
        f"t={STAMP},v0={V0},h={NAMES},v1={V0}",
        f"t={STAMP},v0={V0},h={NAMES},v1=",
        f"t={STAMP},v0={V0},v1={V1}",
        f"t={STAMP},v0={V0},h={NAMES} x-missing,v1={V1}",
        f"t={STAMP},h=x-test2 x-test,v1={V1}",
        # no document says which of two stamps counts
        f"t={STAMP},v0={V0},t={STAMP}",
    ],
)
def test_any_other_header_is_refused(header: str) -> None:
    assert not accepts(header)


def test_header_names_are_compared_without_case_but_signed_as_written() -> None:
    assert accepts(f"t={STAMP},h={NAMES},v1={V1}", {"x-TEST": "val1", "x-test2": "val2"})
    signed = f"{STAMP}.X-Test X-Test2.val1.val2.".encode() + BODY
    code = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert accepts(f"t={STAMP},h=X-Test X-Test2,v1={code}")
    assert not accepts(f"t={STAMP},h={NAMES},v1={code}")


@pytest.mark.parametrize("headers", [{}, {"X-Test": "val1"}, {"X-Test": "val1", "X-Test2": "other"}])
def test_a_missing_or_changed_header_is_refused(headers: dict[str, str]) -> None:
    assert not accepts(f"t={STAMP},v0={V0},h={NAMES},v1={V1}", headers)


def test_a_missing_header_is_not_left_out_of_the_signed_text() -> None:
    signed = f"{STAMP}.x-test x-missing.val1.".encode() + BODY
    code = hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()
    assert not accepts(f"t={STAMP},h=x-test x-missing,v1={code}")


@pytest.mark.parametrize(("seconds", "is_good"), [(-301, False), (-300, True), (0, True), (300, True), (301, False)])
def test_the_stamp_may_differ_by_exactly_five_minutes(seconds: int, is_good: bool) -> None:
    assert accepts(f"t={STAMP},h={NAMES},v1={V1}", at=AT + timedelta(seconds=seconds)) is is_good


@given(st.text(max_size=60), st.binary(max_size=20))
def test_an_arbitrary_header_is_refused_without_an_error(header: str, body: bytes) -> None:
    assert not accepts(header, body=body)


def test_without_secrets_every_signature_is_refused() -> None:
    with pytest.raises(WebhookRefused):
        webhook_signatures.verify(BODY, {"X-Hook0-Signature": f"t={STAMP},v0={V0}"}, (), AT)
