"""What only a person can move on is on the attention list, and each entry has a way to end."""

from __future__ import annotations

import ast
from pathlib import Path

from domain.attention import ACTIONS, HELD, HELD_WEBHOOKS, OPENED_BY, Action, Reason
from domain.payment import Event, State
from domain.transitions import TRANSITIONS
from models.attention_actions import _ACTIONS as CARRIED_OUT
from worker.commands.payments import _WAITS_FOR

from .source import files, nodes

# Reasons that no event opens by itself: a look-up, the comparison, a reading, an open dispute, an invoice, an
# outage, a failing task, an attack or a mail does.
OPENED_OTHERWISE = {
    *(Reason.DOUBT, Reason.REFUND_ELSEWHERE, Reason.HOLD_CONTRADICTING, Reason.DISPUTE, Reason.FAILING_ROW),
    *(Reason.CREDENTIALS_REFUSED, Reason.UNMATCHED_RECEIPT, Reason.WEBHOOK_WAITING, Reason.RETRY_UNSENT),
    *(Reason.OPERATION_UNSENT, Reason.OVERPAID, Reason.MAIL_REFUSED, Reason.MAIL_UNSENT, Reason.MAIL_HELD_BACK),
    *(Reason.COMPARISON_SKIPPED, Reason.PARTLY_LOST, Reason.FRAUD_BRAKE),
}
# An operation that is asked for may be refused: each of them leaves what was asked for undone.
REFUSED = {Event.VOID_FAILED, Event.CAPTURE_FAILED}


def test_every_reason_has_an_action_that_ends_it() -> None:
    assert ACTIONS.keys() == set(Reason)
    assert [reason for reason, actions in ACTIONS.items() if Action.CLOSE not in actions] == []


def test_every_action_is_allowed_for_some_reason_and_carried_out() -> None:
    assert {action for actions in ACTIONS.values() for action in actions} == set(Action) == CARRIED_OUT.keys()


def test_every_reason_is_opened_somewhere() -> None:
    assert {*OPENED_BY.values(), *HELD_WEBHOOKS.values(), *OPENED_OTHERWISE} == set(Reason)
    named = {
        node.attr
        for file in files("models", "domain")
        if file not in (Path("domain/attention.py"), Path("models/attention_actions.py"))
        for node in nodes(file)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    assert {reason.name for reason in OPENED_OTHERWISE} <= named


def test_states_that_only_a_person_leaves_are_held() -> None:
    waiting = {state for state, what in _WAITS_FOR.items() if "operator" in what}
    assert HELD.keys() == waiting == {State.REVIEW, State.AMOUNT_MISMATCH}


def test_every_event_that_leads_into_such_a_state_opens_an_entry() -> None:
    into = {(event, to) for (state, event), to in TRANSITIONS.items() if to in HELD and state is not to}
    assert into
    assert {event: HELD[to] for event, to in into}.items() <= OPENED_BY.items()


def test_every_event_that_opens_an_entry_can_happen() -> None:
    assert OPENED_BY.keys() <= {event for _, event in TRANSITIONS}
    assert OPENED_BY.keys() >= REFUSED
