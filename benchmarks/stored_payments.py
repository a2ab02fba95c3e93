"""Stores many payments at once by SQL, as Celeriac would have left them: in many states, with movements that add up."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from benchmarks.provider import AMOUNT, EVENTS, ROW
from domain.movement import MovementKind, amounts_of

# Of a row of payments: how many, their state, the attempt's verb and status, and movements. The provider shows those
# that are authorized as held, by their place.
_CASES: list[tuple[int, str, str, str, list[tuple[str, int]]]] = [
    (10, "captured", "charge", "succeeded", [("charge", AMOUNT)]),
    (2, "captured", "authorize", "succeeded", [("authorization", AMOUNT), ("capture", AMOUNT)]),
    (1, "partially_refunded", "charge", "succeeded", [("charge", AMOUNT), ("refund", -AMOUNT // 4)]),
    (1, "refunded", "charge", "succeeded", [("charge", AMOUNT), ("refund", -AMOUNT)]),
    (2, "authorized", "authorize", "succeeded", [("authorization", AMOUNT)]),
    (1, "voided", "authorize", "canceled", [("authorization", AMOUNT), ("release", -AMOUNT)]),
    (1, "declined", "charge", "declined", []),
    (1, "reversed", "charge", "succeeded", [("charge", AMOUNT), ("dispute", -AMOUNT)]),
    (1, "pending", "charge", "pending", []),
]
# The newest payment is of now, the oldest of the day before the last step of the comparison.
_SPAN = timedelta(days=92)

_TABLES = """
CREATE TEMP TABLE cases (slot int, state text, verb text, status text, authorized int, captured int, refunded int,
    reversed int) ON COMMIT DROP;
CREATE TEMP TABLE moves (slot int, kind text, amount int) ON COMMIT DROP;
CREATE TEMP TABLE numbers ON COMMIT DROP AS
    SELECT k, k % :row AS slot, 'pay_' || lpad(k::text, 12, '0') AS payment_id,
        'at_' || lpad(k::text, 12, '0') AS attempt_id,
        CAST(:now AS timestamptz) - (k + 1) * CAST(:gap AS interval) AS at
    FROM generate_series(0, :payments - 1) AS k
"""
_CASE = text("INSERT INTO cases VALUES (:slot, :state, :verb, :status, :authorized, :captured, :refunded, :reversed)")
_MOVE = text("INSERT INTO moves VALUES (:slot, :kind, :amount)")
_ROWS = """
INSERT INTO invoices (id, application, user_id, amount, currency, created_at, updated_at)
    SELECT 'inv_' || k, 'bench', 'user_' || k, :amount, 'EUR', at, at FROM numbers;
INSERT INTO payments (id, application, invoice_id, user_id, amount, currency, method, provider, is_captured_later,
        is_off_session, is_client_confirmed, state, authorized, captured, refunded, reversed, received, lost,
        duplicated, created_at, updated_at)
    SELECT payment_id, 'bench', 'inv_' || k, 'user_' || k, :amount, 'EUR', 'credit_card', 'stripe', false, true, false,
        state, authorized, captured, refunded, reversed, 0, 0, 0, at, at
    FROM numbers JOIN cases USING (slot);
INSERT INTO attempts (id, payment_id, number, verb, provider, amount, status, provider_reference, fencing_token, claims,
        retries, key_number, key_state, lookups, failures, actor, created_at, finished_at, due_at)
    SELECT attempt_id, payment_id, 1, verb, 'stripe', :amount, status, 'pi_' || k, 2, 1, 0, 0, 'usable', 0, 0,
        'worker', at, at, CASE WHEN state = 'authorized' THEN :now + CAST(:span AS interval) END
    FROM numbers JOIN cases USING (slot);
INSERT INTO movements (payment_id, attempt_id, provider, provider_id, kind, amount, currency, source, booked_at)
    SELECT payment_id, attempt_id, 'stripe', 'pi_' || k, kind, amount, 'EUR', 'worker', at
    FROM numbers JOIN moves USING (slot);
INSERT INTO webhook_events (id, provider, event_id, type, payload, status, tries, failures, received_at)
    SELECT 'wh_' || k, 'stripe', 'evt_' || k, 'payment_intent.succeeded', '{}', 'applied', 0, 0, :now
    FROM generate_series(0, greatest(2 * :payments, :events) - 1) AS k;
ANALYZE
"""


def store_payments(connection: Connection, payments: int, now: datetime) -> None:
    """Store so many payments of one application at Stripe, each with an invoice, an attempt and two webhook events."""
    spans = {"gap": _SPAN / payments, "span": _SPAN}
    given = {"payments": payments, "now": now, "row": ROW, "amount": AMOUNT, "events": EVENTS, **spans}
    _run(connection, _TABLES, given)
    for slot, (_, state, verb, status, moves) in enumerate(case for case in _CASES for _ in range(case[0])):
        amounts = amounts_of({MovementKind(kind): amount for kind, amount in moves})
        connection.execute(_CASE, {"slot": slot, "state": state, "verb": verb, "status": status} | amounts)
        for kind, amount in moves:
            connection.execute(_MOVE, {"slot": slot, "kind": kind, "amount": amount})
    _run(connection, _ROWS, given)


def _run(connection: Connection, script: str, given: dict[str, object]) -> None:
    for statement in script.split(";"):
        connection.execute(text(statement), given)
