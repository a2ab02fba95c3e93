"""Gathers what is known of a payment and scores it. Every surface scores by this: charge, pre-check, doors, repeats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from domain.fraud import Assessment, RuleSet, Scored, assess, values_of
from domain.fraud.amounts import in_base
from domain.fraud.entities import EVERY_APPLICATION, Entity, entities_of
from domain.fraud.facts import Facts
from domain.fraud.geography import places_of
from domain.fraud.windows import History
from models.fraud.history import read_histories
from models.fraud.lists import read_lists
from models.fraud.subjects import ScoringRequest
from models.session import limit_statements
from runtime.email_addresses import email_facts
from runtime.runtime import Runtime

_log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a payment: its entities, what is scored of it, and by which rule set. `shadow`: one that only
    watches."""

    entities: tuple[Entity, ...]
    scored: Scored
    rule_set: RuleSet
    shadow: RuleSet | None = None

    def assess(self) -> Assessment:
        """Return the score."""
        return assess(self.rule_set, self.scored)


def gather(runtime: Runtime, connection: Connection, request: ScoringRequest) -> Evidence:
    """Return what is known of a payment now. Locks nothing. What cannot be read in time is unavailable; then nothing
    more can be read in the transaction."""
    policy, now = runtime.policy.fraud, runtime.clock.now()
    rule_sets = runtime.rule_sets.get(connection, policy.rule_set)
    entities = entities_of(request.subject, request.application, policy.keys)
    listed = (*entities, *entities_of(request.subject, EVERY_APPLICATION, policy.keys))
    limit_statements(connection, policy.time_budget)
    lists = _read_in_time(read_lists, connection, listed, now)
    histories: dict[str, History] | None = {}
    if policy.is_velocity_checked:
        histories = _read_in_time(read_histories, connection, entities, now)
    found = runtime.places.find(request.subject.ip)
    is_malformed, is_disposable = email_facts(request.subject.email)
    facts = Facts(
        now=now,
        amount=in_base(request.money, policy.base_currency),
        limit=policy.limit,
        method=request.method,
        history=histories,
        shared_kinds=tuple(sorted(request.subject.shared)),
        is_shared_account=request.subject.user in policy.shared_accounts,
        is_merchant_initiated=request.is_off_session,
        is_email_malformed=is_malformed,
        is_email_disposable=is_disposable,
        places=places_of(found, request.billing_country, request.card_country, policy.high_risk_countries),
        results=request.results,
        lists=lists or frozenset(),
    )
    is_known = lists is not None and histories is not None
    scored = Scored(values_of(facts), request.method, request.money.currency, facts.lists, has_history=is_known)
    rule_set = rule_sets.for_user(request.application, request.subject.user or "")
    return Evidence(entities, scored, rule_set, rule_sets.shadow)


def _read_in_time(
    read: Callable[[Connection, Sequence[Entity], datetime], T],
    connection: Connection,
    entities: Sequence[Entity],
    now: datetime,
) -> T | None:
    """Return what is stored of entities; None if it cannot be read within the limit of the transaction's statements."""
    try:
        return read(connection, entities, now)
    except DBAPIError as error:
        _log.warning("a payment is scored without all that is stored of it: %s", type(error).__name__)
        return None
