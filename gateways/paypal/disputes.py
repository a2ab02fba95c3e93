"""PayPal's disputes as they are read: how each stands, and what of the merchant's money has moved because of it.

Source: PayPal's OpenAPI of Disputes v1 (dispute, dispute_outcome, money_movement), read 2026-11-28."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from domain.disputes import DisputeStatus, ShownDispute
from domain.money import Money
from domain.movement import ShownFee
from gateways.failures import CallFailed, FailureKind, MalformedResponse
from gateways.paypal.responses import Amount, Refund
from gateways.provider_model import End, ProviderModel, Text, Word, newest

# The merchant has to do something until the due date, or PayPal or the buyer does. `OTHER` says nothing.
_OPEN = frozenset({"OPEN", "WAITING_FOR_BUYER_RESPONSE", "WAITING_FOR_SELLER_RESPONSE", "UNDER_REVIEW", "OTHER"})
# Who is right. The other codes end a dispute without saying who pays: `money_movements` show it.
_WON = frozenset({"RESOLVED_SELLER_FAVOUR", "DENIED"})
_UNDECIDED = frozenset({"RESOLVED_BUYER_FAVOUR", "RESOLVED_WITH_PAYOUT", "CANCELED_BY_BUYER", "ACCEPTED", "NONE"})
_PARTIES = ("SELLER", "BUYER", "PAYMENT_PROCESSOR")
_DIRECTIONS = {"DEBIT": 1, "CREDIT": -1}
# Fees are no part of what is disputed.
_SETTLEMENT = "DISPUTE_SETTLEMENT"
_FEES = frozenset({"DISPUTE_SETTLEMENT_FEE", "DISPUTE_FEE", "CHARGEBACK_FEE"})


class _Transaction(ProviderModel):
    seller_transaction_id: Text


class _Outcome(ProviderModel):
    outcome_code: Word = None
    amount_refunded: Amount | None = None


class _MoneyMovement(ProviderModel):
    affected_party: Word = None
    amount: Amount | None = None
    type: Word = None
    reason: Word = None
    initiated_time: End = None


class Dispute(ProviderModel):
    """A dispute, as it is read. `money_movements` is missing until money moves."""

    dispute_id: Text
    create_time: End = None
    disputed_transactions: list[_Transaction]
    reason: str | None = None
    status: Word = None
    dispute_amount: Amount
    dispute_outcome: _Outcome | None = None
    money_movements: list[_MoneyMovement] | None = None
    seller_response_due_date: str | None = None

    @property
    def capture_id(self) -> str:
        """The id of the disputed capture. Raises MalformedResponse for a dispute about several."""
        if len(self.disputed_transactions) != 1:
            raise MalformedResponse("Dispute.disputed_transactions")
        return self.disputed_transactions[0].seller_transaction_id

    @property
    def debits(self) -> list[Money]:
        """What was taken from the merchant, movement by movement, given back or not. Raises CallFailed."""
        disputed = self.dispute_amount.money
        taken = (_taken(moved, disputed) for moved in self.money_movements or ())
        return [Money(minor, disputed.currency) for minor in taken if minor > 0]


class _RelatedIds(ProviderModel):
    order_id: Text | None = None


class _SupplementaryData(ProviderModel):
    related_ids: _RelatedIds | None = None


class DisputedCapture(ProviderModel):
    """The capture that a dispute is about, with its order, which is the reference of our attempt. One without an order
    is another system's."""

    id: Text
    status: Word = None
    supplementary_data: _SupplementaryData | None = None

    @property
    def order_id(self) -> str | None:
        """The id of the order, if it has one."""
        related = self.supplementary_data.related_ids if self.supplementary_data else None
        return related.order_id if related else None

    @property
    def charge_reference(self) -> str:
        """The id of the order, or of the capture if it has none."""
        return self.order_id or self.id


class DisputeSummary(ProviderModel):
    """A dispute in a list."""

    dispute_id: Text


class DisputeList(ProviderModel):
    """The first page of a list of disputes."""

    items: list[DisputeSummary] | None = None


def refunds_shown_by(disputes: Iterable[Dispute], refunds: Iterable[Refund]) -> frozenset[str]:
    """Return the ids of the refunds whose money the disputes show too. Raises CallFailed for an unknown word.

    What a dispute takes from the merchant PayPal shows as a refund of the capture as well, sends as
    PAYMENT.CAPTURE.REVERSED, or as REFUNDED if the merchant has accepted the claim, and nothing links the two. So each
    debit stands for one refund of the same capture and amount that nobody has asked Celeriac for, and that is no older
    than the dispute. Sources: a resolved dispute and its refunded capture in a marketplace's documentation, events in
    woocommerce-paypal-payments, issue 1614; read 2026-11-28."""
    candidates, shown = list(refunds), set[str]()
    for dispute in disputes:
        for debit in dispute.debits:
            same = (each.id for each in candidates if each.id not in shown and _may_show(each, dispute, debit))
            shown.update(list(same)[:1])
    return frozenset(shown)


def _may_show(refund: Refund, dispute: Dispute, debit: Money) -> bool:
    if not refund.is_made_elsewhere or refund.has_failed or refund.amount is None or refund.amount.money != debit:
        return False
    is_older = refund.create_time and dispute.create_time and refund.create_time < dispute.create_time
    return refund.id_above in (None, dispute.capture_id) and not is_older


def shown_dispute(dispute: Dispute, capture: DisputedCapture, refunds: Iterable[Refund]) -> ShownDispute:
    """Return a dispute as it is compared with the books. `refunds`: of the capture's order.

    Raises CallFailed for an unknown word."""
    money = dispute.dispute_amount.money
    withdrawn = _withdrawn(dispute, capture, money)
    status = _status(dispute, withdrawn)
    return ShownDispute(
        dispute.dispute_id,
        capture.charge_reference,
        status,
        money.minor,
        max(withdrawn, 0),
        False,
        dispute.reason or "unknown",
        dispute.seller_response_due_date if status is DisputeStatus.OPEN else None,
        refunds_shown_by([dispute], refunds),
        newest(moved.initiated_time for moved in dispute.money_movements or () if _taken(moved, money)),
        tuple(_fees(dispute)),
    )


def _fees(dispute: Dispute) -> Iterator[ShownFee]:
    """Yield what PayPal keeps for a dispute, or gives back. It has no ids: each is named by the dispute and its place
    among its fees, the oldest first."""
    kept = (moved for moved in dispute.money_movements or () if moved.reason in _FEES)
    of_seller = (moved for moved in kept if moved.affected_party == "SELLER")
    for number, moved in enumerate(of_seller, 1):
        if moved.type not in _DIRECTIONS:
            moved.log_unknown("type")
        elif moved.amount is not None and moved.amount.value.strip("0."):
            money = moved.amount.money
            fee = Money(_DIRECTIONS[moved.type] * money.minor, money.currency)
            yield ShownFee(f"{dispute.dispute_id}/fee/{number}", fee, moved.initiated_time)


def _withdrawn(dispute: Dispute, capture: DisputedCapture, disputed: Money) -> int:
    if dispute.money_movements is not None:
        return sum(_taken(moved, disputed) for moved in dispute.money_movements)
    # PayPal may show no movements. What the buyer gets is then the merchant's money, unless a refund gave it back.
    outcome = dispute.dispute_outcome
    is_lost = outcome is not None and outcome.outcome_code == "RESOLVED_BUYER_FAVOUR" and capture.status == "COMPLETED"
    return outcome.amount_refunded.money.minor if is_lost and outcome and outcome.amount_refunded else 0


def _status(dispute: Dispute, withdrawn: int) -> DisputeStatus:
    if dispute.status in _OPEN:
        return DisputeStatus.OPEN
    if dispute.status != "RESOLVED":
        raise _unknown(dispute, "status")
    outcome = dispute.dispute_outcome or _Outcome()
    if outcome.outcome_code not in _WON | _UNDECIDED:
        raise _unknown(outcome, "outcome_code")
    if withdrawn > 0:
        return DisputeStatus.LOST
    return DisputeStatus.WON if outcome.outcome_code in _WON else DisputeStatus.CLOSED


def _taken(moved: _MoneyMovement, disputed: Money) -> int:
    """Return what a movement takes from the merchant, in minor units; negative if it gives back."""
    if moved.affected_party not in _PARTIES:
        raise _unknown(moved, "affected_party")
    if moved.affected_party != "SELLER" or moved.reason in _FEES:
        return 0
    if moved.reason != _SETTLEMENT:
        raise _unknown(moved, "reason")
    if moved.type not in _DIRECTIONS:
        raise _unknown(moved, "type")
    if moved.amount is None or moved.amount.currency_code != disputed.currency:
        raise MalformedResponse("Dispute.money_movements")
    return _DIRECTIONS[moved.type] * moved.amount.money.minor


def _unknown(model: ProviderModel, field: str) -> CallFailed:
    return CallFailed(model.in_doubt(field).reason, FailureKind.UNKNOWN)
