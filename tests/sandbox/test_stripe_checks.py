"""What Stripe's charges in the sandbox show of the checks of each test card, and of 3-D Secure."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe_client import RETURN_URL, Bench


def card_of(bench: Bench, id: str) -> Any:
    return bench.retrieve(id).latest_charge.payment_method_details.card


@pytest.mark.parametrize("prefix", ["pm_card_", "tok_"])
@pytest.mark.parametrize(
    ("name", "checks"),
    [
        ("visa", (None, None, "pass")),
        ("avsFail", ("fail", "fail", "pass")),
        ("avsLine1Fail", ("fail", None, "pass")),
        ("avsZipFail", (None, "fail", "pass")),
        ("avsZipFailElevatedRisk", (None, "fail", "pass")),
        ("avsUnchecked", ("unavailable", "unavailable", "pass")),
        ("cvcCheckFail", (None, None, "fail")),
        ("cvcCheckFailElevatedRisk", (None, None, "fail")),
    ],
)
def test_a_card_for_checks_is_charged_and_shows_them(
    bench: Bench, prefix: str, name: str, checks: tuple[str | None, ...]
) -> None:
    method = f"{prefix}{name}"
    if prefix == "tok_":
        method = bench.client.v1.payment_methods.create({"type": "card", "card": {"token": method}}).id
    intent = bench.pay(method)
    assert intent.status == "succeeded"
    shown = card_of(bench, intent.id).checks
    assert (shown.address_line1_check, shown.address_postal_code_check, shown.cvc_check) == checks
    is_elevated = bench.retrieve(intent.id).latest_charge.outcome.risk_level == "elevated"
    assert is_elevated == name.endswith("ElevatedRisk")


def test_a_declined_charge_shows_the_check_that_failed(bench: Bench) -> None:
    with pytest.raises(stripe.CardError) as refusal:
        bench.pay("pm_card_chargeDeclinedIncorrectCvc")
    error = refusal.value.error.to_dict()
    assert error["payment_method"]["card"]["checks"]["cvc_check"] == "fail"
    assert card_of(bench, error["payment_intent"]["id"]).checks.cvc_check == "fail"
    assert bench.retrieve(error["payment_intent"]["id"]).latest_charge.id == error["charge"]


@pytest.mark.parametrize(
    ("card", "result", "flow"),
    [
        ("pm_card_visa", "attempt_acknowledged", None),
        ("pm_card_avsFail", "attempt_acknowledged", None),
        ("pm_card_threeDSecureOptional", "authenticated", "frictionless"),
        ("pm_card_threeDSecureOptionalProcessingError", "processing_error", None),
    ],
)
def test_a_request_for_authentication_ends_without_a_challenge(
    bench: Bench, card: str, result: str, flow: str | None
) -> None:
    options = {"card": {"request_three_d_secure": "any"}}
    intent = bench.pay(card, return_url=RETURN_URL, payment_method_options=options)
    assert intent.status == "succeeded"
    shown = card_of(bench, intent.id).three_d_secure
    assert (shown.result, shown.authentication_flow) == (result, flow)


def test_without_a_request_nothing_is_authenticated(bench: Bench) -> None:
    assert card_of(bench, bench.pay("pm_card_threeDSecureOptional").id).three_d_secure is None
    options = {"card": {"request_three_d_secure": "any"}}
    never = bench.pay("pm_card_amex_threeDSecureNotSupported", return_url=RETURN_URL, payment_method_options=options)
    assert card_of(bench, never.id).three_d_secure is None


def test_an_ordinary_card_is_never_challenged(bench: Bench) -> None:
    options = {"card": {"request_three_d_secure": "challenge"}}
    assert bench.pay(return_url=RETURN_URL, payment_method_options=options).status == "succeeded"


def test_an_authenticated_customer_can_be_declined(bench: Bench) -> None:
    intent = bench.pay("pm_card_threeDSecureRequiredChargeDeclined", return_url=RETURN_URL)
    after = bench.control("POST", f"intents/{intent.id}/authenticate", {"result": "success"})
    assert after["last_payment_error"]["decline_code"] == "generic_decline"
    assert card_of(bench, intent.id).three_d_secure.result == "authenticated"


@pytest.mark.parametrize("country", ["BR", "CA", "DE", "FR", "GB", "US"])
def test_a_card_shows_the_country_of_its_issuer(bench: Bench, country: str) -> None:
    assert card_of(bench, bench.pay(f"pm_card_{country.lower()}").id).country == country


def test_cards_of_other_numbers_have_other_fingerprints(bench: Bench) -> None:
    cards = [card_of(bench, bench.pay(f"pm_card_{name}").id) for name in ("ca", "gb", "visa", "us")]
    assert [card.last4 for card in cards] == ["0000", "0000", "4242", "4242"]
    first, second, third, fourth = [card.fingerprint for card in cards]
    assert first != second
    assert third == fourth
