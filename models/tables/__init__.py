"""The tables, one file each. Importing this package registers all of them in `metadata`."""

from models.tables.api_keys import api_keys
from models.tables.attempts import attempts
from models.tables.attention import attention
from models.tables.backup_methods import backup_methods
from models.tables.base import metadata
from models.tables.breakers import breakers
from models.tables.cash_balances import cash_balances
from models.tables.comparisons import comparisons
from models.tables.customers import customers
from models.tables.disputes import disputes
from models.tables.dunning_cases import dunning_cases
from models.tables.events import events
from models.tables.fraud import (
    fraud_assessments,
    fraud_brakes,
    fraud_counters,
    fraud_entities,
    fraud_limits,
    fraud_links,
    fraud_reservations,
    fraud_signals,
)
from models.tables.fraud_decisions import fraud_labels, fraud_lists, fraud_reviews
from models.tables.fraud_rules import fraud_backtests, fraud_rule_roles, fraud_rule_sets, fraud_shadow_scores
from models.tables.idempotency_keys import idempotency_keys
from models.tables.instruments import instruments
from models.tables.invoices import invoices
from models.tables.method_setups import method_setups
from models.tables.movements import movements
from models.tables.outbox import outbox
from models.tables.payments import payments
from models.tables.provider_customers import provider_customers
from models.tables.provider_tokens import provider_tokens
from models.tables.saved_methods import saved_methods
from models.tables.subscriptions import subscriptions
from models.tables.token_owners import token_owners
from models.tables.unknown_codes import unknown_codes
from models.tables.webhook_events import webhook_events

__all__ = [
    "api_keys",
    "attempts",
    "attention",
    "backup_methods",
    "breakers",
    "cash_balances",
    "comparisons",
    "customers",
    "disputes",
    "dunning_cases",
    "events",
    "fraud_assessments",
    "fraud_backtests",
    "fraud_brakes",
    "fraud_counters",
    "fraud_entities",
    "fraud_labels",
    "fraud_limits",
    "fraud_links",
    "fraud_lists",
    "fraud_reservations",
    "fraud_reviews",
    "fraud_rule_roles",
    "fraud_rule_sets",
    "fraud_shadow_scores",
    "fraud_signals",
    "idempotency_keys",
    "instruments",
    "invoices",
    "metadata",
    "method_setups",
    "movements",
    "outbox",
    "payments",
    "provider_customers",
    "provider_tokens",
    "saved_methods",
    "subscriptions",
    "token_owners",
    "unknown_codes",
    "webhook_events",
]
