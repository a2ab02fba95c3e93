"""When money at rest is compared with its provider, and what of what it shows is news."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from domain.money import Money
from domain.movement import Movement, MovementKind
from domain.outcome import Declined, Outcome
from domain.payment import AttemptStatus

# So long after money was booked. Refunds and disputes become rare with time, and Afterpay refunds nothing after 120
# days.
STEPS = tuple(timedelta(days=days) for days in (1, 3, 7, 14, 30, 60, 90))
# So much time is covered at once; after an outage one window follows the other.
LONGEST_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ShownRefund:
    """A refund that the provider shows of a charge, whoever made it. `attempt_id`: ours, if Celeriac made it.

    `outcome`: Approved or Pending with its amount, Declined for one that failed, InDoubt for an unknown status."""

    reference: str
    outcome: Outcome
    attempt_id: str | None = None


@dataclass(frozen=True, slots=True)
class ShownFee:
    """What the provider keeps for a charge. `reference`: of the object that shows it. `fee`: in its own currency."""

    reference: str
    fee: Money

    @property
    def movement(self) -> Movement:
        """The movement of the fee."""
        return Movement(MovementKind.FEE, -self.fee.minor, self.reference, self.fee.currency)


def is_refund_news(known: AttemptStatus | None, shown: Outcome) -> bool:
    """Tell whether the books lack what the provider shows of a refund. `known`: the status of its attempt, if any.

    A refund that is not finished has look-ups of its own.

    >>> from domain.outcome import Approved
    >>> is_refund_news(None, Approved("re_1", refunded=5)), is_refund_news(AttemptStatus.PENDING, Approved("re_1"))
    (True, False)
    """
    has_failed = isinstance(shown, Declined)
    return has_failed if known is AttemptStatus.SUCCEEDED else known is None and not has_failed
