"""What PayPal shows of the checks of a card reaches the outcome. A wallet that pays without a card shows nothing."""

from __future__ import annotations

from typing import Any

import pytest

from domain.check_results import NOT_CHECKED, Check, CheckResults
from domain.money import Money
from domain.outcome import Approved, Declined
from domain.payment import Verb
from gateways.paypal.outcomes import outcome_of_capture, outcome_of_order
from gateways.paypal.responses import Capture

from .bench import new_attempt, ready_attempt
from .benches.paypal import ProviderBench
from .paypal_spec import response_schema
from .test_paypal_responses import AUTHORIZATION, CAPTURE, attempt_of, order_with

AVS: dict[str | None, Check | None] = {
    **dict.fromkeys("BDFMPY0", Check.MATCH),
    **dict.fromkeys("ACNWZ12", Check.MISMATCH),
    **dict.fromkeys(("G", "I", "R", "S", "U", "Null", "3", "4", None)),
}
CVV: dict[str | None, Check | None] = {
    **dict.fromkeys("M0", Check.MATCH),
    **dict.fromkeys("N1", Check.MISMATCH),
    **dict.fromkeys(("E", "I", "P", "S", "U", "X", "All others", "2", "3", "4", None)),
}
OF_A_NETWORK = {"E", "X"}


def shown(response: Any, **more: Any) -> CheckResults | None:
    """Return the checks of a captured order whose processor responded so."""
    capture = CAPTURE | {"processor_response": response} | more
    outcome = outcome_of_order(order_with(captures=[capture]), attempt_of(Verb.CHARGE))
    assert isinstance(outcome, Approved)
    return outcome.checks


@pytest.mark.parametrize(("code", "check"), AVS.items())
def test_every_code_of_an_address(code: str | None, check: Check | None, caplog: pytest.LogCaptureFixture) -> None:
    for network in (None, "VISA", "AMEX"):
        reference = {"network_transaction_reference": {"network": network}}
        assert shown({"avs_code": code}, **reference) == CheckResults(avs=check)
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("code", "network", "check"),
    [
        ("X", "VISA", Check.MATCH),
        ("X", "AMEX", Check.MISMATCH),
        ("X", None, None),
        ("E", "VISA", None),
        ("E", "AMEX", Check.MATCH),
        ("E", None, None),
    ],
)
def test_two_codes_of_an_address_are_another_for_american_express(
    code: str, network: str | None, check: Check | None, caplog: pytest.LogCaptureFixture
) -> None:
    reference = {"network_transaction_reference": {"network": network} if network else None}
    assert shown({"avs_code": code}, **reference) == CheckResults(avs=check)
    assert caplog.messages == []


@pytest.mark.parametrize(("code", "check"), CVV.items())
def test_every_code_of_a_security_code(code: str | None, check: Check | None, caplog: pytest.LogCaptureFixture) -> None:
    assert shown({"cvv_code": code}) == CheckResults(cvv=check)
    assert caplog.messages == []


@pytest.mark.parametrize("api", ["checkout_orders_v2", "payments_payment_v2"])
def test_the_tables_have_every_code_of_the_specification(api: str) -> None:
    for schema in response_schema(api, "processor_response"):
        fields = schema["components"]["schemas"]["processor_response"]["properties"]
        assert {*fields["avs_code"]["enum"]} == (AVS.keys() - {None}) | OF_A_NETWORK
        assert {*fields["cvv_code"]["enum"]} == CVV.keys() - {None}


@pytest.mark.parametrize("field", ["avs_code", "cvv_code"])
def test_an_unknown_code_is_no_result_and_named(field: str, caplog: pytest.LogCaptureFixture) -> None:
    assert shown({field: "Q"}) == NOT_CHECKED
    assert caplog.messages == [f"unknown word of a provider: ProcessorResponse.{field} is Q"]


@pytest.mark.parametrize("strange", [7, [], {}, False])
def test_what_cannot_be_read_makes_no_capture_malformed(strange: Any) -> None:
    assert shown({"avs_code": strange, "cvv_code": strange}) == NOT_CHECKED


def test_without_a_processors_response_nothing_was_checked() -> None:
    assert shown(None) is None
    assert shown({}) == NOT_CHECKED


def test_the_checks_of_an_authorization_stay_those_of_its_captures() -> None:
    held = AUTHORIZATION | {"processor_response": {"cvv_code": "N"}}
    for captures, verb in (([], Verb.AUTHORIZE), ([CAPTURE], Verb.AUTHORIZE)):
        outcome = outcome_of_order(order_with(authorizations=[held], captures=captures), attempt_of(verb))
        assert isinstance(outcome, Approved)
        assert outcome.checks == CheckResults(cvv=Check.MISMATCH)


def test_each_refused_capture_of_an_order_is_a_try_of_its_own() -> None:
    refused = [
        CAPTURE | {"id": id, "status": "DECLINED", "processor_response": {"avs_code": "N"}} for id in ("C1", "C2")
    ]
    references = []
    for number in (1, 2):
        outcome = outcome_of_order(order_with(captures=refused[:number]), attempt_of(Verb.CHARGE))
        assert isinstance(outcome, Declined)
        assert outcome.checks == CheckResults(avs=Check.MISMATCH)
        references.append(outcome.try_reference)
    assert references == ["C1", "C2"]
    attempt = new_attempt(ProviderBench, Verb.CAPTURE, money=Money(1000, "EUR"))
    again = outcome_of_capture(Capture.parse(refused[1]), attempt, "O1", 1000)
    assert isinstance(again, Declined)
    assert again.try_reference == "C2"


def test_a_wallet_shows_no_checks(paypal: ProviderBench) -> None:
    gateway = paypal.gateway()
    outcome = gateway.charge(ready_attempt(paypal, gateway=gateway), lambda _: None)
    assert isinstance(outcome, Approved)
    assert (outcome.checks, outcome.instrument) == (None, None)
