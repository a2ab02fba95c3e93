"""Every query of the hot path can be served by an index: with scans forbidden, PostgreSQL still finds a way."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, func, select
from sqlalchemy.dialects import postgresql

from domain.cash_balance import ShownBalance
from domain.commands import Blocked
from domain.decision import Policy
from domain.dunning.case import CaseState, SubscriptionStatus
from domain.dunning.cohort import GroupBy, parse_request
from domain.dunning.mail import Mail
from domain.dunning.provider_subscription import ProviderSubscription
from domain.effects import ReviewOutcome
from domain.fraud import Scored, assess
from domain.fraud.default_rules import DEFAULT_RULES
from domain.fraud.entities import Subject, entities_of
from domain.fraud.labels import LabelSource
from domain.fraud.tries import TryResult
from domain.outcome import Approved
from domain.routing import Choice
from domain.saved_method import MethodChange, MethodStatus, ShownMandate, ShownMethod, token_hash
from models import backup_methods, card_reminders, dunning_view, queries, transition
from models.accept_payment import accept_payment
from models.api_keys import find_key
from models.backup_methods import AgreedMethod, find_backups, open_backup_payment, remove_backup, replace_backups
from models.cash_balances import (
    ask_for_due_readings,
    ask_for_readings,
    book_reading,
    claim_reading,
    watch_balance,
)
from models.change import Change
from models.comparisons import Window
from models.customers import upsert_customer
from models.declines import last_decline_class, last_decline_reason
from models.default_methods import choose_default
from models.due_rows import DUE_ROWS, find_oldest_due, mark_published
from models.dunning_cases import is_collected_otherwise
from models.dunning_statistics import _statistics
from models.fraud.assessments import Stage, newest_assessment, store_later, wants_authentication
from models.fraud.history import _SLOTS, _select_histories, read_histories
from models.fraud.labels import label_payment, labels_of
from models.fraud.lists import read_lists
from models.fraud.retention import delete_batch, too_old
from models.fraud.review_requests import list_reviews, show_review
from models.fraud.reviews import claim_review, close_review, lock_review, open_review
from models.fraud.rule_sets import rule_sets_in_use
from models.fraud.signals import Door, SignalKind, Tried, note_signal
from models.fraud.subjects import find_for_scoring, scoring_request
from models.fraud.tries import note_result, note_try
from models.idempotency import Caller
from models.invoices import lock_invoice
from models.mail_sending import claim_mail
from models.method_setups import find_setup, name_setup, open_setup
from models.names import find_application
from models.outbox import ask_for_default, claimed_since, was_told, write_row
from models.pay_page import find_debt
from models.provider_customers import User, claim_customer, forget_customer, save_customer
from models.request_bodies import ProcessPayment, UpsertCustomer
from models.saved_methods import (
    default_token,
    find_kept,
    find_method_status,
    is_expiring,
    keep_approved,
    lock_reminders,
    make_kept_default,
    mark_removed,
    schedule_reminder,
    take_in_method,
)
from models.session import make_engine
from models.subscription_requests import _plan_end
from models.subscription_view import Reader, show_subscription
from models.subscriptions import bind_to_provider, follow_provider, get_or_create_subscription
from models.tables import attempts, invoices, payments, subscriptions
from models.token_owners import owns_token
from models.transition_locks import lock_attempt
from models.webhook_events import lock_event
from models.webhook_matching import adopt_refund, find_payment_of, match_attempt

pytestmark = pytest.mark.postgres
CALLER = Caller("shop", "app:shop")
CHOICES = (Choice("stripe", "preferred"),)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def engine(fresh_postgres_url: str) -> Iterator[Engine]:
    """A migrated database."""
    engine = make_engine(fresh_postgres_url)
    yield engine
    engine.dispose()


class Explained:
    """Explains, with sequential scans forbidden, every statement that a function executes."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.plans: list[str] = []
        connection.exec_driver_sql("SET enable_seqscan = off")
        event.listen(connection, "before_cursor_execute", self._explain)

    def _explain(self, _: Any, cursor: Any, statement: str, parameters: Any, *__: Any) -> None:
        if statement.lstrip().startswith(("SELECT", "UPDATE", "DELETE")):
            cursor.execute(f"EXPLAIN {statement}", parameters)
            self.plans.append(f"{statement}\n" + "\n".join(row[0] for row in cursor.fetchall()))


@pytest.fixture
def explained(engine: Engine) -> Iterator[Explained]:
    """A connection whose statements are explained, on a database with one payment."""
    with engine.connect() as connection:
        command = ProcessPayment.parse(
            {
                "invoice_id": "inv",
                "user_id": "user",
                "amount": "10",
                "currency": "EUR",
                "payment_method": "credit_card",
                "payment_method_token": "pm_x",
            }
        )
        accept_payment(connection, command, CALLER, None, NOW, CHOICES)
        yield Explained(connection)
        connection.rollback()


def change(connection: Connection) -> Change:
    return Change(connection, NOW, Policy(), "test")


def attempt_row(connection: Connection) -> Any:
    return lock_attempt(connection, connection.scalar(select(func.max(attempts.c.id))))


def payment_id(connection: Connection) -> str:
    return connection.scalar(select(func.max(payments.c.id)))


def sweep_all(connection: Connection) -> None:
    find_oldest_due(connection, NOW + timedelta(days=1), {})
    for due in DUE_ROWS:
        mark_published(connection, due, NOW + timedelta(days=1))


def find_by_reference(connection: Connection) -> None:
    match_attempt(change(connection), "stripe", "pi_1", "at_1")
    find_payment_of(change(connection), "stripe", None, "pay_1")
    adopt_refund(change(connection), "stripe", "re_1", Approved("re_1", refunded=1), "pi_1", "pay_1")


def find_customers(connection: Connection) -> None:
    user = User("shop", "user")
    claim_customer(change(connection), user, "stripe")
    save_customer(change(connection), user, "stripe", "cus_1")
    forget_customer(change(connection), user, "stripe", "cus_1")
    assert owns_token(connection, "paypal", "token", user, NOW)


def read_balances(connection: Connection) -> None:
    watch_balance(change(connection), "stripe", "cus_1", "EUR", User("shop", "user"))
    [message] = ask_for_readings(change(connection), "stripe", "cus_1", ["EUR"])
    reading = claim_reading(change(connection), message.row_id)
    assert reading is not None
    book_reading(change(connection), reading, ShownBalance(5, "ccsbtxn_1"))
    ask_for_due_readings(change(connection), "stripe", Window(NOW, NOW + timedelta(hours=1)))


def keep_methods(connection: Connection) -> None:
    user, token = User("shop", "user"), "B-1"
    claim_customer(change(connection), user, "stripe")
    save_customer(change(connection), user, "stripe", "cus_1")
    open_setup(change(connection), "set_1", "paypal", user, None)
    name_setup(change(connection), "set_1", "S-1")
    setup = find_setup(connection, "set_1")
    assert setup is not None
    keep_approved(change(connection), setup, token, "paypal")
    kept = find_kept(connection, user, token_hash(token))
    assert kept is not None
    make_kept_default(change(connection), user, kept)
    assert default_token(connection, user, "paypal") == token
    mark_removed(change(connection), kept)
    assert find_method_status(connection, "paypal", token) is MethodStatus.DETACHED
    updated = ShownMethod(token_hash("pm_x"), NOW, "pm_x", "cus_1", change=MethodChange.UPDATER)
    take_in_method(change(connection), "stripe", updated)
    take_in_method(change(connection), "stripe", ShownMandate(token_hash("pm_x"), NOW, is_active=False))


def choose_methods(connection: Connection) -> None:
    user, facts = User("shop", "user"), {"kind": "credit_card", "expires": "2026-12"}
    claim_customer(change(connection), user, "stripe")
    save_customer(change(connection), user, "stripe", "cus_1")
    payment = transition.lock_payment(connection, payment_id(connection))
    agreed = AgreedMethod("stripe", "pm_b", "credit_card", "visa", "4242", NOW, "Charge this one.", "checkout")
    replace_backups(change(connection), user, [agreed])
    backup_methods._tries(connection, payment)
    backups = find_backups(connection, user)
    assert open_backup_payment(change(connection), payment, backups) is None
    backup_methods.paying_method(connection, payment.id)
    assert remove_backup(change(connection), user, token_hash("pm_b"))
    is_collected_otherwise(connection, payment)
    ask_for_default(change(connection), "shop", "user", payment.id)
    choose_default(change(connection), user, "stripe", "pm_x", facts)
    [row] = lock_reminders(Change(connection, NOW + timedelta(days=30), Policy(), "test"), 100)
    schedule_reminder(change(connection), row)
    is_expiring(connection, "stripe", row.token_hash, row.expires)
    card_reminders._newest(connection, row)


def follow_subscriptions(connection: Connection) -> None:
    get_or_create_subscription(connection, "sub", "shop", "user", NOW)
    bind_to_provider(change(connection), "shop", "sub", "stripe", "sub_1")
    told = ProviderSubscription("sub_1", SubscriptionStatus.PAST_DUE, NOW)
    assert follow_provider(change(connection), "stripe", told)


def read_access(connection: Connection) -> None:
    get_or_create_subscription(connection, "sub", "shop", "user", NOW)
    show_subscription(connection, "sub", "shop", Reader(NOW, Policy()))
    last_decline_reason(connection, payment_id(connection))


def read_outbox(connection: Connection) -> None:
    upsert_customer(change(connection), "user", UpsertCustomer.parse({"email": "ada@example.com"}), CALLER)
    row_id = write_row(change(connection), Mail.FIRST_FAILURE, "key", "shop", "user", payment_id=payment_id(connection))
    assert row_id is not None
    claim_mail(change(connection), row_id.row_id)
    claimed_since(connection, "shop", Mail.FIRST_FAILURE, NOW)
    was_told(connection, payment_id(connection))


def read_statistics(connection: Connection) -> None:
    for group_by in GroupBy:
        _statistics(connection, parse_request({"cohort": "2026-10", "group_by": group_by}, NOW), NOW)


def read_fraud_history(connection: Connection) -> None:
    row = find_for_scoring(connection, attempt_row(connection).attempt_id)
    assert row is not None
    entities = entities_of(scoring_request(row).subject, "shop", ["key", "older key"])
    read_histories(connection, entities, NOW)


def forget_signals(connection: Connection) -> None:
    for table, is_old in too_old(NOW, timedelta(days=400)):
        delete_batch(connection, table, is_old)
    rule_sets_in_use(connection, DEFAULT_RULES)


def note_tries(connection: Connection) -> None:
    row = attempt_row(connection)
    note_try(change(connection), row, entities_of(Subject(user="user", card="card"), "shop", ["key"]))
    note_result(change(connection), row, TryResult.DECLINED, Blocked())
    rotated = entities_of(Subject(user="user", card="card"), "shop", ["newer key", "key"])
    note_signal(change(connection), SignalKind.TRY, Tried("shop", Door.CHARGE, rotated))


def score_again(connection: Connection) -> None:
    scored, rules = Scored({}, "credit_card", "EUR"), DEFAULT_RULES
    store_later(change(connection), payment_id(connection), Stage.RESCORE, scored, assess(rules, scored), rules)
    wants_authentication(connection, payment_id(connection))
    newest_assessment(connection, payment_id(connection))


def read_fraud_lists(connection: Connection) -> None:
    read_lists(connection, entities_of(Subject(user="user", card="card"), "shop", ["key", "older key"]), NOW)


def decide_fraud_review(connection: Connection) -> None:
    open_review(change(connection), payment_id(connection), NOW)
    list_reviews(connection, NOW, after="rev_0", limit=50)
    show_review(connection, payment_id(connection), NOW)
    claim_review(change(connection), payment_id(connection))
    lock_review(connection, "rev_1")
    close_review(change(connection), payment_id(connection), ReviewOutcome.ENDED, None)


def label_fraud(connection: Connection) -> None:
    for is_fraud in (True, False):
        label_payment(change(connection), payment_id(connection), LabelSource.OPERATOR, is_fraud=is_fraud)
    labels_of(connection, payment_id(connection))


def test_the_history_is_read_by_a_statement_that_the_driver_keeps_prepared() -> None:
    # psycopg parses a longer one each time anew.
    assert len(str(_select_histories(_SLOTS, 1).compile(dialect=postgresql.dialect()))) <= 4096


QUERIES = {
    "sweep": sweep_all,
    "lock": attempt_row,
    "fraud history": read_fraud_history,
    "fraud signals": note_tries,
    "old fraud signals": forget_signals,
    "fraud assessment": score_again,
    "fraud lists": read_fraud_lists,
    "fraud reviews": decide_fraud_review,
    "fraud labels": label_fraud,
    "invoice position": lambda connection: queries.invoice_position(connection, "inv", "shop"),
    "invoice without its application": lambda connection: queries.show_invoice(connection, "inv", None),
    "subscription without its application": lambda connection: find_application(connection, subscriptions, "sub"),
    "invoice lock": lambda connection: lock_invoice(connection, "inv", "shop"),
    "debt": lambda connection: find_debt(connection, "shop", "inv"),
    "payment": lambda connection: queries.show_payment(connection, payment_id(connection), "shop"),
    "timeline": lambda connection: queries.timeline(connection, payment_id(connection)),
    "list without its application": lambda connection: queries.list_payments(connection, None, "inv", None, 50),
    "list": lambda connection: queries.list_payments(connection, "shop", "inv", None, 50),
    "dunning cases": lambda connection: dunning_view.list_cases(connection, None, state=CaseState.RETRYING, limit=50),
    "dunning case": lambda connection: dunning_view.list_cases(connection, None, after="case_0", limit=50),
    "dunning statistics": read_statistics,
    "end of a subscription": lambda connection: _plan_end(connection, "sub", "shop"),
    "retry of a payment": lambda connection: last_decline_class(connection, payment_id(connection)),
    "webhook lock": lambda connection: lock_event(connection, "wh_1"),
    "webhook find": find_by_reference,
    "customer": find_customers,
    "cash balance": read_balances,
    "saved methods": keep_methods,
    "chosen methods": choose_methods,
    "subscription of a provider": follow_subscriptions,
    "access of a subscription": read_access,
    "outbox": read_outbox,
    "API key": lambda connection: find_key(connection, "ck_x"),
}


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_served_by_an_index(explained: Explained, name: str) -> None:
    QUERIES[name](explained.connection)
    assert explained.plans
    scans = [plan for plan in explained.plans if "Seq Scan" in plan]
    assert not scans, "\n\n".join(scans)


def test_the_explanation_sees_a_missing_index(explained: Explained) -> None:
    explained.connection.execute(select(invoices).where(invoices.c.description == "x")).all()
    assert "Seq Scan" in explained.plans[-1]
