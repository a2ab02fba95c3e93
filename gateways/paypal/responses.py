"""Reads PayPal's orders, captures and refunds: models of the fields that are read. What follows from
them stands in `gateways.paypal.outcomes`.

A COMPLETED order proves no payment; only the captures in it do. PayPal's documents require no field of these objects:
required here is what a decision needs. Source: Orders v2, Payments v2 and Webhooks v1 (OpenAPI), read 2026-11-23."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator

from domain.decline import Decline
from domain.errors import InvalidAmount, UnknownCurrency
from domain.money import Money
from domain.outcome import (
    InDoubt,
)
from gateways.failures import MalformedResponse, reason_word
from gateways.paypal.errors import decline_with_codes
from gateways.provider_model import End, ExplainingWord, ProviderModel, Text, Word

# Statuses of captures; those of a refusal are also statuses of authorizations.
TAKEN = ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
REFUSED = ("DECLINED", "DENIED", "FAILED")
_CAPTURE_STATUSES = (*TAKEN, *REFUSED, "PENDING")
_REFUND_FAILED = ("FAILED", "CANCELLED")
# Statuses of the authorization that holds, or held, the order's money.
_HELD = ("CREATED", "CAPTURED", "PARTIALLY_CAPTURED")
AUTHORIZATION_STATUSES = (*_HELD, *REFUSED, "PENDING", "VOIDED")
_APPROVE_LINKS = ("payer-action", "approve", "redirect")
# The decline's column has room for no more, and no advice code is longer.
_LONGEST_ADVICE = 20


# --- models -----------------------------------------------------------------------------------------


def _code(value: object) -> str | None:
    return reason_word(value, "") or None


# A code that only explains a status: a value that is no code is dropped, because the status decides without it.
Code = Annotated[str | None, BeforeValidator(_code)]


class Amount(ProviderModel):
    """An amount of money as PayPal writes it."""

    value: Text
    currency_code: Text

    @property
    def money(self) -> Money:
        """Return the amount as money. Raises MalformedResponse."""
        try:
            return Money.parse(self.value, self.currency_code)
        except (InvalidAmount, UnknownCurrency):
            raise MalformedResponse("Amount.value") from None


class Link(ProviderModel):
    """One link of an object. A stored event may have lost either field."""

    rel: str | None = None
    href: str | None = None


class Linked(ProviderModel):
    """An object, or a refusal, with links."""

    links: list[Link] | None = None

    def link(self, *names: str) -> str | None:
        """Return the address of the first of these links that is there."""
        addresses = {link.rel: link.href for link in self.links or ()}
        return next((addresses[name] for name in names if addresses.get(name)), None)

    @property
    def id_above(self) -> str | None:
        """The id of the object to which this one belongs, as the capture of a refund."""
        address = self.link("up")
        return address.rstrip("/").rpartition("/")[2] if address else None


class StatusDetails(ProviderModel):
    """Why a capture, an authorization or a refund has its status."""

    reason: Code = None


class ProcessorResponse(ProviderModel):
    """The codes of the card's processor and network. Only cards have them, and no balance or bank account of a wallet.

    `avs_code`, `cvv_code`: what the issuer has checked."""

    response_code: Code = None
    avs_code: ExplainingWord = None
    cvv_code: ExplainingWord = None
    payment_advice_code: Code = None


class NetworkReference(ProviderModel):
    """The card network of a payment."""

    network: Code = None


class PaymentResource(ProviderModel):
    """What authorizations, captures and refunds have in common. `invoice_id`: our attempt, where we made it.

    `create_time`: when the transaction occurred. `update_time`: when it was changed last (activity_timestamps)."""

    id: Text
    status: Word = None
    invoice_id: str | None = None
    status_details: StatusDetails | None = None
    create_time: End = None
    update_time: End = None


class Refusable(PaymentResource):
    """An authorization or a capture, with the codes of its refusal."""

    amount: Amount
    processor_response: ProcessorResponse | None = None
    network_transaction_reference: NetworkReference | None = None


class Authorization(Refusable):
    """An authorization of an order."""

    expiration_time: str | None = None

    @property
    def expires_at(self) -> datetime:
        """Return when the authorization ends; a time without a zone is UTC. Raises MalformedResponse."""
        try:
            moment = datetime.fromisoformat(self.expiration_time or "")
        except ValueError:
            raise MalformedResponse("Authorization.expiration_time") from None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


class Capture(Refusable):
    """A capture of an order or of an authorization."""


class Refund(PaymentResource, Linked):
    """A refund of a capture. A refund that moved nothing may show no amount."""

    amount: Amount | None = None
    custom_id: str | None = None

    @property
    def is_made_elsewhere(self) -> bool:
        """Whether PayPal or a person made it: ours has its attempt in both fields."""
        return self.invoice_id is None or self.invoice_id != self.custom_id

    @property
    def has_failed(self) -> bool:
        """Whether it moved nothing in the end."""
        return self.status in _REFUND_FAILED


class Payments(ProviderModel):
    """The payments of a purchase unit."""

    authorizations: list[Authorization] | None = None
    captures: list[Capture] | None = None
    refunds: list[Refund] | None = None


class PurchaseUnit(ProviderModel):
    """One part of an order. Ours have one; a payment appears in it once there is one."""

    payments: Payments | None = None


class Order(Linked):
    """An order with its payments, oldest first."""

    id: Text
    status: Word = None
    purchase_units: list[PurchaseUnit]
    create_time: End = None

    @property
    def authorizations(self) -> list[Authorization]:
        """The authorizations of all units."""
        return [each for payments in self._payments for each in payments.authorizations or ()]

    @property
    def captures(self) -> list[Capture]:
        """The captures of all units."""
        return [each for payments in self._payments for each in payments.captures or ()]

    @property
    def refunds(self) -> list[Refund]:
        """The refunds of all units."""
        return [each for payments in self._payments for each in payments.refunds or ()]

    @property
    def _payments(self) -> list[Payments]:
        return [unit.payments for unit in self.purchase_units if unit.payments is not None]


class EventName(ProviderModel):
    """The type of one event that a webhook is registered for."""

    name: Text


class WebhookRegistration(ProviderModel):
    """A webhook's registration."""

    event_types: list[EventName]


# --- reading ----------------------------------------------------------------------------------------

_Resource = TypeVar("_Resource", bound=PaymentResource)


def read_order(body: Any, reference: str) -> Order:
    """Return the order with this id. Raises MalformedResponse for anything else: another order proves nothing."""
    order = Order.parse(body)
    if order.id != reference:
        raise MalformedResponse("Order.id")
    return order


def doubt_about_payments(order: Order) -> InDoubt | None:
    """Return doubt if a capture or an authorization of the order has an unknown status: it may be any of the others."""
    tables = ((order.captures, _CAPTURE_STATUSES), (order.authorizations, AUTHORIZATION_STATUSES))
    for payments, statuses in tables:
        for payment in payments:
            if payment.status not in statuses:
                return payment.in_doubt("status", order.id)
    return None


def authorization_of(order: Order) -> Authorization | None:
    """Return the authorization that holds the order's money, or else the last one."""
    authorizations = order.authorizations
    holding = next((each for each in authorizations if each.status in _HELD), None)
    return holding or (authorizations[-1] if authorizations else None)


def capture_of(order: Order) -> Capture | None:
    """Return the capture of an order that can be refunded, now or once it is no longer pending."""
    return next((capture for capture in order.captures if capture.status not in REFUSED), None)


def made_by(attempt_id: str, resources: Sequence[_Resource]) -> _Resource | None:
    """Return the first resource that was made for an attempt."""
    return next(iter(of_attempt(attempt_id, resources)), None)


def of_attempt(attempt_id: str, resources: Sequence[_Resource]) -> list[_Resource]:
    """Return the resources that were made for an attempt, in order."""
    return [resource for resource in resources if resource.invoice_id == attempt_id]


def approve_link(linked: Linked) -> str | None:
    """Return the address at which the buyer approves."""
    address = linked.link(*_APPROVE_LINKS)
    return address if address is not None and address.startswith("http") else None


def decline_of(refused: Refusable) -> Decline:
    """Return why PayPal shows a capture or an authorization as refused."""
    response = refused.processor_response or ProcessorResponse()
    reason = refused.status_details.reason if refused.status_details else None
    network = refused.network_transaction_reference.network if refused.network_transaction_reference else None
    code, advice = response.response_code, response.payment_advice_code
    advice = advice if advice and len(advice) <= _LONGEST_ADVICE else None
    return decline_with_codes(str(refused.status), code, advice, reason, network)
