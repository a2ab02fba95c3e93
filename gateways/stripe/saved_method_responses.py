"""Customers and their payment methods as Stripe returns them, reduced to what may be shown.

Source: docs.stripe.com/api customers and payment_methods, and the SDK 16.1.0, read 2026-11-23."""

from __future__ import annotations

from typing import Any

from domain.payment_methods import PaymentMethod
from gateways.capabilities import SavedMethod
from gateways.provider_model import ProviderModel, Text, Word
from gateways.stripe.instruments import MethodShown

_WALLETS = {"apple_pay": PaymentMethod.APPLE_PAY, "google_pay": PaymentMethod.GOOGLE_PAY}
_DEBITS = {"sepa_debit": PaymentMethod.SEPA_DEBIT, "us_bank_account": PaymentMethod.ACH_DEBIT}


class _InvoiceSettings(ProviderModel):
    default_payment_method: str | None = None


class Customer(ProviderModel):
    """A Customer. A deleted one still reads with 200, and then has no other field than its id."""

    id: Text
    deleted: bool = False
    invoice_settings: _InvoiceSettings | None = None

    @property
    def default_method(self) -> str | None:
        """The id of the customer's default payment method."""
        return self.invoice_settings.default_payment_method if self.invoice_settings else None


class MethodOwner(ProviderModel):
    """A PaymentMethod, of which only the owner is needed; null where it belongs to no customer."""

    customer: str | None


class IntentMethod(ProviderModel):
    """A PaymentIntent, of which only the method is needed; null until it has one."""

    payment_method: str | None = None


class SetupIntent(ProviderModel):
    """A SetupIntent: whether it has saved its method for its customer."""

    status: Word = None
    customer: str | None = None
    payment_method: str | None = None


class MethodPage(ProviderModel):
    """One page of a customer's PaymentMethods, newest first."""

    data: list[dict[str, Any]]


class _Method(ProviderModel):
    id: Text
    type: Text


class _SettingsWithDefault(ProviderModel):
    default_payment_method: _Method | None = None


class CustomerWithDefault(ProviderModel):
    """A Customer with the default payment method expanded."""

    deleted: bool = False
    invoice_settings: _SettingsWithDefault | None = None

    @property
    def default(self) -> _Method | None:
        """The customer's default payment method."""
        return self.invoice_settings.default_payment_method if self.invoice_settings else None


class _Wallet(ProviderModel):
    type: str | None = None


class _Details(ProviderModel):
    """The field of a PaymentMethod that has the name of its type: a card, an account, or another instrument."""

    brand: str | None = None
    bank_name: str | None = None
    last4: str | None = None
    exp_year: int | None = None
    exp_month: int | None = None
    funding: str | None = None
    wallet: _Wallet | None = None


def saved_method(value: Any, default: str | None) -> SavedMethod:
    """Return a PaymentMethod as it may be shown. `default`: the id of the customer's default. Raises MalformedResponse.

    >>> card = {"brand": "visa", "last4": "4242", "exp_year": 2030, "exp_month": 7, "funding": "debit"}
    >>> shown = saved_method({"id": "pm_1", "type": "card", "card": card}, "pm_1")
    >>> str(shown.kind), shown.expires, shown.is_default
    ('debit_card', '2030-07', True)
    """
    method = _Method.parse(value)
    details = _Details.parse(value.get(method.type) or {})
    return SavedMethod(
        token=method.id,
        kind=_kind(method.type, details),
        brand=details.brand or details.bank_name,
        last4=details.last4,
        expires=_expiry(details),
        is_default=method.id == default,
        instrument=MethodShown.parse(value).instrument(),
    )


def _kind(type: str, details: _Details) -> str:
    if type != "card":
        return _DEBITS.get(type, type)
    wallet = _WALLETS.get(details.wallet.type or "") if details.wallet else None
    return wallet or (PaymentMethod.DEBIT_CARD if details.funding == "debit" else PaymentMethod.CREDIT_CARD)


def _expiry(details: _Details) -> str | None:
    year, month = details.exp_year, details.exp_month
    return f"{year:04d}-{month:02d}" if year and month else None
