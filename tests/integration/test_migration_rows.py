"""The migrations keep every value: from revision 0002 with rows in every table, up and down again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, insert, inspect, select, update
from sqlalchemy.exc import IntegrityError

from domain.payment import AttemptStatus, State, Verb
from models.migrate import metadata, upgrade
from models.movements import differences
from models.session import make_engine

Rows = dict[str, list[dict[str, Any]]]

NOW = datetime(2026, 11, 23, 12, 30, 15, 123456, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
TABLES = {"customers": "provider_customers", "assessments": "fraud_assessments"}
COLUMNS = {
    "attempts": {
        "epoch": "fencing_token",
        "checks": "lookups",
        "rung_at": "published_at",
        "settled_at": "finished_at",
    },
    "webhook_events": {"rung_at": "published_at", "settled_at": "finished_at"},
    "dunning_cases": {"rung_at": "published_at"},
}
# What rows of 0002 have in columns that are newer.
NOTHING = {"duplicated": 0, "reversed": 0, "lost": 0}
ADDED: dict[str, dict[str, Any]] = {
    "attempts": {
        **{"key_number": 0, "key_state": "usable", "looked_up_at": None, "charge_reference": None},
        **dict.fromkeys(("waiting_since", "action_expires_at", "visited_at", "param", "message")),
        **{"in_doubt_since": None, "failures": 0, "cause": None, "fingerprint": None, "network": None},
    },
    "webhook_events": {"failures": 0},
    "dunning_cases": {
        **{"failures": 0, "unsent": 0, "application": "shop", "policy_name": "standard", "created_at": NOW},
        **dict.fromkeys(("paused_since", "policy", "paused_until", "planned_at", "segment")),
        **{"is_held_out": False, "provider": "stripe", "decline_class": None, "decline_reason": None},
        **{"last_class": "soft", "closed_at": None, "recovered_by": None},
    },
    "subscriptions": {
        **dict.fromkeys(("plan", "amount", "currency", "policy", "paused_at")),
        **dict.fromkeys(("provider", "provider_reference", "provider_told_at")),
        **{"retried_by": "celeriac", "anchor_at": NOW},
    },
    "payments": NOTHING,
    "customers": {"creation_key": None},
    "assessments": {
        **{"number": 1, "stage": "charge", "unavailable": [], "numbers": {}, "lists": [], "has_history": True},
        **dict.fromkeys(("is_authentication_wanted", "authentication_reason")),
    },
}
# Derived from the other rows.
DERIVED, LEFT_TO_A_PERSON, REVIEWS = "movements", "attention", "fraud_reviews"
# Filled by what comes later.
EMPTY = {
    "backup_methods",
    "cash_balances",
    "comparisons",
    "customers",
    "disputes",
    "fraud_backtests",
    "fraud_brakes",
    "fraud_counters",
    "fraud_entities",
    "fraud_labels",
    "fraud_limits",
    "fraud_links",
    "fraud_lists",
    "fraud_reservations",
    "fraud_rule_roles",
    "fraud_rule_sets",
    "fraud_shadow_scores",
    "fraud_signals",
    "instruments",
    "method_setups",
    "outbox",
    "saved_methods",
    "token_owners",
    "unknown_codes",
}
# Payments whose money does not match, as revision 0002 stores them: the amount is `authorized`, the reason is the
# failure code.
MISMATCHES = {
    "underpaid": {"state": "review", "failure_code": "underpaid", "authorized": 600},
    "unconfirmed": {"state": "review", "failure_code": "delayed", "authorized": 0},
    "paid-after-cancel": {"state": "canceled", "failure_code": "delayed", "authorized": 1230},
    "paid-after-decline": {"state": "declined", "failure_code": "overpaid", "authorized": 2000},
}
# Their state is as before, and so is their authorized amount.
OTHERS = {
    "fraud-review": {"state": "review"},
    "voided-hold": {"state": "voided", "authorized": 1230},
    "expired-hold": {"state": "expired", "authorized": 1230},
    "partly-captured": {"state": "captured", "authorized": 1230, "captured": 600},
    "paid-twice": {"state": "captured", "authorized": 2460, "captured": 1230},
    "declined-by-bank": {"state": "declined", "failure_code": "insufficient_funds"},
    "above-2-to-53": {"state": "captured", "amount": 2**53 + 1, "authorized": 2**53 + 1, "captured": 2**53 + 1},
}
OLD_STATES = sorted(state for state in State if state is not State.AMOUNT_MISMATCH)
ENDED = [AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED, AttemptStatus.FAILED, AttemptStatus.CANCELED]


def payment(name: str, **changes: Any) -> dict[str, Any]:
    """Return a payment of 12.30 EUR as revision 0002 stores it."""
    return {
        "id": f"pay_{name}",
        "application": "shop",
        "invoice_id": f"inv_{name}",
        "subscription_id": None,
        "user_id": "user",
        "amount": 1230,
        "currency": "EUR",
        "method": "credit_card",
        "provider": "stripe",
        "route": [["stripe", "preferred"], ["paypal", "next"]],
        "method_token": "pm_1",
        "customer_token": None,
        "is_captured_later": False,
        "is_off_session": True,
        "is_client_confirmed": False,
        "return_url": "https://shop.example/back",
        "payer": {"email": "ada@example.com"},
        "metadata": {"order": "42"},
        "state": "captured",
        "authorized": 0,
        "captured": 0,
        "refunded": 0,
        "authorization_expires_at": LATER,
        "next_action": {"type": "redirect_to_url"},
        "failure_code": None,
        "created_at": NOW,
        "updated_at": LATER,
        **changes,
    }


def attempt(payment_id: str, number: int, status: AttemptStatus, verb: Verb = Verb.CHARGE) -> dict[str, Any]:
    """Return an attempt as revision 0002 stores it, with a value in every column."""
    return {
        "id": f"at_{payment_id}_{number}",
        "payment_id": payment_id,
        "number": number,
        "verb": verb.value,
        "provider": "stripe",
        "amount": 1230,
        "status": status.value,
        "provider_reference": f"pi_{number}",
        "epoch": number + 1,
        "claims": number + 2,
        "retries": number + 3,
        "checks": number + 4,
        "due_at": NOW + timedelta(minutes=number),
        "rung_at": NOW + timedelta(minutes=number + 1),
        "reason": "late_authorization",
        "actor": "worker",
        "code": "card_declined",
        "decline_class": "soft",
        "decline_code": "insufficient_funds",
        "advice_code": "try_again_later",
        "network_advice_code": "02",
        "network_decline_code": "51",
        "created_at": NOW,
        "settled_at": LATER,
    }


def old_rows() -> Rows:
    """Return rows for every table of revision 0002, with a value in every column of at least one row."""
    special = {**MISMATCHES, **OTHERS}
    payments = [payment(state, state=state) for state in OLD_STATES]
    payments += [payment(name, **changes) for name, changes in special.items()]
    payments[0]["subscription_id"] = "sub"
    # One attempt in each unfinished status, each of another payment; finished ones and refunds may be many.
    unfinished = [status for status in AttemptStatus if status not in ENDED]
    attempts = [attempt(f"pay_{OLD_STATES[index]}", 1, status) for index, status in enumerate(unfinished)]
    attempts += [attempt("pay_captured", 10 + index, status) for index, status in enumerate(ENDED)]
    attempts += [attempt("pay_refunded", 20 + index, AttemptStatus.SUCCEEDED, verb) for index, verb in enumerate(Verb)]
    invoice = {"application": "shop", "user_id": "user", "currency": "EUR", "created_at": NOW, "updated_at": LATER}
    return {
        "api_keys": [
            {"id": "key_1", "name": "shop", "role": "app", "hash": "a" * 64, "created_at": NOW, "revoked_at": LATER}
        ],
        "idempotency_keys": [
            {
                "application": "shop",
                "key": "order-1",
                "fingerprint": "f" * 64,
                "status": 202,
                "body": {"id": "pay_captured", "amount": "12.30"},
                "payment_id": "pay_captured",
                "created_at": NOW,
            }
        ],
        "invoices": [
            {"id": row["invoice_id"], "amount": row["amount"], "due_at": LATER, "description": "Seats", **invoice}
            for row in payments
        ],
        "subscriptions": [
            {
                "id": "sub",
                "application": "shop",
                "user_id": "user",
                "status": "past_due",
                "created_at": NOW,
                "updated_at": LATER,
            }
        ],
        "payments": payments,
        "attempts": attempts,
        "webhook_events": [
            {
                "id": f"wh_{status}",
                "provider": "stripe",
                "event_id": f"evt_{status}",
                "type": "payment_intent.succeeded",
                "payload": '{"id": "evt"}',
                "status": status,
                "tries": 3,
                "due_at": NOW,
                "rung_at": LATER,
                "payment_id": "pay_captured",
                "received_at": NOW,
                "settled_at": LATER,
            }
            for status in ("stored", "applied", "ignored", "unreadable", "contradicting")
        ],
        "dunning_cases": [
            {
                "payment_id": dunned["id"],
                "subscription_id": "sub",
                "invoice_id": dunned["invoice_id"],
                "state": state,
                "first_failed_at": NOW,
                "retry": 2,
                "due_at": LATER,
                "rung_at": LATER + timedelta(seconds=2),
                "grace_ends_at": LATER + timedelta(days=7),
                "updated_at": LATER,
            }
            for dunned, state in zip(payments, ("retrying", "uncollectible"), strict=False)
        ],
        "events": [
            {
                "id": number,
                "payment_id": "pay_captured",
                "attempt_id": "at_pay_captured_10",
                "name": name,
                "from_state": "processing",
                "to_state": "captured",
                "actor": "worker",
                "data": {"reference": "pi_1"},
                "at": NOW,
            }
            for number, name in ((7, "charge_approved"), (8, "payment_unresolved"))
        ],
        "assessments": [
            {
                "payment_id": "pay_fraud-review",
                "score": 70,
                "decision": "review",
                "reasons": [{"rule": "large_amount", "points": 70, "value": "60000"}],
                "rule_set": "2026-11-amount-velocity",
                "at": NOW,
            }
        ],
        "customers": [
            {
                "application": "shop",
                "user_id": f"user-{number}",
                "provider": "stripe",
                "token": f"cus_{number}",
                "created_at": NOW,
            }
            for number in range(3)
        ],
        "breakers": [
            {
                "provider": "stripe",
                "verb": "charge",
                "failures": 4,
                "opened_at": NOW,
                "probe_until": LATER,
                "failed_at": NOW,
            }
        ],
        "provider_tokens": [{"name": "paypal", "sealed": "sealed", "expires_at": LATER, "claimed_until": NOW}],
    }


def renamed(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of 0002 as it is after the migration."""
    return {COLUMNS.get(table, {}).get(name, name): value for name, value in row.items()} | ADDED.get(table, {})


def new_rows() -> Rows:
    """Return what the rows of `old_rows` are after the migration."""
    found = {TABLES.get(table, table): [renamed(table, row) for row in rows] for table, rows in old_rows().items()}
    for row in found["dunning_cases"]:
        row["id"] = row["payment_id"].replace("pay_", "case_")
        row["state"] = row["state"].replace("uncollectible", "exhausted")
        row["closed_at"] = LATER if row["state"] == "exhausted" else None
    for row in found["payments"]:
        row["received"] = 0
        if row["id"].removeprefix("pay_") in MISMATCHES:
            row["received"], row["authorized"] = row["authorized"], 0
            row["state"] = "amount_mismatch" if row["state"] == "review" else row["state"]
    return found


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """An engine of a database at revision 0002, with rows in every table."""
    is_sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'old.db'}" if is_sqlite else request.getfixturevalue("empty_postgres_url")
    engine = make_engine(url)
    migrate(engine, command.upgrade, "0002")
    store(engine, old_rows())
    yield engine
    engine.dispose()


def migrate(engine: Engine, direction: Callable[[Config, str], None], revision: str) -> None:
    """Move the database to a revision."""
    config = Config()
    config.set_main_option("script_location", str(files("models") / "migrations"))
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        direction(config, revision)


def reflected(engine: Engine) -> MetaData:
    """Return the tables as they are in the database."""
    found = MetaData()
    found.reflect(engine)
    return found


def store(engine: Engine, rows: Rows) -> None:
    tables = reflected(engine)
    assert set(rows) == set(tables.tables) - {"alembic_version"}, "every table has rows"
    with engine.begin() as connection:
        for table in tables.sorted_tables:
            for row in rows.get(table.name, []):
                connection.execute(insert(table), row)


def stored(engine: Engine) -> Rows:
    """Return all rows of all tables, in the order of their keys."""
    rows: Rows = {}
    with engine.connect() as connection:
        for table in reflected(engine).sorted_tables:
            if table.name != "alembic_version":
                query = select(table).order_by(*table.primary_key.columns)
                rows[table.name] = [plain(row._mapping) for row in connection.execute(query)]
    return rows


def plain(row: Any) -> dict[str, Any]:
    """Return a row whose dates are in UTC and without a zone: SQLite stores none."""
    return {
        name: value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) and value.tzinfo else value
        for name, value in row.items()
    }


def sorted_by_key(engine: Engine, rows: Rows) -> Rows:
    """Return rows as `stored` does."""
    keys = {name: [column.name for column in table.primary_key] for name, table in reflected(engine).tables.items()}
    return {
        table: sorted(map(plain, rows[table]), key=lambda row, table=table: [row[name] for name in keys[table]])
        for table in rows
    }


def schema(engine: Engine) -> dict[str, Any]:
    """Return columns, keys and indexes of all tables."""
    found = inspect(engine)
    return {
        name: (
            sorted((column["name"], str(column["type"]), column["nullable"]) for column in found.get_columns(name)),
            found.get_pk_constraint(name)["constrained_columns"],
            sorted(_index(engine, index) for index in found.get_indexes(name)),
            sorted((key["name"], key["column_names"]) for key in found.get_unique_constraints(name)),
            sorted((key["name"] or "", key["constrained_columns"]) for key in found.get_foreign_keys(name)),
        )
        for name in found.get_table_names()
    }


def _index(engine: Engine, index: Any) -> tuple[str, list[str], bool, str]:
    condition = index["dialect_options"].get(f"{engine.dialect.name}_where", "")
    return index["name"], index["column_names"], bool(index["unique"]), str(condition)


def test_every_value_is_kept_under_its_new_name(engine: Engine) -> None:
    upgrade(engine)
    rows = stored(engine)
    expected = sorted_by_key(engine, new_rows())
    assert rows.keys() == {*expected, DERIVED, LEFT_TO_A_PERSON, REVIEWS, *EMPTY}
    for table in expected:
        assert sort(rows[table]) == sort(expected[table]), table


def sort(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(sorted(row.items())))


def test_money_that_does_not_match_gets_a_state_and_a_column_of_its_own(engine: Engine) -> None:
    upgrade(engine)
    rows = {row["id"].removeprefix("pay_"): row for row in stored(engine)["payments"]}
    seen = {name: (rows[name]["state"], rows[name]["received"], rows[name]["authorized"]) for name in MISMATCHES}
    assert seen == {
        "underpaid": ("amount_mismatch", 600, 0),
        "unconfirmed": ("amount_mismatch", 0, 0),
        "paid-after-cancel": ("canceled", 1230, 0),
        "paid-after-decline": ("declined", 2000, 0),
    }
    assert {(rows[name]["state"], rows[name]["received"]) for name in ("review", "fraud-review")} == {("review", 0)}


# The movements that are derived from amounts: kind, amount, id at the provider.
OPENING = {
    "underpaid": [("receipt", 600, "pay_underpaid/600")],
    "voided-hold": [("authorization", 1230, "pay_voided-hold"), ("release", -1230, "pay_voided-hold")],
    "above-2-to-53": [("charge", 2**53 + 1, "pay_above-2-to-53")],
    "partly-captured": [
        ("authorization", 1230, "pay_partly-captured"),
        ("capture", 600, "pay_partly-captured"),
        ("release", -630, "pay_partly-captured"),
    ],
    "declined-by-bank": [],
    # Its refund is stored as given, and its amount says that nothing is given back any more.
    "refunded": [("refund", -1230, "pi_24"), ("refund_failure", 1230, "pay_refunded")],
}


def test_every_amount_is_the_sum_of_opening_movements(engine: Engine) -> None:
    upgrade(engine)
    rows = stored(engine)[DERIVED]
    for name, expected in OPENING.items():
        found = [(row["kind"], row["amount"], row["provider_id"]) for row in rows if row["payment_id"] == f"pay_{name}"]
        assert sorted(found) == expected, name
    assert {(row["source"], row["currency"], row["moved_at"]) for row in rows} == {("migration", "EUR", None)}
    with engine.connect() as connection:
        assert list(differences(connection)) == []


def test_what_waits_for_a_person_is_on_the_attention_list(engine: Engine) -> None:
    upgrade(engine)
    entries = stored(engine)[LEFT_TO_A_PERSON]
    found = {
        (row["reason"], (row["payment_id"] or row["webhook_event_id"]).split("_")[1], row["amount"]) for row in entries
    }
    assert len(found) == len(entries)
    assert found == {
        ("amount_mismatch", "underpaid", 600),
        ("amount_mismatch", "unconfirmed", 0),
        ("amount_mismatch", "paid-after-cancel", 1230),
        ("amount_mismatch", "paid-after-decline", 2000),
        ("review", "fraud-review", 1230),
        ("review", "review", 1230),
        ("webhook_unreadable", "unreadable", None),
        ("webhook_contradicting", "contradicting", None),
    }
    assert {row["closed_at"] for row in entries} == {None}


def test_a_payment_in_review_gets_an_end_that_is_still_to_come(engine: Engine) -> None:
    upgrade(engine)
    rows = stored(engine)[REVIEWS]
    found = {(row["id"], row["payment_id"], row["opened_at"], row["closed_at"], row["failures"]) for row in rows}
    since = LATER.replace(tzinfo=None)
    assert found == {(f"rev_{name}", f"pay_{name}", since, None, 0) for name in ("review", "fraud-review")}
    assert all(row["due_at"] - row["opened_at"] > timedelta(hours=48) for row in rows)


def test_the_schema_is_the_one_that_the_code_expects(engine: Engine) -> None:
    upgrade(engine)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata) == []
    dialect, found = engine.dialect.name, inspect(engine)
    for table in metadata.sorted_tables:
        indexes = {index["name"]: index for index in found.get_indexes(table.name)}
        for index in table.indexes:
            is_partial = index.dialect_options[dialect]["where"] is not None
            assert (f"{dialect}_where" in indexes[index.name]["dialect_options"]) == is_partial, index.name
            assert bool(indexes[index.name]["unique"]) == index.unique, index.name


# Columns that are newer than revision 0002 and have no default.
NEW_AMOUNTS = {"received": 0, **NOTHING}
REFUSED = {
    "a second collection of an invoice whose money does not match": (
        "payments",
        lambda: payment(
            "second", invoice_id="inv_underpaid", state="accepted", received=0, duplicated=0, reversed=0, lost=0
        ),
    ),
    "a second collection of an invoice in fraud review": (
        "payments",
        lambda: payment(
            "second", invoice_id="inv_fraud-review", state="processing", received=0, duplicated=0, reversed=0, lost=0
        ),
    ),
    "a payment of an invoice that only another application has": (
        "payments",
        lambda: payment("second", application="other", invoice_id="inv_captured", state="declined", **NEW_AMOUNTS),
    ),
    "a second attempt in flight": (
        "attempts",
        lambda: renamed("attempts", attempt(f"pay_{OLD_STATES[0]}", 2, AttemptStatus.IN_DOUBT)),
    ),
    "a number that an attempt of the payment has": (
        "attempts",
        lambda: renamed("attempts", attempt("pay_captured", 10, AttemptStatus.FAILED)) | {"id": "at_other"},
    ),
    "an attempt of no payment": (
        "attempts",
        lambda: renamed("attempts", attempt("pay_none", 1, AttemptStatus.FAILED)),
    ),
    "an event that was delivered before": (
        "webhook_events",
        lambda: renamed("webhook_events", old_rows()["webhook_events"][0]) | {"id": "wh_other"},
    ),
    "a second customer of a user at a provider": (
        "provider_customers",
        lambda: old_rows()["customers"][0] | {"token": "cus_other"},
    ),
    "a payment without a received amount": (
        "payments",
        lambda: payment(
            "second", invoice_id="inv_captured", state="declined", received=None, duplicated=0, reversed=0, lost=0
        ),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_constraints_and_unique_indexes_still_refuse(engine: Engine, name: str) -> None:
    upgrade(engine)
    table, row = REFUSED[name]
    tables = reflected(engine).tables
    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(tables[table]), row())


def test_rows_can_be_added_where_nothing_forbids_them(engine: Engine) -> None:
    upgrade(engine)
    tables = reflected(engine).tables
    retry = payment(
        "second", invoice_id="inv_paid-after-cancel", state="accepted", received=0, duplicated=0, reversed=0, lost=0
    )
    refund = renamed("attempts", attempt(f"pay_{OLD_STATES[0]}", 2, AttemptStatus.DUE, Verb.REFUND))
    # The database numbers it.
    event = {"name": "charge_approved", "actor": "worker", "at": NOW}
    with engine.begin() as connection:
        connection.execute(insert(tables["payments"]), retry)
        connection.execute(insert(tables["attempts"]), refund)
        connection.execute(insert(tables["events"]), event)


def test_another_application_may_use_the_names_from_then_on(engine: Engine) -> None:
    upgrade(engine)
    found, tables = inspect(engine), reflected(engine).tables
    keys = {name: found.get_pk_constraint(name)["constrained_columns"] for name in metadata.tables}
    assert keys == {name: [column.name for column in table.primary_key] for name, table in metadata.tables.items()}
    theirs = payment(
        "theirs", application="other", invoice_id="inv_review", subscription_id="sub", state="accepted", **NEW_AMOUNTS
    )
    with engine.begin() as connection:
        for table in ("invoices", "subscriptions"):
            for row in old_rows()[table]:
                connection.execute(insert(tables[table]), row | {"application": "other"})
        connection.execute(insert(tables["payments"]), theirs)
    rows = stored(engine)
    with pytest.raises(IntegrityError):
        migrate(engine, command.downgrade, "0008")
    assert stored(engine) == rows


def test_an_invoice_and_a_subscription_follow_their_payments(engine: Engine) -> None:
    tables = reflected(engine).tables
    moved, both = tables["payments"].c.id == f"pay_{OLD_STATES[0]}", payment("both", invoice_id="inv_captured")
    with engine.begin() as connection:
        connection.execute(update(tables["payments"]).where(moved).values(application="other"))
        connection.execute(insert(tables["payments"]), both | {"application": "other"})
    upgrade(engine)
    rows = stored(engine)
    owners = {
        name: sorted(row["application"] for row in rows["invoices"] if row["id"] == f"inv_{name}")
        for name in (OLD_STATES[0], "captured", "review")
    }
    assert owners == {OLD_STATES[0]: ["other"], "captured": ["other", "shop"], "review": ["shop"]}
    assert [row["application"] for row in rows["subscriptions"]] == ["other"]
    kept = {(row["id"], row["amount"], row["description"]) for row in rows["invoices"]}
    assert kept == {(row["id"], row["amount"], row["description"]) for row in old_rows()["invoices"]}


def test_the_downgrade_gives_the_old_rows_and_the_old_schema_back(engine: Engine) -> None:
    rows, tables = stored(engine), schema(engine)
    migrate(engine, command.upgrade, "0008")
    plain_keys = schema(engine)
    upgrade(engine)
    migrate(engine, command.downgrade, "0008")
    assert schema(engine) == plain_keys
    migrate(engine, command.downgrade, "0002")
    assert stored(engine) == rows
    assert schema(engine) == tables
    upgrade(engine)
    again = stored(engine)
    for table in (DERIVED, LEFT_TO_A_PERSON, REVIEWS, *EMPTY):
        del again[table]
    assert {name: sort(found) for name, found in again.items()} == {
        name: sort(found) for name, found in sorted_by_key(engine, new_rows()).items()
    }
