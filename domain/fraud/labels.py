"""Labels: whether a payment was fraud, in the words of those who say so, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.disputes import DisputeStatus


class LabelSource(StrEnum):
    """Who says whether a payment was fraud."""

    DISPUTE = "dispute"
    EARLY_FRAUD_WARNING = "early_fraud_warning"
    REFUND = "refund"
    REVIEW = "review"
    OPERATOR = "operator"


# The reason of a refund that is a label.
FRAUDULENT = "fraudulent"
# The reasons of disputes by which a provider says that the customer has not made the payment. Any other reason, and a
# provider that is not here, says nothing of fraud. Read 2026-11-29.
_FRAUD_REASONS: dict[str, frozenset[str]] = {
    # docs.stripe.com/disputes/categories
    "stripe": frozenset({"fraudulent"}),
    # developer.paypal.com/docs/api/customer-disputes/v1, `reason`
    "paypal": frozenset({"UNAUTHORISED"}),
    # developers.afterpay.com, disputes, `reason`. `fraudulent_merchant` accuses the merchant.
    "afterpay": frozenset({"fraudulent"}),
}


def label_of_dispute(provider: str, reason: str, status: DisputeStatus) -> bool | None:
    """Return whether a dispute says that its payment was fraud. Won, it says the opposite; one that ended without a
    verdict says nothing new.

    >>> label_of_dispute("paypal", "UNAUTHORISED", DisputeStatus.OPEN)
    True
    >>> label_of_dispute("stripe", "fraudulent", DisputeStatus.WON)
    False
    >>> label_of_dispute("stripe", "duplicate", DisputeStatus.LOST) is None
    True
    """
    if reason not in _FRAUD_REASONS.get(provider, ()):
        return None
    match status:
        case DisputeStatus.OPEN | DisputeStatus.LOST:
            return True
        case DisputeStatus.WON:
            return False
    return None


def is_fraud(labels: Mapping[str, bool]) -> bool:
    """Return what the labels of a payment say together, by source. An operator's word is the last one.

    >>> is_fraud({"dispute": True, "refund": True}), is_fraud({"dispute": True, "operator": False}), is_fraud({})
    (True, False, False)
    """
    if LabelSource.OPERATOR in labels:
        return labels[LabelSource.OPERATOR]
    return any(labels.values())
