"""The transition table of payments: which state an event leads to. docs/states.md is drawn from it."""

from __future__ import annotations

from domain.payment import CLOSED_UNPAID, COLLECTED, GIVEN_UP, IN_DUNNING, Event, State

# Where a payment may stand whose money a bank took back.
_TAKEN_BACK = IN_DUNNING | {State.REVERSED, State.UNCOLLECTIBLE, State.CANCELED}
_COLLECTING = (State.PROCESSING, State.REQUIRES_ACTION, State.PENDING, State.IN_DOUBT)


def _from(states: tuple[State, ...] | frozenset[State], event: Event, to: State) -> dict[tuple[State, Event], State]:
    return {(state, event): to for state in sorted(states)}


def _staying(states: tuple[State, ...], *events: Event) -> dict[tuple[State, Event], State]:
    return {(state, event): state for state in states for event in events}


TRANSITIONS: dict[tuple[State, Event], State] = {
    # screening
    (State.ACCEPTED, Event.FRAUD_BLOCKED): State.BLOCKED,
    (State.ACCEPTED, Event.REVIEW_REQUIRED): State.REVIEW,
    (State.REVIEW, Event.REVIEW_APPROVED): State.ACCEPTED,
    (State.REVIEW, Event.REVIEW_REJECTED): State.CANCELED,
    # what was authorized first, and scored again
    **_staying(
        (State.AUTHORIZED,),
        Event.FRAUD_BLOCKED,
        Event.HOLD_REVIEW_REQUIRED,
        Event.REVIEW_APPROVED,
        Event.REVIEW_REJECTED,
    ),
    # collecting: the call, a look-up or a webhook may bring the same outcome in any of these states
    (State.ACCEPTED, Event.CHARGE_STARTED): State.PROCESSING,
    **_from(IN_DUNNING, Event.CHARGE_STARTED, State.PROCESSING),
    # a front-end intent that could not be created is asked for again
    (State.FAILED, Event.CHARGE_STARTED): State.PROCESSING,
    **_from(_COLLECTING, Event.CHARGE_RESUMED, State.ACCEPTED),
    # PROCESSING, not ACCEPTED: the call that was in doubt may still be running, so no cancel may come in between
    (State.IN_DOUBT, Event.CHARGE_RESUMED): State.PROCESSING,
    (State.PROCESSING, Event.CHARGE_REROUTED): State.ACCEPTED,
    **_from((*_COLLECTING, State.ACCEPTED), Event.CHARGE_APPROVED, State.CAPTURED),
    **_from((*_COLLECTING, State.ACCEPTED), Event.CHARGE_AUTHORIZED, State.AUTHORIZED),
    **_from((*_COLLECTING, State.ACCEPTED), Event.CHARGE_DECLINED, State.DECLINED),
    **_from((*_COLLECTING, State.ACCEPTED), Event.CHARGE_FAILED, State.FAILED),
    **_from(
        (State.PROCESSING, State.IN_DOUBT, State.PENDING, State.ACCEPTED),
        Event.ACTION_REQUIRED,
        State.REQUIRES_ACTION,
    ),
    **_from(
        (State.PROCESSING, State.IN_DOUBT, State.REQUIRES_ACTION, State.ACCEPTED),
        Event.CHARGE_PENDING,
        State.PENDING,
    ),
    (State.PROCESSING, Event.CHARGE_IN_DOUBT): State.IN_DOUBT,
    **_from((State.PROCESSING, State.IN_DOUBT), Event.CHARGE_NOT_SENT, State.ACCEPTED),
    (State.ACCEPTED, Event.CHARGE_WITHDRAWN): State.ACCEPTED,
    # the provider's books win: a charge that surfaces late is booked
    **_from(CLOSED_UNPAID | IN_DUNNING, Event.CHARGE_APPROVED, State.CAPTURED),
    # also of one that a person has reopened, and whose money the provider shows after all
    **_staying((*sorted(COLLECTED), *sorted(_TAKEN_BACK)), Event.CHARGE_CONTRADICTED),
    # also of a payment that was reversed meanwhile, and is perhaps collected again
    **_staying(
        tuple(State),
        Event.CHARGE_DUPLICATED,
        Event.DUPLICATE_REFUND_REQUESTED,
        Event.DUPLICATE_REFUNDED,
        Event.DUPLICATE_REFUND_REVERSED,
    ),
    # money that does not match what was asked
    **_from((*_COLLECTING, State.ACCEPTED), Event.AMOUNT_MISMATCHED, State.AMOUNT_MISMATCH),
    **_staying(tuple(sorted(CLOSED_UNPAID)), Event.AMOUNT_MISMATCHED),
    **_staying(
        (State.AMOUNT_MISMATCH, *sorted(CLOSED_UNPAID)),
        Event.CAPTURE_REQUESTED,
        Event.CAPTURE_FAILED,
        Event.CAPTURE_IN_DOUBT,
    ),
    (State.AMOUNT_MISMATCH, Event.CAPTURE_SUCCEEDED): State.CAPTURED,
    # another amount is held than was asked
    **_staying((State.AMOUNT_MISMATCH,), Event.VOID_REQUESTED, Event.VOID_IN_DOUBT, Event.VOID_FAILED),
    (State.AMOUNT_MISMATCH, Event.VOID_SUCCEEDED): State.VOIDED,
    (State.AMOUNT_MISMATCH, Event.AUTHORIZATION_EXPIRED): State.EXPIRED,
    # ending without money
    **_from(
        (State.ACCEPTED, State.REVIEW, State.AMOUNT_MISMATCH, *_COLLECTING), Event.PAYMENT_CANCELED, State.CANCELED
    ),
    **_from((State.ACCEPTED, *_COLLECTING), Event.PAYMENT_EXPIRED, State.EXPIRED),
    # authorized money
    **_staying(
        (State.AUTHORIZED,),
        Event.CAPTURE_REQUESTED,
        Event.CAPTURE_FAILED,
        Event.CAPTURE_IN_DOUBT,
        Event.VOID_IN_DOUBT,
        Event.VOID_FAILED,
    ),
    **_staying((State.AUTHORIZED, State.REQUIRES_ACTION, State.ACCEPTED), Event.VOID_REQUESTED),
    **_staying((State.REQUIRES_ACTION, State.ACCEPTED), Event.VOID_IN_DOUBT),
    **_staying((State.REQUIRES_ACTION,), Event.VOID_FAILED),
    (State.AUTHORIZED, Event.CAPTURE_SUCCEEDED): State.CAPTURED,
    # somebody else captures what a capture has left over
    **_staying((State.CAPTURED, State.PARTIALLY_REFUNDED), Event.CAPTURE_SUCCEEDED),
    (State.REFUNDED, Event.CAPTURE_SUCCEEDED): State.PARTIALLY_REFUNDED,
    (State.AUTHORIZED, Event.VOID_SUCCEEDED): State.VOIDED,
    (State.AUTHORIZED, Event.AUTHORIZATION_EXPIRED): State.EXPIRED,
    # refunds
    **_staying((State.CAPTURED, State.PARTIALLY_REFUNDED), Event.REFUND_REQUESTED),
    **_staying(
        (*sorted(COLLECTED), *sorted(_TAKEN_BACK)),
        Event.REFUND_PENDING,
        Event.REFUND_IN_DOUBT,
        Event.REFUND_FAILED,
    ),
    # a refund that was under way when a bank took the money back is booked, and changes no state
    **_staying(tuple(sorted(_TAKEN_BACK)), Event.REFUNDED_PARTLY, Event.REFUND_REVERSED_PARTLY),
    **_from((State.CAPTURED, State.PARTIALLY_REFUNDED), Event.REFUNDED_PARTLY, State.PARTIALLY_REFUNDED),
    **_from((State.CAPTURED, State.PARTIALLY_REFUNDED), Event.REFUNDED_FULLY, State.REFUNDED),
    # one that had failed, was made once more, and is given after all
    **_staying((State.REFUNDED,), Event.REFUNDED_PARTLY),
    **_from((State.REFUNDED, State.PARTIALLY_REFUNDED), Event.REFUND_REVERSED_PARTLY, State.PARTIALLY_REFUNDED),
    **_from((State.REFUNDED, State.PARTIALLY_REFUNDED), Event.REFUND_REVERSED_FULLY, State.CAPTURED),
    # one that was given back before a bank took the rest, and then gave that back
    **_staying((State.CAPTURED,), Event.REFUND_REVERSED_PARTLY, Event.REFUND_REVERSED_FULLY),
    # disputes and returned debits: what the bank takes back is booked in every state
    **_staying(tuple(State), Event.DISPUTE_WITHDRAWN, Event.DISPUTE_RETURNED, Event.PAYMENT_REVERSED_PARTLY),
    **_from(COLLECTED, Event.PAYMENT_REVERSED, State.REVERSED),
    **_from(_TAKEN_BACK, Event.PAYMENT_RESTORED, State.CAPTURED),
    # dunning, also of money that was taken back
    **_from((*_COLLECTING, State.ACCEPTED, *sorted(COLLECTED)), Event.RETRY_SCHEDULED, State.PAST_DUE),
    **_from((*_COLLECTING, State.ACCEPTED, *sorted(COLLECTED)), Event.GRACE_STARTED, State.IN_GRACE),
    **_from((*_COLLECTING, State.ACCEPTED, *sorted(COLLECTED)), Event.CONSENT_WITHDRAWN, State.UNCOLLECTIBLE),
    **_from((*_COLLECTING, State.ACCEPTED), Event.GRACE_CONTINUED, State.IN_GRACE),
    **_staying(tuple(sorted(IN_DUNNING)), Event.RETRY_STARTED),
    # a retry whose instrument must not be tried, or not yet
    (State.PAST_DUE, Event.RETRY_SCHEDULED): State.PAST_DUE,
    (State.PAST_DUE, Event.GRACE_STARTED): State.IN_GRACE,
    **_from(IN_DUNNING, Event.CONSENT_WITHDRAWN, State.UNCOLLECTIBLE),
    (State.IN_GRACE, Event.GRACE_CONTINUED): State.IN_GRACE,
    (State.IN_GRACE, Event.GRACE_EXPIRED): State.UNCOLLECTIBLE,
    # also of a charge that waited to be sent meanwhile
    **_from(IN_DUNNING | {State.ACCEPTED}, Event.INVOICE_PAID_OTHERWISE, State.CANCELED),
    # after its dunning has ended without money; and dunned once more if that money is taken back
    **_staying(GIVEN_UP, Event.INVOICE_PAID_OTHERWISE),
    **_from(GIVEN_UP, Event.RETRY_SCHEDULED, State.PAST_DUE),
    **_from(GIVEN_UP, Event.GRACE_STARTED, State.IN_GRACE),
    **_from(IN_DUNNING, Event.PAYMENT_CANCELED, State.CANCELED),
}
