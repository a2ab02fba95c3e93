"""What Stripe shows of a card and its checks reaches the outcome, whoever reads it, and decides nothing by itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
import requests

from domain.check_results import NOT_CHECKED, Authentication, Check, CheckResults
from domain.instrument import Instrument
from domain.outcome import ActionRequired, Approved, AuthenticationRequired, Declined, Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest
from gateways.stripe.gateway import StripeGateway
from gateways.stripe.responses import PaymentIntent, outcome_of_intent
from sandbox.server import RunningSandbox

from .bench import ATTEMPT, SECONDS, new_attempt
from .benches.stripe import ProviderBench as StripeBench
from .served import replying

CREATED = 1_795_867_200
CARD = {"brand": "visa", "fingerprint": "f1", "network": "visa", "country": "DE"}
CHARGE = {"id": "ch_1", "created": CREATED, "payment_method": "pm_1"}
PAID = {"id": "pi_1", "status": "succeeded", "currency": "eur", "amount": 1000, "amount_received": 1000}
REFUSED = {"id": "pi_1", "status": "requires_payment_method", "currency": "eur", "amount": 1000}
DECLINE = {"type": "card_error", "code": "card_declined", "charge": "ch_1"}
CHALLENGE = {"type": "invalid_request_error", "code": "payment_intent_authentication_failure"}
INVENTED = "of_tomorrow"


@pytest.fixture
def bench(sandbox: RunningSandbox) -> StripeBench:
    """Stripe's bench."""
    return StripeBench(sandbox)


@pytest.fixture
def gateway(bench: StripeBench) -> Any:
    """Stripe's gateway."""
    return bench.gateway()


def paid(**card: Any) -> Approved:
    """Return what a paid intent says whose charge shows this of its card."""
    details = {"type": "card", "card": CARD | card}
    outcome = outcome_of_intent(
        PaymentIntent.parse(PAID | {"latest_charge": CHARGE | {"payment_method_details": details}})
    )
    assert isinstance(outcome, Approved)
    return outcome


def results(**card: Any) -> CheckResults:
    found = paid(**card).checks
    assert found is not None
    return found


def refused(error: dict[str, Any], charge: dict[str, Any] | None = None) -> Declined:
    """Return what an intent says whose last confirm has failed."""
    shown = {"latest_charge": charge, "last_payment_error": error}
    outcome = outcome_of_intent(PaymentIntent.parse(REFUSED | shown))
    assert isinstance(outcome, Declined)
    return outcome


# --- words ---

WORDS = {"pass": Check.MATCH, "fail": Check.MISMATCH, "unavailable": None, "unchecked": None, None: None}
RESULTS = {
    "authenticated": Authentication.AUTHENTICATED,
    "attempt_acknowledged": Authentication.ATTEMPTED,
    "failed": Authentication.FAILED,
    "exempted": None,
    "not_supported": None,
    "processing_error": None,
    "data_share_only": None,
    None: None,
}


@pytest.mark.parametrize(("word", "check"), WORDS.items())
def test_every_word_of_a_security_code(word: str | None, check: Check | None, caplog: pytest.LogCaptureFixture) -> None:
    assert results(checks={"cvc_check": word}) == CheckResults(cvv=check)
    assert caplog.messages == []


@pytest.mark.parametrize(("line1", "postal_code"), list(product(WORDS, WORDS)))
def test_every_pair_of_words_of_an_address(
    line1: str | None, postal_code: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    shown = results(checks={"address_line1_check": line1, "address_postal_code_check": postal_code})
    pair = {line1, postal_code}
    expected = Check.MISMATCH if "fail" in pair else Check.MATCH if "pass" in pair else None
    assert shown == CheckResults(avs=expected)
    assert caplog.messages == []


@pytest.mark.parametrize(("word", "authentication"), RESULTS.items())
def test_every_result_of_an_authentication(
    word: str | None, authentication: Authentication | None, caplog: pytest.LogCaptureFixture
) -> None:
    assert results(three_d_secure={"result": word}) == CheckResults(authentication=authentication)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("card", "name"),
    [
        ({"checks": {"cvc_check": INVENTED}}, "Checks.cvc_check"),
        ({"checks": {"address_line1_check": INVENTED}}, "Checks.address_line1_check"),
        ({"checks": {"address_postal_code_check": INVENTED}}, "Checks.address_postal_code_check"),
        (
            {"checks": {"address_line1_check": "pass", "address_postal_code_check": INVENTED}},
            "Checks.address_postal_code_check",
        ),
        ({"three_d_secure": {"result": INVENTED}}, "ThreeDSecure.result"),
    ],
    ids=str,
)
def test_an_unknown_word_is_no_result_and_named(
    card: dict[str, Any], name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert results(**card) == NOT_CHECKED
    assert caplog.messages == [f"unknown word of a provider: {name} is {INVENTED}"]


def test_what_fails_beside_an_unknown_word_is_a_mismatch() -> None:
    checks = {"address_line1_check": INVENTED, "address_postal_code_check": "fail"}
    assert results(checks=checks) == CheckResults(avs=Check.MISMATCH)


@pytest.mark.parametrize(
    "card",
    [
        {"checks": None, "three_d_secure": None},
        {"checks": 7, "three_d_secure": "yes"},
        {"checks": {}, "three_d_secure": {}},
        {"checks": {"cvc_check": 7, "address_line1_check": []}, "three_d_secure": {"result": False}},
    ],
    ids=str,
)
def test_what_cannot_be_read_makes_no_payment_malformed(card: dict[str, Any]) -> None:
    outcome = paid(**card)
    assert outcome == Approved("pi_1", authorized=1000, captured=1000)
    assert outcome.checks == NOT_CHECKED


# --- the instrument ---


@pytest.mark.parametrize(
    ("card", "country", "bin"),
    [
        ({}, "DE", None),
        ({"iin": "424242"}, "DE", "424242"),
        ({"iin": "42424242"}, "DE", "42424242"),
        ({"iin": "4242"}, "DE", None),
        ({"iin": "4242424242424242"}, "DE", None),
        ({"iin": 424242}, "DE", None),
        ({"country": None}, None, None),
        ({"country": "Germany"}, None, None),
    ],
    ids=str,
)
def test_a_charge_shows_the_country_and_the_issuer_of_its_card(
    card: dict[str, Any], country: str | None, bin: str | None
) -> None:
    assert paid(**card).instrument == Instrument("f1", "visa", "pm_1", country, bin)


def test_a_bin_is_in_no_log() -> None:
    assert "424242" not in repr(paid(iin="424242"))


def test_an_intent_that_only_names_its_charge_shows_neither() -> None:
    outcome = outcome_of_intent(PaymentIntent.parse(PAID | {"latest_charge": "ch_1"}))
    assert isinstance(outcome, Approved)
    assert (outcome.instrument, outcome.checks) == (None, None)


def test_nothing_is_checked_of_a_bank_account(bench: StripeBench, gateway: Any) -> None:
    method, token = bench.pending_token(is_good=True)
    attempt = new_attempt(bench, method=method, method_token=token)
    reference = gateway.charge(attempt, lambda _: None).reference
    bench.let_bank_decide(reference, is_good=True)
    outcome = gateway.retrieve(replace(attempt, reference=reference))
    assert isinstance(outcome, Approved)
    assert outcome.checks is None
    assert outcome.instrument is not None
    assert (outcome.instrument.network, outcome.instrument.country) == ("sepa", "DE")


def test_checks_and_instrument_are_no_part_of_what_an_outcome_says() -> None:
    plain = Approved("pi_1", authorized=1000, captured=1000)
    assert paid(checks={"cvc_check": "fail"}) == plain
    assert refused(DECLINE | {"payment_method": {"id": "pm_1", "card": CARD}}) == refused(DECLINE)


# --- against the sandbox ---


@pytest.mark.parametrize("verb", [Verb.CHARGE, Verb.AUTHORIZE])
@pytest.mark.parametrize(
    ("card", "checks"),
    [
        ("visa", CheckResults(cvv=Check.MATCH)),
        ("avsFail", CheckResults(Check.MISMATCH, Check.MATCH)),
        ("avsLine1Fail", CheckResults(Check.MISMATCH, Check.MATCH)),
        ("avsZipFail", CheckResults(Check.MISMATCH, Check.MATCH)),
        ("avsUnchecked", CheckResults(cvv=Check.MATCH)),
        ("cvcCheckFail", CheckResults(cvv=Check.MISMATCH)),
    ],
)
def test_a_success_shows_its_checks_at_once_and_when_it_is_looked_up(
    bench: StripeBench, gateway: Any, verb: Verb, card: str, checks: CheckResults
) -> None:
    attempt = new_attempt(bench, verb, method_token=f"pm_card_{card}")
    saved: list[str] = []
    for outcome in (gateway.charge(attempt, saved.append), gateway.retrieve(replace(attempt, reference=saved[0]))):
        assert isinstance(outcome, Approved)
        assert outcome.checks == checks
        assert outcome.instrument is not None
        assert (outcome.instrument.network, outcome.instrument.country) == ("visa", "US")


@pytest.mark.parametrize(
    ("card", "authentication"),
    [
        ("visa", Authentication.ATTEMPTED),
        ("threeDSecureOptional", Authentication.AUTHENTICATED),
        ("threeDSecureOptionalProcessingError", None),
        ("amex_threeDSecureNotSupported", None),
    ],
)
def test_a_success_shows_how_the_requested_authentication_ended(
    bench: StripeBench, gateway: Any, card: str, authentication: Authentication | None
) -> None:
    attempt = new_attempt(bench, method_token=f"pm_card_{card}", wants_authentication=True)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, Approved)
    assert outcome.checks == CheckResults(cvv=Check.MATCH, authentication=authentication)


@pytest.mark.parametrize("is_good", [True, False])
def test_a_challenge_shows_how_it_ended(bench: StripeBench, gateway: Any, is_good: bool) -> None:
    attempt = new_attempt(bench, method_token="pm_card_threeDSecure2Required")
    waiting = gateway.charge(attempt, lambda _: None)
    assert isinstance(waiting, ActionRequired)
    bench.let_customer_act(waiting.reference, is_good=is_good)
    outcome = gateway.retrieve(replace(attempt, reference=waiting.reference))
    ended = Authentication.AUTHENTICATED if is_good else Authentication.FAILED
    assert isinstance(outcome, Approved if is_good else Declined)
    assert outcome.checks == CheckResults(cvv=Check.MATCH, authentication=ended)
    assert outcome.instrument is not None
    assert outcome.instrument.country == "IE"


def test_a_redirect_that_failed_is_no_failed_authentication_of_a_card(bench: StripeBench, gateway: Any) -> None:
    attempt = new_attempt(bench, method=PaymentMethod.KLARNA, method_token=None)
    waiting = gateway.charge(attempt, lambda _: None)
    bench.let_customer_act(waiting.reference, is_good=False)
    outcome = gateway.retrieve(replace(attempt, reference=waiting.reference))
    assert isinstance(outcome, Declined)
    assert outcome.checks is None


def test_a_decline_shows_its_checks_at_once_and_when_it_is_looked_up(bench: StripeBench, gateway: Any) -> None:
    attempt = new_attempt(bench, method_token="pm_card_chargeDeclinedIncorrectCvc")
    at_once = gateway.charge(attempt, lambda _: None)
    later = gateway.retrieve(replace(attempt, reference=at_once.reference))
    assert at_once == later
    assert at_once.checks == later.checks == CheckResults(cvv=Check.MISMATCH)
    assert at_once.try_reference == later.try_reference
    assert at_once.try_reference.startswith("ch_")


def test_a_payment_without_its_customer_shows_the_card_that_wants_them(bench: StripeBench, gateway: Any) -> None:
    attempt = new_attempt(bench, method_token="pm_card_authenticationRequired", is_off_session=True)
    outcome = gateway.charge(attempt, lambda _: None)
    assert isinstance(outcome, AuthenticationRequired)
    assert outcome.checks == CheckResults(cvv=Check.MATCH)
    assert outcome.try_reference is not None


# --- which try ---


def tried(bench: StripeBench, gateway: Any) -> Iterator[tuple[AttemptRequest, Outcome, Outcome]]:
    """Yield an intent of a front end after each of twenty declines: as it is looked up, and as its event tells."""
    attempt, saved = new_attempt(bench, method_token=None), []
    gateway.open_intent(attempt, saved.append)
    attempt = replace(attempt, reference=saved[0])
    for _ in range(20):
        params = {"payment_method": "pm_card_visa_chargeDeclined", "return_url": "https://shop.example"}
        with pytest.raises(requests.HTTPError):
            bench._call("POST", f"/v1/payment_intents/{attempt.reference}/confirm", params)
        signed = bench.signed(bench.event(attempt.reference or ""))
        told = gateway.read_webhook(signed.body.decode())
        yield attempt, gateway.retrieve(attempt), told.outcome


def test_twenty_declines_on_one_intent_are_twenty_tries(bench: StripeBench, gateway: Any) -> None:
    references = []
    for attempt, shown, told in tried(bench, gateway):
        assert isinstance(shown, Declined)
        assert isinstance(told, Declined)
        again = gateway.retrieve(attempt)
        assert shown.try_reference == told.try_reference == again.try_reference
        references.append(shown.try_reference)
    assert None not in references
    assert len(set(references)) == 20


def test_a_failed_challenge_is_another_try_than_the_decline_before_it(bench: StripeBench, gateway: Any) -> None:
    attempt, saved = new_attempt(bench, method_token=None), []
    gateway.open_intent(attempt, saved.append)
    attempt = replace(attempt, reference=saved[0])
    path = f"/v1/payment_intents/{saved[0]}/confirm"
    back = {"return_url": "https://shop.example"}
    with pytest.raises(requests.HTTPError):
        bench._call("POST", path, back | {"payment_method": "pm_card_visa_chargeDeclined"})
    declined = gateway.retrieve(attempt)
    bench._call("POST", path, back | {"payment_method": "pm_card_threeDSecure2Required"})
    bench.let_customer_act(saved[0], is_good=False)
    failed = gateway.retrieve(attempt)
    assert declined.try_reference.startswith("ch_")
    assert failed.try_reference.startswith("pm_")
    # The newest charge is still that of the declined card.
    assert (declined.instrument.country, failed.instrument.country) == ("US", "IE")
    assert failed.checks.authentication is Authentication.FAILED


@pytest.mark.parametrize(
    ("error", "charge", "fingerprint"),
    [
        (DECLINE, CHARGE, "f1"),
        (DECLINE | {"charge": "ch_2"}, CHARGE, None),
        (DECLINE | {"charge": "ch_2", "payment_method": {"id": "pm_2", "card": {"fingerprint": "f2"}}}, CHARGE, "f2"),
        (CHALLENGE | {"payment_method": {"id": "pm_2", "card": {"fingerprint": "f2"}}}, CHARGE, "f2"),
        (CHALLENGE | {"payment_method": {"id": "pm_1", "card": {"fingerprint": "f1"}}}, CHARGE, "f1"),
        (CHALLENGE, CHARGE, "f1"),
    ],
    ids=str,
)
def test_a_failed_confirm_has_the_card_that_was_tried(
    error: dict[str, Any], charge: dict[str, Any], fingerprint: str | None
) -> None:
    details = {"payment_method_details": {"type": "card", "card": CARD}}
    instrument = refused(error, charge | details).instrument
    assert (instrument.fingerprint if instrument else None) == fingerprint


@pytest.mark.parametrize("charge", [None, 7, {}, "ch 1", ""])
def test_a_charge_that_cannot_be_read_makes_no_decline_malformed(charge: Any) -> None:
    with replying((402, {"error": DECLINE | {"charge": charge}})) as served:
        gateway = StripeGateway("sk_test_sandbox", ("whsec_x",), served.url, read_seconds=SECONDS)
        outcome = gateway.charge(ATTEMPT, lambda reference: None)
    assert isinstance(outcome, Declined)
    assert outcome.try_reference is None
