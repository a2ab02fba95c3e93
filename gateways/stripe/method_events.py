"""Stripe's events about saved payment methods and their mandates: updater, expiry, attachment, consent.

Sources: docs.stripe.com/api/events/types, and the SDK 16.1.0, read 2026-11-28."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from domain.saved_method import MethodChange, ShownMandate, ShownMethod, token_hash
from gateways.base import WebhookEvent
from gateways.provider_model import ProviderModel, Text, Word
from gateways.stripe.saved_method_responses import saved_method

MANDATE_UPDATED = "mandate.updated"
SOURCE_EXPIRING = "customer.source.expiring"
# By type: who has changed the method, where the event tells of a change.
_METHOD_EVENTS: dict[str, MethodChange | None] = {
    "payment_method.attached": None,
    "payment_method.automatically_updated": MethodChange.UPDATER,
    "payment_method.detached": None,
    "payment_method.updated": MethodChange.METHOD_UPDATED,
}
TYPES = frozenset({*_METHOD_EVENTS, MANDATE_UPDATED, SOURCE_EXPIRING})
# A mandate that is pending tells nothing yet.
_MANDATES = {"active": True, "inactive": False, "pending": None}


class _Named(ProviderModel):
    id: Text


class _Method(ProviderModel):
    object: Literal["payment_method"]
    id: Text
    type: Text
    customer: _Named | str | None = None


class Mandate(ProviderModel):
    """A Mandate. Its payment method is an id, or the object."""

    object: Literal["mandate"]
    payment_method: _Named | Text
    status: Word = None


class _Source(ProviderModel):
    """A Card, or a Source that holds one."""

    object: Literal["card", "source"]
    id: Text
    customer: _Named | str | None = None


class _CardOfSource(ProviderModel):
    brand: str | None = None
    last4: str | None = None
    exp_year: int | None = None
    exp_month: int | None = None


def about_method(type: str, value: dict[str, Any], previous: dict[str, Any], at: datetime) -> WebhookEvent | None:
    """Return what an event of one of `TYPES` says. `previous`: the fields that have changed, as they were before.

    None for a mandate whose status says nothing. Raises MalformedResponse."""
    if type == MANDATE_UPDATED:
        shown: ShownMethod | ShownMandate | None = _mandate(value, at)
    elif type == SOURCE_EXPIRING:
        shown = _expiring(value, at)
    else:
        shown = _method(type, value, previous, at)
    return WebhookEvent("", None, None, method=shown) if shown is not None else None


def _method(type: str, value: dict[str, Any], previous: dict[str, Any], at: datetime) -> ShownMethod:
    method, shown = _Method.parse(value), saved_method(value, None)
    # An update that leaves the instrument as it is, such as of a billing address, makes no charge pass.
    has_changed = type == "payment_method.automatically_updated" or method.type in previous
    return ShownMethod(
        token_hash(method.id),
        at,
        token=method.id,
        customer=_name(method.customer),
        kind=shown.kind[:40],
        brand=shown.brand and shown.brand[:100],
        last4=shown.last4 and shown.last4[-4:],
        expires=shown.expires,
        is_detached=type == "payment_method.detached",
        change=_METHOD_EVENTS[type] if has_changed else None,
    )


def _mandate(value: dict[str, Any], at: datetime) -> ShownMandate | None:
    mandate = Mandate.parse(value)
    if mandate.status not in _MANDATES:
        mandate.log_unknown("status")
    is_active = _MANDATES.get(mandate.status or "")
    return (
        ShownMandate(token_hash(_name(mandate.payment_method) or ""), at, is_active) if is_active is not None else None
    )


def _expiring(value: dict[str, Any], at: datetime) -> ShownMethod:
    source = _Source.parse(value)
    card = _CardOfSource.parse(value.get("card") or value)
    year, month = card.exp_year, card.exp_month
    return ShownMethod(
        token_hash(source.id),
        at,
        token=source.id,
        customer=_name(source.customer),
        brand=card.brand and card.brand[:100],
        last4=card.last4 and card.last4[-4:],
        expires=f"{year:04d}-{month:02d}" if year and month else None,
    )


def _name(named: _Named | str | None) -> str | None:
    return named.id if isinstance(named, _Named) else named
