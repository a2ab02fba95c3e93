"""What Stripe keeps for customers: who they are, and the payment methods that can be charged again.

It moves no money. Sources: docs.stripe.com/api customers, setup_intents and payment_methods, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import stripe

from domain.errors import InvalidRequest, NotFound
from domain.payment_methods import PaymentMethod
from gateways.base import GatewayError, SavedMethod, Setup
from gateways.json_api import MALFORMED
from gateways.stripe.errors import LOOK_UP_CODES, code_of, reason
from gateways.stripe.next_actions import field
from gateways.stripe.payer import customer_params

T = TypeVar("T")

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
_WALLETS = {"apple_pay": PaymentMethod.APPLE_PAY, "google_pay": PaymentMethod.GOOGLE_PAY}
_DEBITS = {"sepa_debit": PaymentMethod.SEPA_DEBIT, "us_bank_account": PaymentMethod.ACH_DEBIT}
# Another call holds what this one needs, or there were too many: the same call may succeed in a moment.
_BUSY = LOOK_UP_CODES | {"rate_limit"}


class StripeSavedMethods:
    """Customers and their saved payment methods; part of Stripe's gateway."""

    _client: stripe.StripeClient

    def create_customer(self, key: str, payer: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
        """Create a customer; return Stripe's name for him. The same key gives the same customer for a day."""
        params: Any = customer_params(payer, metadata)
        return _answer(
            lambda: str(self._client.v1.customers.create(params, _options(key, "customer"))["id"]),
            "Stripe does not take these customer data; correct email and billing_address",
        )

    def open_setup(self, customer: str, method: PaymentMethod, key: str) -> Setup:
        """Open a SetupIntent, with which a front end saves a method for charges while the customer is away."""
        if method not in _REUSABLE:
            raise InvalidRequest(f"{method} cannot be saved for later; use one of {', '.join(sorted(_REUSABLE))}")
        params: Any = {
            "customer": customer,
            "usage": "off_session",
            "allowed_payment_method_types": [_REUSABLE[method]],
        }
        setup = _answer(
            lambda: self._client.v1.setup_intents.create(params, _options(key, "setup")),
            f"Stripe cannot save {method} for this customer; check that the account has the method enabled",
        )
        return Setup(str(setup["id"]), str(setup["client_secret"]))

    def list_methods(self, customer: str) -> list[SavedMethod]:
        """Return the customer's newest methods, at most a hundred."""

        def read() -> list[SavedMethod]:
            default = self._default(customer)
            # One page: whoever saved thousands must not keep a request of ours busy for minutes.
            found = self._client.v1.customers.payment_methods.list(customer, {"limit": 100})
            return [_saved(method, default) for method in found.data]

        return _answer(read, "Stripe does not know this customer; create one first")

    def attach_method(self, customer: str, token: str, key: str) -> SavedMethod:
        """Save a method for the customer. Its token from then on is the one that is returned."""

        def attach() -> SavedMethod:
            default = self._default(customer)
            methods = self._client.v1.payment_methods
            return _saved(methods.attach(token, {"customer": customer}, _options(key, "attach")), default)

        return _answer(attach, "this payment method cannot be saved; let the customer enter it again or use another")

    def detach_method(self, customer: str, token: str) -> None:
        """Forget a method of this customer, for ever."""

        def detach() -> None:
            self._check_owner(customer, token)
            self._client.v1.payment_methods.detach(token)

        _answer(detach, "this payment method is not saved any more; list the saved ones")

    def make_default(self, customer: str, token: str) -> None:
        """Let a method of this customer be the first choice."""

        def choose() -> None:
            self._check_owner(customer, token)
            params: Any = {"invoice_settings": {"default_payment_method": token}}
            self._client.v1.customers.update(customer, params)

        _answer(choose, "this payment method is not saved any more; list the saved ones")

    def _default(self, customer: str) -> str | None:
        found = self._client.v1.customers.retrieve(customer)
        if field(found, "deleted"):
            raise NotFound("Stripe does not know this customer any more; create a new one")
        default = field(field(found, "invoice_settings"), "default_payment_method")
        return None if default is None else str(default)

    def _check_owner(self, customer: str, token: str) -> None:
        method = self._client.v1.payment_methods.retrieve(token)
        if method["customer"] != customer:
            raise NotFound("this customer has no such payment method; list the saved ones")


def _options(key: str, call: str) -> Any:
    return {"idempotency_key": f"{key}-{call}"}


def _answer(call: Callable[[], T], advice: str) -> T:
    """Return what the call gives; `advice` is what to do when the request is at fault."""
    try:
        return call()
    except stripe.StripeError as error:
        raise _refusal(error, advice) from None
    except MALFORMED:
        raise GatewayError("malformed_response") from None


def _refusal(error: stripe.StripeError, advice: str) -> Exception:
    """Return what a refusal means here. Its message stays out: it may repeat what was sent."""
    if isinstance(error, stripe.IdempotencyError):
        return InvalidRequest("this key was used with another request before; send a new one")
    is_ours = isinstance(error, stripe.InvalidRequestError | stripe.CardError)
    if not is_ours or code_of(error) in _BUSY:
        return GatewayError(reason(error))
    if code_of(error) == "resource_missing":
        return NotFound("Stripe knows no such customer or payment method; create or list them first")
    return InvalidRequest(advice)


def _saved(method: Any, default: str | None) -> SavedMethod:
    type = str(method["type"])
    details = field(method, type)
    return SavedMethod(
        token=str(method["id"]),
        kind=_kind(type, details),
        brand=field(details, "brand") or field(details, "bank_name"),
        last4=field(details, "last4"),
        expires=_expiry(details),
        is_default=method["id"] == default,
    )


def _kind(type: str, details: Any) -> str:
    if type != "card":
        return _DEBITS.get(type, type)
    wallet = _WALLETS.get(field(field(details, "wallet"), "type"))
    return wallet or (PaymentMethod.DEBIT_CARD if details["funding"] == "debit" else PaymentMethod.CREDIT_CARD)


def _expiry(details: Any) -> str | None:
    year, month = field(details, "exp_year"), field(details, "exp_month")
    return f"{year:04d}-{month:02d}" if year and month else None
