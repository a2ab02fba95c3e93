"""Which mail follows from what happens to a case, and whether one that is due is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from domain.commands import CancelRequested, DisputeSeen, GraceEnded, InvoicePaidOtherwise, RetryDue
from domain.decision import Policy
from domain.decline import Decline, DeclineClass
from domain.dunning.case import OPEN_CASES, CaseState
from domain.dunning.mail import (
    DEMANDS,
    Debt,
    Mail,
    MailPolicy,
    Stop,
    Wait,
    Waiting,
    end_of_quiet_hours,
    why_not_sent,
)
from domain.effects import Notify
from domain.outbox import MailStatus, OutboxState
from domain.outcome import Approved, Declined
from domain.payment import COLLECTED, IN_DUNNING, Attempt, AttemptStatus, DunningCase, Payment, State, Verb
from domain.state_machine import decide

NOON = datetime(2026, 11, 28, 12, tzinfo=UTC)
ON = Policy(mail=MailPolicy(is_on=True))
RETRYING = DunningCase(CaseState.RETRYING, NOON - timedelta(days=3), retry=1, due_at=None)
GRACE = replace(RETRYING, state=CaseState.IN_GRACE, retry=3)
CHARGE = Attempt("at", Verb.CHARGE, AttemptStatus.OPEN, 1000, 0, 0, 0, NOON)
SENDABLE = Waiting(Mail.FIRST_FAILURE, NOON, 0, MailStatus.OK, NOON)
OWED = Debt(State.PAST_DUE, CaseState.RETRYING, "insufficient_funds", is_told=False)


def payment(case: DunningCase | None, state: State = State.PROCESSING) -> Payment:
    return Payment("pay", state, 1000, 0, 0, 0, True, False, "sub", NOON, case=case)


def mails(trigger: Any, case: DunningCase | None, state: State = State.PROCESSING, policy: Policy = ON) -> list[Mail]:
    attempt = CHARGE if isinstance(trigger, Declined | Approved) else None
    decision = decide(payment(case, state), attempt, trigger, NOON, policy)
    assert decision is not None
    return [effect.mail for effect in decision.effects if isinstance(effect, Notify)]


def decline(decline_class: DeclineClass) -> Declined:
    return Declined("pi", Decline("card_declined", decline_class))


SOFT = decline(DeclineClass.SOFT)
PAID = Approved("pi", authorized=1000, captured=1000)


@pytest.mark.parametrize(
    ("trigger", "case", "expected"),
    [
        (SOFT, None, [Mail.FIRST_FAILURE]),
        (SOFT, replace(RETRYING, retry=0, unsent=2), [Mail.FIRST_FAILURE]),
        (SOFT, RETRYING, [Mail.MID_DUNNING]),
        (SOFT, replace(RETRYING, retry=3), [Mail.FINAL_ATTEMPT]),
        (decline(DeclineClass.TECHNICAL), None, []),
        (decline(DeclineClass.TECHNICAL), RETRYING, []),
        (decline(DeclineClass.NEEDS_CUSTOMER), None, [Mail.METHOD_UPDATE]),
        (decline(DeclineClass.HARD), RETRYING, [Mail.METHOD_UPDATE]),
        (decline(DeclineClass.CONSENT_WITHDRAWN), None, [Mail.CANCELED]),
        (PAID, RETRYING, [Mail.RECOVERED]),
        (PAID, None, []),
    ],
)
def test_a_mail_follows_from_the_end_of_a_charge(trigger: Any, case: DunningCase | None, expected: list[Mail]) -> None:
    assert mails(trigger, case) == expected
    assert mails(trigger, case, policy=Policy()) == []


@pytest.mark.parametrize(
    ("trigger", "case", "state", "expected"),
    [
        (GraceEnded(), GRACE, State.IN_GRACE, [Mail.CANCELED]),
        (InvoicePaidOtherwise(), RETRYING, State.PAST_DUE, [Mail.RECOVERED]),
        (CancelRequested(), RETRYING, State.PAST_DUE, []),
        (RetryDue(), RETRYING, State.PAST_DUE, []),
    ],
)
def test_a_mail_follows_from_a_command(trigger: Any, case: DunningCase, state: State, expected: list[Mail]) -> None:
    assert mails(trigger, case, state) == expected


@pytest.mark.parametrize(
    ("is_return", "reason", "expected"),
    [
        (True, "insufficient_funds", [Mail.FIRST_FAILURE]),
        (True, "account_closed", [Mail.METHOD_UPDATE]),
        (False, "product_not_received", []),
    ],
)
def test_a_returned_debit_is_told_and_a_dispute_is_not(is_return: bool, reason: str, expected: list[Mail]) -> None:
    captured = replace(payment(None, State.CAPTURED), captured=1000, authorized=1000)
    seen = DisputeSeen("dp", 1000, 1000, is_return=is_return, reason=reason)
    decision = decide(captured, None, seen, NOON, ON)
    assert decision is not None
    assert [effect.mail for effect in decision.effects if isinstance(effect, Notify)] == expected


# --- when it is sent ---


def test_no_demand_is_ever_sent_where_money_has_come() -> None:
    told = [Debt(state, case, None, is_told) for state, case, is_told in product(State, CaseState, (False, True))]
    sent = {
        (mail, debt.state, debt.case)
        for mail, debt in product(Mail, told)
        if mail is not Mail.CARD_EXPIRES_SOON and why_not_sent(replace(SENDABLE, mail=mail), debt) is None
    }
    assert {state for mail, state, _ in sent if mail in DEMANDS} == IN_DUNNING
    assert {case for mail, _, case in sent if mail in DEMANDS} == OPEN_CASES
    assert {mail for mail, _, _ in sent} == set(Mail) - {Mail.CARD_EXPIRES_SOON}


def test_a_demand_about_a_paid_debt_ends_at_once() -> None:
    paid = [Debt(state, case, None, is_told=True) for state, case in product(sorted(COLLECTED), CaseState)]
    found = {why_not_sent(replace(SENDABLE, mail=mail), debt) for mail, debt in product(sorted(DEMANDS), paid)}
    assert found == {Stop("no_longer_true")}


@pytest.mark.parametrize(
    ("changes", "debt", "expected"),
    [
        ({}, OWED, None),
        ({}, replace(OWED, failure_code="fraudulent"), Stop("risk")),
        ({}, replace(OWED, case=CaseState.IN_GRACE), Stop("no_longer_true")),
        ({}, replace(OWED, state=State.CAPTURED, case=CaseState.RECOVERED), Stop("no_longer_true")),
        ({"status": None}, OWED, Stop("no_address")),
        ({"status": MailStatus.COMPLAINED}, OWED, Stop("complained")),
        ({"mail": Mail.RECOVERED}, replace(OWED, case=CaseState.RECOVERED), Stop("never_told")),
        ({}, replace(OWED, state=State.PROCESSING), Wait(NOON + timedelta(minutes=5), "charge_under_way")),
        (
            {"local_now": NOON.replace(hour=22)},
            OWED,
            Wait(NOON.replace(hour=8) + timedelta(days=1), "quiet_hours"),
        ),
        ({"mail": Mail.CARD_EXPIRES_SOON}, None, None),
    ],
)
def test_whether_a_mail_is_sent(changes: dict[str, Any], debt: Debt | None, expected: Wait | Stop | None) -> None:
    assert why_not_sent(replace(SENDABLE, **changes), debt) == expected


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"begun": 2}, "outcome_unknown"), ({"since": NOON - timedelta(days=3)}, "too_old")],
)
def test_a_person_is_asked_about_a_mail_that_is_given_up(changes: dict[str, Any], word: str) -> None:
    stop = why_not_sent(replace(SENDABLE, **changes), OWED)
    assert isinstance(stop, Stop)
    assert (stop.word, stop.state) == (word, OutboxState.FAILED)
    assert stop.asks is not None


def test_eight_in_the_morning_is_eight_also_on_the_day_on_which_clocks_change() -> None:
    night = datetime(2026, 10, 24, 23, tzinfo=ZoneInfo("Europe/Berlin"))
    morning = end_of_quiet_hours(night)
    assert (morning.hour, morning.astimezone(UTC).hour) == (8, 7)
    assert night.astimezone(UTC).hour == 21
