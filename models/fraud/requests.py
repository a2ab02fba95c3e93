"""The bodies that operators may send about fraud, over HTTP or a command."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from domain.fraud.entities import EntityKind, is_shared_name
from domain.fraud.facts import ListKind
from models.api_request import ApiRequest
from models.request_bodies import DueDate, Reason, Text

_KIND = "must be one of " + ", ".join(EntityKind) + ", or a name such as merchant_account"


class AddListEntry(ApiRequest):
    """Put an entity on a list. `value`: the entity in plain text, which is hashed and forgotten. `application` null: of
    all applications. `expires_at` null: until it is removed."""

    kind: ListKind
    entity: Text
    value: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=500)]
    reason: Reason
    application: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100)] | None = None
    expires_at: DueDate = None

    @model_validator(mode="after")
    def _known_kind(self) -> Self:
        if self.entity not in list(EntityKind) and not is_shared_name(self.entity):
            raise ValueError(f"entity: {_KIND}")
        return self


class ClaimReview(ApiRequest):
    """Take a review in hand, or give it back."""

    release: Annotated[bool, Field(strict=True)] = False


class ApproveReview(ApiRequest):
    """Charge a payment that waits for a review."""

    reason: Reason | None = None


class RejectReview(ApiRequest):
    """Do not charge a payment that waits for a review. `is_fraud`: a label, if the operator is sure enough for one."""

    reason: Reason
    is_fraud: Annotated[bool, Field(strict=True)] | None = None


class LabelPayment(ApiRequest):
    """Say whether a payment is fraud. `note`: why, without personal data."""

    is_fraud: Annotated[bool, Field(strict=True)]
    note: Reason | None = None
