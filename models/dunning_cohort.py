"""The dunning cases of a cohort as a query: each with its group, its outcome, its source of money, and its tries."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Subquery, Text, and_, case, cast, func, literal, or_, select

from domain.dunning.case import OPEN_CASES, CaseState
from domain.dunning.cohort import HORIZON, Cohort, GroupBy
from domain.dunning.policy import MONITOR_ONLY
from domain.dunning.statistics import ANOTHER_PAYMENT, FIRST_TRY, LOST_BY_CLASS, Outcome
from domain.payment import COLLECTED, AttemptStatus, State, Verb
from models.session import EpochSeconds
from models.tables import attempts, dunning_cases, payments

# Between the name of a policy and what it says.
POLICY_SEPARATOR = "\n"
HELD_OUT, TREATED = "held_out", "treated"
_UNKNOWN = "unknown"
# The payment whose debt it is; the attempt whose money has paid it, and that attempt's payment.
_debt, _paying, _payer = payments.alias("debt"), attempts.alias("paying"), payments.alias("payer")
# Never null: PostgreSQL puts all rows without a key into one bucket of a hash join, splits it in vain, and takes
# gigabytes for it. The id of a case is no attempt's.
_paying_key = func.coalesce(dunning_cases.c.recovered_by, dunning_cases.c.id)
_payer_key = func.coalesce(_paying.c.payment_id, dunning_cases.c.payment_id)
_paid_elsewhere = _paying.c.payment_id != dunning_cases.c.payment_id
_elapsed = EpochSeconds(dunning_cases.c.closed_at) - EpochSeconds(dunning_cases.c.created_at)
_lost_in_grace = case(
    (dunning_cases.c.policy_name == MONITOR_ONLY.name, Outcome.ONLY_WATCHED),
    *((dunning_cases.c.last_class == of_class, outcome) for of_class, outcome in LOST_BY_CLASS.items()),
    else_=Outcome.UNKNOWN,
)
# A bank has taken the money that had paid the debt, and nothing collects it again.
_is_taken_back = or_(
    and_(_paying.c.id.is_not(None), _payer.c.state.not_in(sorted(COLLECTED))), _debt.c.state == State.REVERSED
)
_outcome = case(
    (dunning_cases.c.state.in_(sorted(OPEN_CASES)), Outcome.OPEN),
    (dunning_cases.c.state == CaseState.STOPPED, Outcome.STOPPED),
    (dunning_cases.c.state == CaseState.EXHAUSTED, _lost_in_grace),
    (_is_taken_back, Outcome.TAKEN_BACK),
    (_elapsed < int(HORIZON.total_seconds()), Outcome.RECOVERED),
    else_=Outcome.RECOVERED_LATER,
)
_source = case(
    (_paying.c.cause.is_not(None), _paying.c.cause),
    (or_(_paying.c.id.is_(None), _paid_elsewhere), ANOTHER_PAYMENT),
    else_=FIRST_TRY,
)
_GROUPS: dict[GroupBy, ColumnElement[Any]] = {
    GroupBy.DECLINE_CLASS: func.coalesce(dunning_cases.c.decline_class, _UNKNOWN),
    GroupBy.PROVIDER: func.coalesce(dunning_cases.c.provider, _debt.c.provider),
    GroupBy.CURRENCY: _debt.c.currency,
    GroupBy.POLICY: dunning_cases.c.policy_name
    + POLICY_SEPARATOR
    + func.coalesce(cast(dunning_cases.c.policy, Text), ""),
    GroupBy.HOLDOUT: case((dunning_cases.c.is_held_out, HELD_OUT), else_=TREATED),
    GroupBy.APPLICATION: dunning_cases.c.application,
}


def cohort_cases(cohort: Cohort, group_by: GroupBy | None) -> Subquery:
    """Return the cases of a cohort, each with its group, its outcome, and what the figures tell apart."""
    created_at = dunning_cases.c.created_at
    if group_by in (None, GroupBy.TRY):
        group: ColumnElement[Any] = literal("")
    elif group_by is GroupBy.COHORT:
        group = month_of(created_at, cohort)
    else:
        group = _GROUPS[group_by]
    return (
        select(
            group.label("grp"),
            *(dunning_cases.c[name] for name in ("id", "payment_id", "application", "invoice_id", "subscription_id")),
            *(dunning_cases.c[name] for name in ("decline_class", "decline_reason", "created_at", "closed_at")),
            dunning_cases.c.recovered_by,
            _debt.c.currency,
            _debt.c.amount,
            _outcome.label("outcome"),
            _source.label("source"),
            _elapsed.label("seconds"),
        )
        .join(_debt, _debt.c.id == dunning_cases.c.payment_id)
        .join(_paying, _paying.c.id == _paying_key, isouter=True)
        .join(_payer, _payer.c.id == _payer_key, isouter=True)
        .where(created_at >= cohort.begin, created_at < cohort.end)
        .subquery("cases")
    )


def cohort_tries(cases: Subquery) -> Subquery:
    """Return the further tries that a bank has decided on, each with its number: of all payments of the invoice, from
    the first failure until the case closed."""
    tried = payments.alias("tried")
    is_within = (attempts.c.created_at >= cases.c.created_at) & or_(
        cases.c.closed_at.is_(None), attempts.c.created_at <= cases.c.closed_at
    )
    return (
        select(
            cases.c.grp,
            cases.c.id.label("case_id"),
            attempts.c.id.label("attempt_id"),
            attempts.c.cause,
            attempts.c.status,
            func.row_number()
            .over(partition_by=cases.c.id, order_by=(attempts.c.created_at, attempts.c.id))
            .label("number"),
        )
        .join(tried, (tried.c.invoice_id == cases.c.invoice_id) & (tried.c.application == cases.c.application))
        .join(attempts, attempts.c.payment_id == tried.c.id)
        .where(
            attempts.c.verb.in_([Verb.CHARGE, Verb.AUTHORIZE]),
            attempts.c.cause.is_not(None),
            attempts.c.status.in_([AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED]),
            is_within,
        )
        .subquery("tries")
    )


def month_of(column: ColumnElement[datetime], cohort: Cohort) -> ColumnElement[Any]:
    """Return the calendar month of an instant, as far as a cohort has it."""
    return case(*((column < end, month) for month, end in cohort.months))
