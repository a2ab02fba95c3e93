"""What ends each wait: every row is final, or has a due date, or is on the attention list. Nothing else exists.

A state or status that is added gets its answer from the sets that it joins; one that joins none has no answer, and a
test says so."""

from __future__ import annotations

from enum import StrEnum

from domain.attention import HELD, HELD_WEBHOOKS
from domain.cash_balance import BalanceStatus
from domain.disputes import DisputeStatus
from domain.dunning.case import OPEN_CASES, CaseState
from domain.outbox import OutboxState
from domain.payment import FINAL, FINISHED, IN_DUNNING, LIVE, UNFINISHED, AttemptStatus, State
from domain.webhook_status import WebhookStatus


class End(StrEnum):
    """What moves a row on."""

    NOTHING = "nothing"  # it is final
    DUE_DATE = "due_date"
    PERSON = "person"  # it is on the attention list


ENDS_OF_PAYMENTS: dict[State, End] = {
    **dict.fromkeys(FINAL, End.NOTHING),
    **dict.fromkeys(LIVE | IN_DUNNING, End.DUE_DATE),
    **dict.fromkeys(HELD, End.PERSON),
    # It is on the list as well; a review that nobody decides is rejected.
    State.REVIEW: End.DUE_DATE,
}
# The charge of a payment in review waits with its payment, and its due date is that of the review.
ENDS_OF_ATTEMPTS: dict[AttemptStatus, End] = {
    **dict.fromkeys(FINISHED, End.NOTHING),
    **dict.fromkeys(UNFINISHED, End.DUE_DATE),
}
# While a retry is under way, the due date is that of its attempt.
ENDS_OF_CASES: dict[CaseState, End] = {
    **dict.fromkeys((CaseState.RECOVERED, CaseState.EXHAUSTED, CaseState.STOPPED), End.NOTHING),
    **dict.fromkeys(OPEN_CASES, End.DUE_DATE),
}
ENDS_OF_WEBHOOKS: dict[WebhookStatus, End] = {
    **dict.fromkeys((WebhookStatus.APPLIED, WebhookStatus.IGNORED), End.NOTHING),
    WebhookStatus.STORED: End.DUE_DATE,
    **dict.fromkeys(HELD_WEBHOOKS, End.PERSON),
}
ENDS_OF_DISPUTES: dict[DisputeStatus, End] = {
    **dict.fromkeys((DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED), End.NOTHING),
    DisputeStatus.OPEN: End.PERSON,
}
ENDS_OF_OUTBOX: dict[OutboxState, End] = {
    **dict.fromkeys((OutboxState.SENT, OutboxState.SUPPRESSED), End.NOTHING),
    OutboxState.WAITING: End.DUE_DATE,
    OutboxState.FAILED: End.PERSON,
}
ENDS_OF_BALANCES: dict[BalanceStatus, End] = {
    BalanceStatus.EMPTY: End.NOTHING,
    BalanceStatus.HELD: End.PERSON,
    BalanceStatus.RETURNING: End.DUE_DATE,
}
