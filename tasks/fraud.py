"""Fraud scoring beside the charge path: scores a payment again, judges rule sets, deletes signals that are too old."""

from __future__ import annotations

import logging

from celery import shared_task
from sqlalchemy import Connection

from models.change import Change
from models.fraud.assessments import Stage, store_later
from models.fraud.backtests import claim_backtest, finish_backtest, judge_decisions
from models.fraud.retention import delete_batch, too_old
from models.fraud.subjects import find_payment_for_scoring, scoring_request
from models.session import transact
from models.task_messages import BACKTEST, FORGET_SIGNALS, SCORE
from models.transition_locks import lock_payment
from runtime.scoring import Evidence, gather
from tasks.payment_task import ACTOR, PaymentTask

_log = logging.getLogger(__name__)


@shared_task(bind=True, base=PaymentTask, name=SCORE)
def score(self: PaymentTask, payment_id: str) -> None:
    """Score a payment again by what is known now, and store that beside its first score. It decides nothing."""
    runtime = self.runtime

    def read(connection: Connection) -> Evidence | None:
        row = find_payment_for_scoring(connection, payment_id)
        return gather(runtime, connection, scoring_request(row)) if row is not None else None

    evidence = runtime.read(read) if runtime.policy.fraud.is_enabled else None
    if evidence is None:
        _log.warning("payment %s is not scored: it does not exist, or scoring is off", payment_id)
        return
    runtime.change(ACTOR, _store, payment_id, evidence)


def _store(change: Change, payment_id: str, evidence: Evidence) -> None:
    lock_payment(change.connection, payment_id)
    store_later(change, payment_id, Stage.RESCORE, evidence.scored, evidence.assess(), evidence.rule_set)


@shared_task(bind=True, base=PaymentTask, name=BACKTEST)
def backtest(self: PaymentTask, backtest_id: str) -> None:
    """Judge a rule set on the stored decisions, of a due backtest. A repeat changes nothing."""
    claimed = self.runtime.change(ACTOR, claim_backtest, backtest_id)
    if claimed is not None:
        quality = self.runtime.read(judge_decisions, claimed)
        self.runtime.change(ACTOR, finish_backtest, backtest_id, quality)


@shared_task(bind=True, base=PaymentTask, name=FORGET_SIGNALS)
def forget_signals(self: PaymentTask) -> None:
    """Delete what is too old to be read. Any number of these tasks may run at once."""
    now, kept_for = self.runtime.clock.now(), self.runtime.policy.fraud.kept_for
    for table, is_old in too_old(now, kept_for):
        while transact(self.runtime.engine, delete_batch, table, is_old):
            pass
