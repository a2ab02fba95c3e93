"""The sandboxes of both Coinbase products accept, show and refuse what the API does."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
import requests

from gateways.coinbase.jwt import Signer

from .bench import SECONDS
from .benches.coinbase import KEY_NAME, SECRET, ProviderBench
from .benches.coinbase_commerce import ProviderBench as CommerceBench
from .specifications import all_of

SHOWN = {"id", "url", "amount", "currency", "network", "address", "status", "createdAt", "updatedAt"}
SPECIFICATIONS = all_of("coinbase", "business-checkouts.hand-written.json")


def send(coinbase: ProviderBench, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
    """Send a request with a valid token to the sandbox."""
    address = f"{coinbase.url}/coinbase{path}"
    token = Signer(KEY_NAME, SECRET).token(method, address)
    all_headers = {
        "Authorization": f"Bearer {token}",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    return requests.request(method, address, json=body, headers=all_headers, timeout=SECONDS)


# --- Business ---


def test_the_required_fields_are_those_of_the_specification() -> None:
    """Where the hand-written file is at hand; everything else here holds without it."""
    for specification in SPECIFICATIONS:
        assert set(specification["checkout"]["required"]) == SHOWN


def test_a_token_is_valid_for_one_request_only(coinbase: ProviderBench) -> None:
    signer = Signer(KEY_NAME, SECRET)
    address = f"{coinbase.url}/coinbase/checkouts"
    for request in (("POST", address), ("GET", f"{address}/x"), ("GET", "https://elsewhere.example/checkouts")):
        headers = {"Authorization": f"Bearer {signer.token(*request)}"}
        response = requests.get(address, headers=headers, timeout=SECONDS)
        assert response.status_code == 401
        assert response.json().keys() >= {"errorType", "errorMessage"}
    headers = {"Authorization": f"Bearer {signer.token('GET', address)}"}
    assert requests.get(address, headers=headers, timeout=SECONDS).ok


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
def test_a_checkout_at_fault_is_refused(coinbase: ProviderBench, changes: dict[str, Any]) -> None:
    good = {"amount": "10.00", "currency": "EUR"}
    response = send(coinbase, "POST", "/checkouts", good | changes)
    assert (response.status_code, response.json()["errorType"]) == (400, "invalid_request")


def test_a_checkout_is_shown_as_documented(coinbase: ProviderBench) -> None:
    response = send(coinbase, "POST", "/checkouts", {"amount": "10.00", "currency": "EUR"})
    assert response.status_code == 201
    assert response.json().keys() >= SHOWN
    assert (response.json()["amount"], response.json()["currency"]) == ("11.50", "USDC")
    listed = send(coinbase, "GET", "/checkouts?pageSize=1&status=ACTIVE").json()
    assert [each["id"] for each in listed["checkouts"]] == [response.json()["id"]]
    assert send(coinbase, "GET", f"/checkouts/{'0' * 24}").json()["errorType"] == "not_found"


def test_an_idempotency_key_is_a_uuid_and_for_one_request(coinbase: ProviderBench) -> None:
    good, key = {"amount": "10.00", "currency": "EUR"}, str(uuid.uuid4())
    first = send(coinbase, "POST", "/checkouts", good, X_Idempotency_Key=key)
    assert send(coinbase, "POST", "/checkouts", good, X_Idempotency_Key=key).json() == first.json()
    other = send(coinbase, "POST", "/checkouts", good | {"amount": "11.00"}, X_Idempotency_Key=key)
    assert (other.status_code, other.json()["errorType"]) == (400, "idempotency_error")
    assert send(coinbase, "POST", "/checkouts", good, X_Idempotency_Key="at_1").status_code == 400
    assert send(coinbase, "POST", "/checkouts", good).json()["id"] != first.json()["id"]


# --- Commerce ---


@pytest.mark.parametrize(
    ("headers", "status", "kind"),
    [
        ({}, 401, "authentication_error"),
        ({"X-CC-Api-Key": "other", "X-CC-Version": "2018-03-22"}, 401, "authentication_error"),
        ({"X-CC-Api-Key": "sandbox"}, 400, "invalid_request"),
        ({"X-CC-Api-Key": "sandbox", "X-CC-Version": "2018-03-22"}, 400, "invalid_request"),
    ],
)
def test_a_charge_at_fault_is_refused(commerce: CommerceBench, headers: dict[str, str], status: int, kind: str) -> None:
    response = requests.post(f"{commerce.url}/coinbase_commerce/charges", json={}, headers=headers, timeout=SECONDS)
    assert (response.status_code, response.json()["error"]["type"]) == (status, kind)


def test_charges_are_listed_by_pages(commerce: CommerceBench) -> None:
    newest = [commerce.waiting().reference for _ in range(3)][::-1]
    headers = {"X-CC-Api-Key": "sandbox", "X-CC-Version": "2018-03-22"}

    def page(**query: Any) -> list[str]:
        address = f"{commerce.url}/coinbase_commerce/charges"
        response = requests.get(address, params=query, headers=headers, timeout=SECONDS)
        return [charge["id"] for charge in response.json()["data"]]

    assert page(limit=2) == newest[:2]
    assert page(limit=1, starting_after=newest[0]) == newest[1:2]
    assert len(page(limit="x")) <= 25
