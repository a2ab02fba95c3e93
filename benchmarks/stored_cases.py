"""Stores many subscriptions at once by SQL, each with a payment, an attempt and a dunning case, most of them closed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, text

from benchmarks.provider import AMOUNT
from domain.dunning.policy import STANDARD

# Of a hundred cases: how many, their state, the state of their payment, its attempt and its subscription.
_CASES = (
    (5, "retrying", "past_due", "declined", "past_due"),
    (2, "in_grace", "in_grace", "declined", "past_due"),
    (70, "recovered", "captured", "succeeded", "active"),
    (20, "exhausted", "uncollectible", "declined", "canceled"),
    (3, "stopped", "declined", "declined", "active"),
)
# The cases of the sweep are spread evenly over the table, and become due in the hour that begins then.
DUE_IN = timedelta(hours=1)
_NUMBERS = """
CREATE TEMP TABLE kinds (slot int PRIMARY KEY, "case" text, payment text, attempt text, subscription text)
    ON COMMIT DROP;
CREATE TEMP TABLE numbers ON COMMIT DROP AS
    SELECT k, k % (:subscriptions / :due) = 0 AND k / (:subscriptions / :due) < :due AS is_due, k * 37 % 100 AS slot,
        'pay_' || lpad(k::text, 12, '0') AS payment_id, 'at_' || lpad(k::text, 12, '0') AS attempt_id,
        CAST(:now AS timestamptz) - (k + 1) * CAST(:gap AS interval) AS at
    FROM generate_series(0, :subscriptions - 1) AS k;
UPDATE numbers SET slot = 0 WHERE is_due
"""
_KIND = text("INSERT INTO kinds VALUES (:slot, :case, :payment, :attempt, :subscription)")
_ROWS = """
INSERT INTO subscriptions (id, application, user_id, status, plan, amount, currency, retried_by, anchor_at, created_at,
        updated_at)
    SELECT 'sub_' || k, 'bench', 'user_' || k, subscription, 'monthly', :amount, 'EUR', 'celeriac', at, at, at
    FROM numbers JOIN kinds USING (slot);
INSERT INTO invoices (id, application, user_id, amount, currency, created_at, updated_at)
    SELECT 'inv_' || k, 'bench', 'user_' || k, :amount, 'EUR', at, at FROM numbers;
INSERT INTO payments (id, application, invoice_id, subscription_id, user_id, amount, currency, method, provider,
        is_captured_later, is_off_session, is_client_confirmed, state, authorized, captured, refunded, reversed,
        received, lost, duplicated, created_at, updated_at)
    SELECT payment_id, 'bench', 'inv_' || k, 'sub_' || k, 'user_' || k, :amount, 'EUR', 'credit_card', 'stripe', false,
        true, false, payment, 0, CASE WHEN payment = 'captured' THEN :amount ELSE 0 END, 0, 0, 0, 0, 0, at, at
    FROM numbers JOIN kinds USING (slot);
INSERT INTO attempts (id, payment_id, number, verb, provider, amount, status, provider_reference, fencing_token, claims,
        retries, key_number, key_state, lookups, failures, actor, created_at, finished_at)
    SELECT attempt_id, payment_id, 1, 'charge', 'stripe', :amount, attempt, 'pi_' || k, 2, 1, 0, 0, 'usable', 0, 0,
        'worker', at, at
    FROM numbers JOIN kinds USING (slot);
INSERT INTO dunning_cases (id, payment_id, application, subscription_id, invoice_id, state, policy_name, policy,
        is_held_out, first_failed_at, retry, unsent, failures, due_at, created_at, updated_at)
    SELECT 'case_' || k, payment_id, 'bench', 'sub_' || k, 'inv_' || k, "case", 'standard', CAST(:policy AS json),
        false, at, 1, 0, 0,
        CASE WHEN is_due THEN CAST(:now AS timestamptz) + CAST(:due_in AS interval) + k % 3600 * interval '1 second'
             WHEN "case" IN ('retrying', 'in_grace') THEN :now + (1 + k % 14) * interval '1 day' END,
        at, at
    FROM numbers JOIN kinds USING (slot)
"""
# A payment that is charged changes its attempt three times: due, taken by a worker, done; and its case likewise.
_CHANGES = (
    """UPDATE {table} SET due_at = CAST(:now AS timestamptz) - interval '1 second' - place * CAST(:gap AS interval)
        FROM (SELECT id AS changed_id, :payments - row_number() OVER (ORDER BY id) AS place FROM {table}
            WHERE due_at IS NULL ORDER BY id LIMIT :payments) AS changed WHERE id = changed_id""",
    "UPDATE {table} SET due_at = due_at + interval '0.9 seconds' WHERE due_at < :now",
    "UPDATE {table} SET due_at = NULL WHERE due_at < :now",
)


@dataclass(frozen=True)
class Size:
    """How many subscriptions are stored, how many of their cases become due, how many payments a transaction sees
    change."""

    subscriptions: int
    due: int
    changed: int


def store_cases(connection: Connection, size: Size, now: datetime) -> None:
    """Store the subscriptions with all their rows. A case that becomes due does so after DUE_IN."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    given = {
        "subscriptions": size.subscriptions,
        "due": size.due,
        "now": now,
        "gap": timedelta(days=365) / size.subscriptions,
        "amount": AMOUNT,
        "policy": json.dumps(STANDARD.to_json()),
        "due_in": DUE_IN,
    }
    _run(connection, _NUMBERS, given)
    kinds = (kind for kind in _CASES for _ in range(kind[0]))
    for slot, (_, case, payment, attempt, subscription) in enumerate(kinds):
        words = {"case": case, "payment": payment, "attempt": attempt, "subscription": subscription}
        connection.execute(_KIND, {"slot": slot} | words)
    _run(connection, _ROWS, given)


def change_payments(connection: Connection, size: Size, now: datetime, over: timedelta) -> None:
    """Let attempts and cases become due, be taken, and be done, as payments over this time leave them."""
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    for table in ("attempts", "dunning_cases"):
        for change in _CHANGES:
            statement = text(change.format(table=table))
            connection.execute(statement, {"payments": size.changed, "now": now, "gap": over / size.changed})


def _run(connection: Connection, script: str, given: dict[str, object]) -> None:
    for statement in script.split(";"):
        connection.execute(text(statement), given)
