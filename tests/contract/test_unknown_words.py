"""Every gateway: a word that no table has is doubt, whatever word it is and whoever reads it, and the log names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from domain.outcome import InDoubt, NotSent, Outcome
from domain.payment import Verb
from gateways.base import AttemptRequest, Gateway
from sandbox.server import RunningSandbox

from .bench import Bench, Books, new_attempt, now, ready_attempt
from .benches.paypal import ProviderBench as PayPalBench
from .benches.stripe import ProviderBench as StripeBench
from .planted_words import INVENTED, PlantedWord, models_of, name_of, words_of
from .test_gateway_operations import call, charged, operation

# Words that these calls do not read. Those of disputes are below and in tests/integration/test_provider_disputes.py,
# those of crypto that a person decides in the tests of Commerce's responses, those of a reversal in the tests of
# Afterpay's operations, PayPal's verdict on a webhook in those of its client, those of mandates and subscriptions in
# those of their events, that of a setup in those of Stripe's saved methods, that of an early fraud warning in those of
# Stripe's events about fraud, that of 3-D Secure in those of Stripe's checks. The others are only shown.
ELSEWHERE = {
    "afterpay": {"ReversalRefusal.message", "Dispute.status"},
    "stripe": {
        *("Dispute.status", "Dispute.reason", "WebhookEndpoint.status"),
        *("DisputeWithMoney.status", "DisputeWithMoney.reason"),
        *("Mandate.status", "SetupIntent.status", "Subscription.status"),
        *("EarlyFraudWarning.fraud_type", "ThreeDSecure.result"),
    },
    # Refusable: never in a response, only its subclasses.
    "paypal": {
        *("DisputeOutcome.outcome_code", "SignatureVerification.verification_status", "Refusable.status"),
        *("Dispute.status", "Subscription.status", "_Outcome.outcome_code", "DisputedCapture.status"),
        *("_MoneyMovement.affected_party", "_MoneyMovement.reason", "_MoneyMovement.type"),
    },
    "coinbase": {"CheckoutHistory.status"},
    "coinbase_commerce": {
        *("Payment.status", "TimelineEntry.context"),
        *("TimedEntry.status", "TimedEntry.context", "NetworkPayment.status"),
    },
}
# What was checked of a card says nothing about its charge: an unknown word is no check, and null is a known one.
OF_CHECKS = {
    *("Checks.address_line1_check", "Checks.address_postal_code_check", "Checks.cvc_check"),
    *("ProcessorResponse.avs_code", "ProcessorResponse.cvv_code"),
}


@dataclass(frozen=True)
class Case:
    """A call that reads responses."""

    name: str
    prepare: Callable[[], AttemptRequest]
    call: Callable[[AttemptRequest], Outcome]


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> PlantedWord:
    """A word that is changed in one of the responses."""
    return PlantedWord(monkeypatch)


def test_an_unknown_word_is_doubt_and_named(
    provider: Bench, gateway: Gateway, planted: PlantedWord, books: Books, caplog: pytest.LogCaptureFixture
) -> None:
    read: set[str] = set()
    for case in cases(provider, gateway):
        prepared = case.prepare()
        planted.note()
        genuine = case.call(prepared)
        for spot in tuple(planted.spots):
            for word in (None, INVENTED):
                planted.disarm()
                prepared = case.prepare()
                before = books.movements(prepared.payment_id)
                caplog.clear()
                planted.arm(spot, word)
                outcome = case.call(prepared)
                what = f"{case.name}: {spot.name} is {word}: {outcome}"
                if not planted.is_read:
                    assert type(outcome) is type(genuine), what
                    continue
                read.add(spot.name)
                said = "null" if word is None else word
                is_known = word is None and spot.name in OF_CHECKS
                assert (f"unknown word of a provider: {spot.name} is {said}" in caplog.messages) is not is_known, what
                if spot.name in OF_CHECKS:
                    assert type(outcome) is type(genuine), what
                    continue
                if prepared.verb.is_collecting and prepared.reference is None and isinstance(outcome, NotSent):
                    # Opening a charge cannot move money by itself, so that a lost response does no harm.
                    assert outcome.is_retryable, what
                    assert books.movements(prepared.payment_id) == before, what
                else:
                    assert isinstance(outcome, InDoubt), what
        planted.disarm()
    package = provider.provider.removesuffix("_saved")
    unread = {name_of(model, word) for model in models_of(package) for word in words_of(model)} - read
    # The same gateway in another way has fewer responses to read.
    assert unread >= ELSEWHERE.get(package, set())
    assert unread == ELSEWHERE.get(package, set()) or package != provider.provider


def cases(provider: Bench, gateway: Gateway) -> Iterator[Case]:
    """Yield every call of a provider that reads a response."""

    def charge(attempt: AttemptRequest) -> Outcome:
        return gateway.charge(attempt, lambda _: None)

    def opened() -> AttemptRequest:
        attempt, saved = new_attempt(provider, method_token=provider.tokens.get("authentication")), []
        gateway.charge(attempt, saved.append)
        return replace(attempt, reference=saved[0])

    def declined() -> AttemptRequest:
        attempt = ready_attempt(provider, card="hard", gateway=gateway)
        return replace(attempt, reference=charge(attempt).reference)

    yield Case("open", lambda: new_attempt(provider), charge)
    yield Case("charge", lambda: ready_attempt(provider, gateway=gateway), charge)
    yield Case("look a charge up", lambda: charged(provider, gateway), gateway.retrieve)
    yield Case("decline", lambda: ready_attempt(provider, card="hard", gateway=gateway), charge)
    yield Case("look a decline up", declined, gateway.retrieve)
    if "action" in provider.features:
        yield Case("look an open charge up", opened, gateway.retrieve)
    if "authorize" in provider.features:
        held = Verb.AUTHORIZE
        yield Case("authorize", lambda: ready_attempt(provider, held, gateway=gateway), charge)
        yield Case("look an authorization up", lambda: charged(provider, gateway, held), gateway.retrieve)
    if "void_unfinished" in provider.features:
        yield Case("close", lambda: operation(opened(), Verb.VOID, reason="expired"), gateway.void)
    yield from operations(provider, gateway)
    yield from webhooks(provider, gateway)


def operations(provider: Bench, gateway: Gateway) -> Iterator[Case]:
    """Yield the operations that a provider has, and their look-ups."""
    needed = {Verb.CAPTURE: "authorize", Verb.VOID: "authorize", Verb.REFUND: "refund"}
    for verb in (verb for verb, feature in needed.items() if feature in provider.features):

        def new(verb: Verb = verb) -> AttemptRequest:
            return operation(charged(provider, gateway, Verb.CHARGE if verb is Verb.REFUND else Verb.AUTHORIZE), verb)

        def done(new: Callable[[], AttemptRequest] = new) -> AttemptRequest:
            sent = new()
            return replace(sent, reference=call(gateway, sent).reference)

        def lost(done: Callable[[], AttemptRequest] = done) -> AttemptRequest:
            return replace(done(), reference=None)

        yield Case(verb, new, lambda one: call(gateway, one))
        yield Case(f"repeat a {verb}", done, lambda one: call(gateway, replace(one, retries=1)))
        yield Case(f"look a {verb} up", done, gateway.retrieve)
        yield Case(f"look a lost {verb} up", lost, gateway.retrieve)
        yield Case(f"look a {verb} up that was not made", new, gateway.retrieve)


def webhooks(provider: Bench, gateway: Gateway) -> Iterator[Case]:
    """Yield the reading of webhooks. One that proves nothing is looked up, as doubt is."""
    payloads: dict[str, str] = {}

    def receive(attempt: AttemptRequest, reference: str) -> AttemptRequest:
        sent = provider.signed(provider.event(reference))
        payloads[attempt.attempt_id] = gateway.verify_webhook(sent.body, sent.headers, now(), sent.url).payload
        return attempt

    def of_charge() -> AttemptRequest:
        first = charged(provider, gateway)
        return receive(first, first.reference)

    def of_refund() -> AttemptRequest:
        attempt = operation(charged(provider, gateway), Verb.REFUND)
        return receive(attempt, call(gateway, attempt).reference)

    def read(attempt: AttemptRequest) -> Any:
        event = gateway.read_webhook(payloads[attempt.attempt_id])
        assert event is not None
        return event.outcome or InDoubt("looked up")

    if "webhooks" in provider.features:
        yield Case("webhook of a charge", of_charge, read)
    if "refund_webhooks" in provider.features:
        yield Case("webhook of a refund", of_refund, read)


# --- disputes ---

STRIPE_DISPUTE = {"object": "dispute", "id": "dp_1", "payment_intent": "pi_1", "amount": 1000, "currency": "eur"}
DISPUTES = [
    ("stripe", "charge.dispute.closed", {"status": "won", "reason": "general"}, "status", "dispute_closed"),
    ("stripe", "charge.dispute.created", {"status": "lost", "reason": "no_account"}, "reason", "dispute_opened"),
    ("paypal", "CUSTOMER.DISPUTE.RESOLVED", {}, "outcome_code", "dispute_closed"),
]


@pytest.mark.parametrize("word", [None, INVENTED])
@pytest.mark.parametrize(("provider_name", "type", "fields", "name", "recorded"), DISPUTES)
def test_a_dispute_with_an_unknown_word_is_recorded_as_what_its_event_says(
    sandbox: RunningSandbox,
    caplog: pytest.LogCaptureFixture,
    provider_name: str,
    type: str,
    fields: dict[str, Any],
    name: str,
    recorded: str,
    word: str | None,
) -> None:
    changed = fields | {name: word}
    if provider_name == "stripe":
        event = {"type": type, "data": {"object": STRIPE_DISPUTE | changed}}
        read = StripeBench(sandbox).gateway().read_webhook(json.dumps(event))
    else:
        event = {"event_type": type, "resource": {"dispute_id": "PP-1", "dispute_outcome": changed}}
        read = PayPalBench(sandbox).gateway().read_webhook(json.dumps(event))
    assert read is not None
    assert read.side_event is not None
    assert read.side_event.name == recorded
    assert read.outcome is None
    assert [message for message in caplog.messages if f".{name} is " in message]
