"""Attacks on the order of scores, reviews and captures: nothing is captured that a person has not let pass."""

from __future__ import annotations

from dataclasses import replace

import pytest
import requests

from domain.fraud.rule_set import Curve, RuleSet
from domain.outcome import NotSent
from models import transition
from models.tables import attempts, fraud_limits, fraud_reviews
from models.task_messages import EXPIRE_REVIEW, FORGET_SIGNALS, SCORE
from tests.acceptance.harness import HTTP_SECONDS
from tests.provider import SECRET_KEY
from tests.system import AMOUNT, System

pytestmark = pytest.mark.postgres

STRICT = RuleSet("strict", {"cvv_mismatch": Curve((1,), (55,))})
DEAR = RuleSet("dear", {"amount": Curve((500,), (80,))})


def use(system: System, rule_set: RuleSet) -> None:
    policy = system.runtime.policy
    object.__setattr__(system.runtime, "policy", replace(policy, fraud=replace(policy.fraud, rule_set=rule_set)))
    system.runtime.rule_sets.forget()


def verbs(system: System, payment_id: str) -> list[str]:
    rows = system.rows(attempts, attempts.c.payment_id == payment_id)
    return [row.verb for row in sorted(rows, key=lambda row: row.number)]


def test_a_repeated_score_that_comes_first_does_not_let_a_payment_pass(system: System) -> None:
    use(system, DEAR)
    payment_id = system.pay(amount="500.00")
    system.run(SCORE, payment_id)
    system.run(SCORE, payment_id)
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()) == ("blocked", [])
    system.run(SCORE, payment_id)


def test_a_repeated_score_during_the_charge_approves_nothing(system: System) -> None:
    use(system, STRICT)
    payment_id = system.pay(card="pm_card_cvcCheckFail")
    harsher = RuleSet("harsher", {"amount": Curve((1,), (55,))})

    def score_again() -> None:
        use(system, harsher)
        system.run(SCORE, payment_id)
        use(system, STRICT)

    system.during_next("charge", score_again)
    system.run_until_idle()
    assert (system.state(payment_id), system.provider.movements()) == ("authorized", [("authorization", AMOUNT)])


def held(system: System) -> str:
    use(system, STRICT)
    payment_id = system.pay(card="pm_card_cvcCheckFail")
    system.run_until_idle()
    assert system.state(payment_id) == "authorized"
    return payment_id


def test_a_canceled_hold_is_not_captured_by_a_late_approval(system: System) -> None:
    payment_id = held(system)
    system.request(f"/{payment_id}/cancel")
    response = system.post(f"/{payment_id}/review", {"decision": "approve"}, caller="operator")
    assert response.status_code == 409
    assert verbs(system, payment_id) == ["authorize", "void"]
    system.run_until_idle()
    assert system.state(payment_id) == "voided"


def test_a_canceled_hold_has_one_void_when_its_review_expires(system: System) -> None:
    payment_id = held(system)
    system.request(f"/{payment_id}/cancel")
    [review] = system.rows(fraud_reviews, fraud_reviews.c.payment_id == payment_id)
    system.messages.clear()
    system.move_clock(days=6, hours=22)
    system.run(EXPIRE_REVIEW, review.id)
    assert verbs(system, payment_id) == ["authorize", "void"]
    system.sweep()
    system.run_until_idle()
    assert system.state(payment_id) in ("voided", "expired")


def test_money_of_a_blocked_payment_whose_void_was_refused_is_not_captured(system: System) -> None:
    use(system, RuleSet("strict", {"cvv_mismatch": Curve((1,), (70,))}))
    payment_id = system.pay(card="pm_card_cvcCheckFail")
    system.run_published()
    assert verbs(system, payment_id) == ["authorize", "void"]
    [void] = [row for row in system.rows(attempts, attempts.c.payment_id == payment_id) if row.verb == "void"]
    system.runtime.change("worker", transition.apply, void.id, NotSent("refused", is_retryable=False))
    system.messages.clear()
    assert system.state(payment_id) == "authorized"
    assert system.post(f"/{payment_id}/capture").status_code == 409


def authenticate(system: System, payment_id: str) -> None:
    """Let the customer pass the challenge of their bank."""
    system.provider.control(f"intents/{system.reference(payment_id)}/authenticate", {"result": "success"})


@pytest.mark.parametrize("points", [0, 55, 70])
def test_a_cancel_comes_before_what_an_authenticated_charge_leads_to(system: System, points: int) -> None:
    """`points`: of the second score: to be captured, to be reviewed, or blocked."""
    curves = {"cvv_mismatch": Curve((1,), (100,)), "authenticated": Curve((1,), (points,))}
    use(system, RuleSet("lifting", curves))
    payment_id = system.pay(card="pm_card_threeDSecure2Required")
    system.run_until_idle()
    assert system.state(payment_id) == "requires_action"
    system.request(f"/{payment_id}/cancel")
    [void] = list(system.messages)
    system.messages.clear()
    authenticate(system, payment_id)
    system.get(f"/returns/{system.attempts(payment_id)[0].id}", caller=None)
    system.run_until_idle()
    assert (system.state(payment_id), verbs(system, payment_id)) == ("authorized", ["authorize", "void"])
    system.run(*void)
    system.run_until_idle()
    assert system.state(payment_id) == "voided"


def test_a_worker_that_dies_with_the_authorization_captures_it_once(system: System) -> None:
    use(system, RuleSet("lifting", {"cvv_mismatch": Curve((1,), (60,))}))
    payment_id = system.pay()

    def die() -> None:
        raise KeyboardInterrupt

    system.during_next("charge", die, after_response=True)
    with pytest.raises(KeyboardInterrupt):
        system.run_until_idle()
    system.messages.clear()
    system.advance(minutes=10)
    system.advance(minutes=10)
    assert system.state(payment_id) == "captured"
    assert system.provider.movements() == [("authorization", AMOUNT), ("capture", AMOUNT)]


def test_an_authorization_that_a_look_up_shows_waits_for_a_person(system: System) -> None:
    use(system, STRICT)
    payment_id = system.pay(card="pm_card_cvcCheckFail")

    def die() -> None:
        raise KeyboardInterrupt

    system.during_next("charge", die, after_response=True)
    with pytest.raises(KeyboardInterrupt):
        system.run_until_idle()
    system.messages.clear()
    system.advance(minutes=10)
    system.advance(minutes=10)
    assert system.state(payment_id) == "authorized"
    assert system.provider.movements() == [("authorization", AMOUNT)]


def test_an_authorization_that_a_webhook_shows_first_waits_for_a_person(system: System) -> None:
    use(system, STRICT)
    payment_id = system.pay(card="pm_card_cvcCheckFail")

    def hear() -> None:
        reference = system.reference(payment_id)
        messages, system.messages[:] = list(system.messages), []
        system.deliver_and_run(system.provider.event("payment_intent.amount_capturable_updated", reference))
        system.messages[:0] = messages

    system.during_next("charge", hear, after_response=True)
    system.run_until_idle()
    system.advance(minutes=2)
    assert system.state(payment_id) == "authorized"
    assert system.provider.movements() == [("authorization", AMOUNT)]


def test_what_a_person_has_approved_is_not_refused_for_what_was_tried_since(system: System) -> None:
    """Its own slot is a day old by then, and its score is lower than before."""
    system.screen_by(attempts_per_day=1, rule_set=RuleSet("reviewing", {"amount": Curve((500,), (55,))}))
    payment_id = system.pay(amount="500.00")
    system.run_until_idle()
    assert system.state(payment_id) == "review"
    system.advance(hours=25)
    other = system.pay("other")
    system.run_until_idle()
    assert system.state(other) == "captured"
    use(system, RuleSet("calm", {}))
    system.request(f"/{payment_id}/review", {"decision": "approve"}, caller="operator")
    system.run_until_idle()
    assert system.state(payment_id) == "captured"


def test_an_intent_that_is_too_old_and_has_used_up_a_limit_is_canceled_once(system: System) -> None:
    system.screen_by(attempts_per_day=1, rule_set=RuleSet("none", {}))
    body = {"user_id": "user", "amount": "12.30", "currency": "EUR"}
    system.call("PUT", "/invoices/inv", body)
    intent = system.request("/stripe-intent", {"invoice_id": "inv"})
    system.messages.clear()
    system.move_clock(hours=25)
    reference = str(intent["client_secret"]).partition("_secret_")[0]
    declined = requests.post(
        f"{system.sandbox.url}/v1/payment_intents/{reference}/confirm",
        data={"payment_method": "pm_card_visa_chargeDeclined", "return_url": "https://shop.example/back"},
        auth=(SECRET_KEY, ""),
        timeout=HTTP_SECONDS,
    )
    assert declined.status_code == 402
    system.sweep()
    system.run_until_idle()
    assert verbs(system, intent["payment_id"]) == ["charge", "void"]
    assert system.state(intent["payment_id"]) in ("expired", "canceled")


def test_an_entity_whose_tries_are_forgotten_leaves_no_limit_behind(system: System) -> None:
    system.screen_by(attempts_per_day=2, rule_set=RuleSet("none", {}))
    system.pay()
    system.run_until_idle()
    system.run(FORGET_SIGNALS)
    assert system.rows(fraud_limits) != []
    system.move_clock(days=3)
    system.run(FORGET_SIGNALS)
    assert system.rows(fraud_limits) == []


def test_a_subscription_ends_while_its_authorized_payment_is_captured(system: System) -> None:
    use(system, RuleSet("lifting", {"cvv_mismatch": Curve((1,), (60,))}))
    payment_id = system.pay(subscription_id="sub", off_session=False)
    system.run_published()
    assert (system.state(payment_id), verbs(system, payment_id)) == ("authorized", ["authorize", "capture"])
    ended = system.post("/subscriptions/sub/cancel", {})
    assert ended.status_code == 200, ended.text
    system.run_until_idle()
    assert system.state(payment_id) == "captured"
