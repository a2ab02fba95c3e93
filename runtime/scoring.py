"""Gathers what is known of a payment and scores it. Every surface scores by this: charge, pre-check, doors, repeats."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from domain.fraud import Assessment, RuleSet, Scored, assess, braked, stopping_command, values_of
from domain.fraud.amounts import in_base
from domain.fraud.authentication import NOT_ASKED, AuthenticationCase, Demand, demand_of
from domain.fraud.entities import EVERY_APPLICATION, Entity, EntityKind, entities_of
from domain.fraud.facts import Facts
from domain.fraud.geography import departure_from, places_of, stored_form
from domain.fraud.limits import Payer, is_known
from domain.fraud.rule_set import FraudDecision
from domain.fraud.windows import History, Window
from domain.payment_methods import is_card
from models.change import Change
from models.fraud.brakes import brake_on_strangers
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
    """What is known of a payment: its entities, what is scored of it, what limits ask of its payer, and by which rule
    set it is scored. `shadow`: one that only watches. `place`: where its user is, as it is stored; None for an account
    of many people. `case`: what the law says about its authentication by."""

    entities: tuple[Entity, ...]
    scored: Scored
    payer: Payer
    rule_set: RuleSet
    shadow: RuleSet | None = None
    place: dict[str, int] | None = None
    case: AuthenticationCase = NOT_ASKED

    def demand(self, decision: FraudDecision) -> Demand:
        """Return whether the customer is asked to authenticate."""
        return demand_of(self.case, decision)

    @property
    def card(self) -> str | None:
        """The hash of the card that is tried, where it is known."""
        return next((entity.hash for entity in self.entities if entity.kind == EntityKind.CARD), None)

    def assess(self) -> Assessment:
        """Return the score."""
        return assess(self.rule_set, self.scored)


def assess_now(change: Change, application: str, evidence: Evidence) -> Assessment:
    """Return the score of a try that the customer has caused, with what the global brake makes of it."""
    assessment = evidence.assess()
    if evidence.payer.is_known or stopping_command(assessment.decision) is not None:
        return assessment
    action = brake_on_strangers(change, application)
    return assessment if action is None else braked(assessment, action)


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
    is_shared = request.subject.user in policy.shared_accounts
    user = (histories or {}).get(EntityKind.USER) if not is_shared else None
    departure = departure_from(user.place, now) if user is not None else None
    facts = Facts(
        now=now,
        amount=in_base(request.money, policy.base_currency),
        limit=policy.limit,
        method=request.method,
        history=histories,
        shared_kinds=tuple(sorted(request.subject.shared)),
        is_shared_account=is_shared,
        is_merchant_initiated=request.is_off_session,
        is_email_malformed=is_malformed,
        is_email_disposable=is_disposable,
        places=places_of(found, request.billing_country, request.card_country, policy.high_risk_countries, departure),
        results=request.results,
        lists=lists or frozenset(),
    )
    has_history = lists is not None and histories is not None
    scored = Scored(values_of(facts), request.method, request.money.currency, facts.lists, has_history=has_history)
    payer = Payer(
        is_known=is_known(histories, is_shared_account=is_shared),
        is_shared_account=is_shared,
        has_fingerprint=request.has_fingerprint,
    )
    rule_set = rule_sets.for_user(request.application, request.subject.user or "")
    here = found.best_position if not is_shared else None
    place = stored_form(here, now) if here is not None else None
    case = _authentication_case(runtime, request, facts)
    return Evidence(entities, scored, payer, rule_set, rule_sets.shadow, place, case)


def _authentication_case(runtime: Runtime, request: ScoringRequest, facts: Facts) -> AuthenticationCase:
    of_card = facts.known(EntityKind.CARD).within(Window.MONTH)
    return AuthenticationCase(
        is_card(request.method),
        request.is_off_session,
        request.card_country,
        runtime.policy.fraud.merchant_country,
        facts.amount,
        of_card.tries,
        of_card.amount,
    )


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
