"""What an application tells of a payer reaches the score, and the stored reasons hold none of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from domain.decision import Policy
from domain.fraud.networks import Networks
from domain.fraud.policy import FraudPolicy
from runtime.places import IpPlaces
from tests.system import System, payment_request

pytestmark = pytest.mark.postgres

PLACES = {"203.0.113.9": {"country": {"iso_code": "KP"}}, "198.51.100.1": {"country": {"iso_code": "DE"}}}
OF_PLACES = {
    "ip_not_in_billing_country",
    "ip_not_in_card_country",
    "billing_not_in_card_country",
    "anonymous_network",
    "high_risk_country",
    "email_malformed",
    "email_disposable",
}


@pytest.fixture
def located(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system that knows where two addresses are."""
    places = IpPlaces(PLACES, Networks.parse(["203.0.113.0/24"]))
    policy = Policy(fraud=FraudPolicy(high_risk_countries=frozenset({"KP"})))
    monkeypatch.setattr(system, "runtime", replace(system.runtime, places=places, policy=policy))
    return system


def fraud_of(system: System, **facts: Any) -> dict[str, Any]:
    payment_id = system.accept(payment_request("inv", "pm_card_visa") | facts)["id"]
    system.run_until_idle()
    shown: dict[str, Any] = system.get(f"/{payment_id}", caller="operator").json["fraud"]
    return shown


def test_what_does_not_fit_together_is_a_reason_each(located: System) -> None:
    fraud = fraud_of(
        located,
        ip_address="203.0.113.9",
        email="ada@mailinator.com",
        billing_address={"country": "DE"},
        card={"country": "FR", "fingerprint": "canary-card"},
    )
    points = {reason["rule"]: reason["points"] for reason in fraud["reasons"] if reason["rule"] in OF_PLACES}
    assert set(points) == OF_PLACES - {"email_malformed"}
    assert all(found > 0 for found in points.values())
    assert not OF_PLACES & set(fraud["unavailable"])
    assert not any(told in str(fraud) for told in ("203.0.113", "mailinator", "canary", "'KP'", "'FR'"))


def test_a_customer_at_home_gives_no_reason(located: System) -> None:
    fraud = fraud_of(
        located,
        ip_address="198.51.100.1",
        email="ada@example.com",
        billing_address={"country": "de"},
        card={"country": "DE"},
    )
    assert not OF_PLACES & {reason["rule"] for reason in fraud["reasons"]}
    assert not OF_PLACES & set(fraud["unavailable"])


@pytest.mark.parametrize("address", [{}, {"ip_address": "unknown"}], ids=str)
def test_what_is_not_told_is_unavailable(located: System, address: dict[str, str]) -> None:
    fraud = fraud_of(located, **address)
    assert set(fraud["unavailable"]) >= OF_PLACES
    assert not OF_PLACES & {reason["rule"] for reason in fraud["reasons"]}


def test_without_a_database_the_places_are_unavailable_and_the_countries_told_are_not(system: System) -> None:
    fraud = fraud_of(
        system, ip_address="203.0.113.9", billing_address={"country": "DE"}, card={"country": "FR"}, email="ada@"
    )
    assert {"ip_not_in_billing_country", "ip_not_in_card_country", "anonymous_network"} <= set(fraud["unavailable"])
    fired = {reason["rule"] for reason in fraud["reasons"]} & OF_PLACES
    assert fired == {"billing_not_in_card_country", "email_malformed"}


def test_who_pays_in_two_countries_within_an_hour_has_travelled_too_fast(located: System) -> None:
    fraud_of(located, ip_address="198.51.100.1")
    located.move_clock(hours=1)
    payment_id = located.accept(payment_request("inv-2", "pm_card_visa") | {"ip_address": "203.0.113.9"})["id"]
    located.run_until_idle()
    reasons = {reason["rule"]: reason for reason in located.get(f"/{payment_id}").json["fraud"]["reasons"]}
    assert reasons["travel"]["value"] > 1_000
    assert "km/h" in reasons["travel"]["sentence"]


def test_the_guests_of_one_account_do_not_travel(located: System) -> None:
    for number, address in enumerate(["198.51.100.1", "203.0.113.9"]):
        body = payment_request(f"inv-{number}", "pm_card_visa") | {"user_id": "guest", "ip_address": address}
        payment_id = located.accept(body)["id"]
        located.run_until_idle()
    assert "travel" in located.get(f"/{payment_id}").json["fraud"]["unavailable"]
