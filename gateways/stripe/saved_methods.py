"""Customers at Stripe and their saved payment methods. It moves no money.

Sources: docs.stripe.com/api customers, setup_intents and payment_methods, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from domain.errors import InvalidRequest, MethodDeclined, NotFound
from domain.payment_methods import PaymentMethod
from gateways.base import CallUnderWay, CustomerLost, GatewayError, KeySpent
from gateways.capabilities import MethodSetup, SavedMethod
from gateways.failures import CallFailed, FailureKind
from gateways.json_api import segment
from gateways.stripe.client import StripeClient
from gateways.stripe.errors import CardDeclined, CustomerMissing, KeyReused
from gateways.stripe.payer import customer_params
from gateways.stripe.requests import is_transfer
from gateways.stripe.responses import ConfirmableIntent, Created
from gateways.stripe.saved_method_responses import (
    Customer,
    CustomerWithDefault,
    IntentMethod,
    MethodOwner,
    MethodPage,
    SetupIntent,
    saved_method,
)

CUSTOMER_MISSING = "customer_missing"
_CUSTOMERS, _METHODS = "/v1/customers", "/v1/payment_methods"
# What can be charged while the customer is away.
_REUSABLE = {
    **dict.fromkeys(
        (
            PaymentMethod.CREDIT_CARD,
            PaymentMethod.DEBIT_CARD,
            PaymentMethod.APPLE_PAY,
            PaymentMethod.GOOGLE_PAY,
            PaymentMethod.STRIPE,
        ),
        "card",
    ),
    PaymentMethod.SEPA_DEBIT: "sepa_debit",
    PaymentMethod.ACH_DEBIT: "us_bank_account",
}
# The most that Stripe returns at once. Only one page is read: thousands of saved methods must not keep one request
# busy for minutes.
_PAGE_SIZE = 100
# The field of a request that names a saved method.
_METHOD_FIELD = "payment_method_token"
_GONE = "this payment method is not saved any more; list the saved ones"


class StripeSavedMethods:
    """Customers and their saved payment methods; part of Stripe's gateway."""

    _api: StripeClient

    def needs_customer(self, method: PaymentMethod) -> bool:
        """Tell whether the method is a bank transfer, whose money Stripe assigns to a customer first."""
        return is_transfer(method)

    def create_customer(self, key: str, metadata: Mapping[str, str]) -> str:
        """Create a customer; return Stripe's id. The same key gives the same customer for a day."""
        try:
            return Created.parse(self._api.post(_CUSTOMERS, {"metadata": dict(metadata)}, f"{key}-customer")).id
        except CallFailed as failure:
            raise _failed_creation(failure) from None

    def update_customer(self, customer: str, payer: Mapping[str, Any], *, is_paying_by_transfer: bool = False) -> None:
        """Store the payer's data with the customer, and let what comes by transfer pay the customer's open intent."""
        params = customer_params(payer, is_paying_by_transfer=is_paying_by_transfer)
        with _refusals_as("Stripe does not take these customer data; correct email and billing_address"):
            try:
                self._api.post(f"{_CUSTOMERS}/{segment(customer)}", params)
            except CallFailed as failure:
                raise _lost(failure) from None

    def default_method(self, customer: str | None, type: str) -> str | None:
        """Return the customer's default method if it is of this type. Raises CallFailed and CustomerLost."""
        if customer is None:
            return None
        path, expanded = f"{_CUSTOMERS}/{segment(customer)}", ["invoice_settings.default_payment_method"]
        try:
            read = CustomerWithDefault.parse(self._api.get(path, expand=expanded))
        except CallFailed as failure:
            raise _lost(failure) from None
        if read.deleted:
            raise CustomerLost(CUSTOMER_MISSING)
        return read.default.id if read.default is not None and read.default.type == type else None

    def open_setup(self, customer: str, method: PaymentMethod, key: str) -> MethodSetup:
        """Open a SetupIntent, with which a front end saves a method for charges while the customer is away."""
        if method not in _REUSABLE:
            raise InvalidRequest(f"{method} cannot be saved for later; use one of {', '.join(sorted(_REUSABLE))}")
        # `usage` is off_session by default (docs: create a SetupIntent), and raw_request does not send a parameter of
        # that name.
        params = {"customer": customer, "allowed_payment_method_types": [_REUSABLE[method]]}
        advice = f"Stripe cannot save {method} for this customer; check that the account has the method enabled"
        with _refusals_as(advice, "payment_method"):
            setup = ConfirmableIntent.parse(self._api.post("/v1/setup_intents", params, f"{key}-setup"))
            return MethodSetup(setup.id, setup.client_secret)

    def cancel_setup(self, setup: str) -> None:
        """Let nobody try a further method in a SetupIntent. One that has ended stays as it is."""
        try:
            self._api.post(f"/v1/setup_intents/{segment(setup)}/cancel", {})
        except CallFailed as failure:
            if failure.kind is not FailureKind.AT_FAULT:
                raise GatewayError(failure.reason) from None

    def saved_by(self, setup: str, customer: str) -> str | None:
        """Return the PaymentMethod that a SetupIntent of this customer has saved."""
        with _refusals_as("this setup cannot be read"):
            read = SetupIntent.parse(self._api.get(f"/v1/setup_intents/{segment(setup)}"))
        return read.payment_method if read.status == "succeeded" and read.customer == customer else None

    def list_methods(self, customer: str) -> list[SavedMethod]:
        """Return the customer's newest methods, at most a hundred."""
        with _refusals_as("these payment methods cannot be listed"):
            default = self._default_of(customer)
            page = self._api.get(f"{_CUSTOMERS}/{segment(customer)}/payment_methods", limit=_PAGE_SIZE)
            return [saved_method(method, default) for method in MethodPage.parse(page).data]

    def attach_method(self, customer: str, token: str, key: str) -> SavedMethod:
        """Save a method for the customer. Its token from then on is the one that is returned."""
        advice = "this payment method cannot be saved; let the customer enter it again or use another"
        with _refusals_as(advice, _METHOD_FIELD):
            default = self._default_of(customer)
            path = f"{_METHODS}/{segment(token)}/attach"
            return saved_method(self._api.post(path, {"customer": customer}, f"{key}-attach"), default)

    def detach_method(self, customer: str, token: str) -> None:
        """Remove a method of this customer, for ever."""
        with _refusals_as(_GONE, _METHOD_FIELD):
            self._check_owner(customer, token)
            self._api.post(f"{_METHODS}/{segment(token)}/detach", {})

    def paying_method(self, reference: str) -> str | None:
        """Return the PaymentMethod of an intent."""
        with _refusals_as("this payment cannot be read"):
            return IntentMethod.parse(self._api.get(f"/v1/payment_intents/{segment(reference)}")).payment_method

    def make_default(self, customer: str, token: str) -> SavedMethod:
        """Make a method of this customer the default; return it."""
        with _refusals_as(_GONE, _METHOD_FIELD):
            method = self._check_owner(customer, token)
            params = {"invoice_settings": {"default_payment_method": token}}
            self._api.post(f"{_CUSTOMERS}/{segment(customer)}", params)
            return saved_method(method, token)

    def _default_of(self, customer: str) -> str | None:
        try:
            read = Customer.parse(self._api.get(f"{_CUSTOMERS}/{segment(customer)}"))
        except CallFailed as failure:
            raise _lost(failure) from None
        if read.deleted:
            raise CustomerLost(CUSTOMER_MISSING)
        return read.default_method

    def _check_owner(self, customer: str, token: str) -> Any:
        """Return a method of this customer as Stripe shows it. Raises NotFound for one of another."""
        method = self._api.get(f"{_METHODS}/{segment(token)}")
        if MethodOwner.parse(method).customer != customer:
            raise NotFound("this customer has no such payment method; list the saved ones", param=_METHOD_FIELD)
        return method


@contextmanager
def _refusals_as(advice: str, param: str | None = None) -> Iterator[None]:
    """Raise the API's error for a failed call; `advice` says what to do when the request is at fault, `param` with
    which field of it unless Stripe names one."""
    try:
        yield
    except CallFailed as failure:
        raise _refusal(failure, advice, param) from None


def _failed_creation(failure: CallFailed) -> GatewayError:
    """Return what to do about a creation that failed. Stripe replays a stored 5xx for a day."""
    if failure.reason == "idempotency_key_in_use":
        return CallUnderWay(failure.reason)
    is_spent = isinstance(failure, KeyReused) or failure.reason.startswith("http_5")
    return KeySpent(failure.reason) if is_spent else GatewayError(failure.reason)


def _lost(failure: CallFailed) -> Exception:
    """Return the failure of a call about a customer by its own address, where nothing else can be missing."""
    return CustomerLost(CUSTOMER_MISSING) if failure.reason == "resource_missing" else failure


def _refusal(failure: CallFailed, advice: str, param: str | None) -> Exception:
    """Return the API's error for a failed call, with Stripe's sentence where it repeats nothing that was sent."""
    if isinstance(failure, CustomerMissing):
        return CustomerLost(CUSTOMER_MISSING)
    if isinstance(failure, KeyReused):
        return InvalidRequest("this key was used with another request before; send a new one")
    if failure.kind is not FailureKind.AT_FAULT:
        return GatewayError(failure.reason)
    members: dict[str, Any] = {"code": failure.reason}
    if named := failure.param or param:
        members["param"] = named
    if failure.reason == "resource_missing":
        return NotFound("Stripe knows no such customer or payment method; create or list them first", **members)
    kind = MethodDeclined if isinstance(failure, CardDeclined) else InvalidRequest
    return kind(f"{failure.message.rstrip('.')}; {advice}" if failure.message else advice, **members)
