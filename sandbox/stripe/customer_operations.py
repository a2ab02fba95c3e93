"""The operations on customers, their payment methods, SetupIntents and cash balances."""

from __future__ import annotations

from sandbox.stripe import bank_transfers, cash_balances, customers, payment_methods, setup_intents
from sandbox.stripe.account import Account
from sandbox.stripe.errors import Json
from sandbox.stripe.listing import LIST_FIELDS, PAGE_FIELDS, list_page
from sandbox.stripe.operation import READ, Call, Operation
from sandbox.stripe.params import Schema, one_of, text
from sandbox.stripe.setup_intents import ConfirmRequest


def _create_method(account: Account, call: Call) -> Json:
    return payment_methods.create(account, call.params).body


def _attach_method(account: Account, call: Call) -> Json:
    return payment_methods.attach(account, call.ids["method"], call.params["customer"], call.cause).body


def _detach_method(account: Account, call: Call) -> Json:
    return payment_methods.detach(account, call.ids["method"], call.cause).body


def _retrieve_method(account: Account, call: Call) -> Json:
    method = payment_methods.from_token(account, call.ids["method"])
    return (method or account.method(call.ids["method"], status=404)).body


def _list_methods(account: Account, call: Call) -> Json:
    customer = call.ids.get("customer") or call.params.get("customer")
    url = f"/v1/customers/{customer}/payment_methods" if "customer" in call.ids else "/v1/payment_methods"
    if customer is None:
        return list_page((), call.params, url)
    account.customer(customer, status=404 if "customer" in call.ids else 400)
    return list_page(payment_methods.methods_of(account, customer), call.params, url, "type", "allow_redisplay")


def _customer_method(account: Account, call: Call) -> Json:
    customer = call.ids["customer"]
    account.customer(customer, status=404)
    return payment_methods.method_of(account, customer, call.ids["method"], param="payment_method", status=404).body


def _setup(account: Account, call: Call) -> Json:
    return setup_intents.retrieve(account, call.ids["setup"]).body


def _list_setups(account: Account, call: Call) -> Json:
    bodies = (setup.body for setup in account.setups.values())
    return list_page(bodies, call.params, "/v1/setup_intents", "customer", "payment_method")


def _create_setup(account: Account, call: Call) -> Json:
    return setup_intents.create(account, ConfirmRequest(call.params, call.cause, call.base_url))


def _confirm_setup(account: Account, call: Call) -> Json:
    setup = setup_intents.retrieve(account, call.ids["setup"])
    return setup_intents.confirm(account, setup, ConfirmRequest(call.params, call.cause, call.base_url))


def _verify_setup(account: Account, call: Call) -> Json:
    setup = setup_intents.retrieve(account, call.ids["setup"])
    return setup_intents.verify_microdeposits(account, setup, call.params, call.cause)


def _cancel_setup(account: Account, call: Call) -> Json:
    setup = setup_intents.retrieve(account, call.ids["setup"])
    return setup_intents.cancel(account, setup, call.params.get("cancellation_reason"), call.cause)


def _cash_balance(account: Account, call: Call) -> Json:
    account.customer(call.ids["customer"], status=404)
    return cash_balances.balance(account, call.ids["customer"])


def _cash_transactions(account: Account, call: Call) -> Json:
    customer = call.ids["customer"]
    account.customer(customer, status=404)
    transactions = (entry for entry in account.cash_transactions if entry["customer"] == customer)
    return list_page(transactions, call.params, f"/v1/customers/{customer}/cash_balance_transactions")


_METHOD = "/v1/payment_methods/<method>"
_CUSTOMER = "/v1/customers/<customer>"
_SETUP = "/v1/setup_intents/<setup>"
_METHOD_LIST: Schema = {**PAGE_FIELDS, "type": one_of(*payment_methods.TYPES), "allow_redisplay": text}

OPERATIONS = (
    Operation(
        "payment_methods.create",
        "POST",
        "/v1/payment_methods",
        _create_method,
        payment_methods.CREATE_FIELDS,
        ("type",),
    ),
    Operation(
        "payment_methods.list",
        "GET",
        "/v1/payment_methods",
        _list_methods,
        {**_METHOD_LIST, "customer": text, "customer_account": text},
    ),
    Operation("payment_methods.retrieve", "GET", _METHOD, _retrieve_method, READ),
    Operation(
        "payment_methods.attach",
        "POST",
        f"{_METHOD}/attach",
        _attach_method,
        {**READ, "customer": text, "customer_account": text},
        ("customer",),
    ),
    Operation("payment_methods.detach", "POST", f"{_METHOD}/detach", _detach_method, READ),
    Operation(
        "customers.create",
        "POST",
        "/v1/customers",
        lambda account, call: customers.create(account, call.params, call.cause),
        customers.CREATE_FIELDS,
    ),
    Operation(
        "customers.list",
        "GET",
        "/v1/customers",
        lambda account, call: list_page(
            (body for body in account.customers.values() if not body.get("deleted")),
            call.params,
            "/v1/customers",
            "email",
        ),
        {**LIST_FIELDS, "email": text, "test_clock": text},
    ),
    Operation(
        "customers.retrieve",
        "GET",
        _CUSTOMER,
        lambda account, call: customers.retrieve(account, call.ids["customer"]),
        READ,
    ),
    Operation(
        "customers.update",
        "POST",
        _CUSTOMER,
        lambda account, call: customers.update(account, call.ids["customer"], call.params, call.cause),
        customers.UPDATE_FIELDS,
    ),
    Operation(
        "customers.delete",
        "DELETE",
        _CUSTOMER,
        lambda account, call: customers.delete(account, call.ids["customer"], call.cause),
        {},
    ),
    Operation(
        "customers.payment_methods.retrieve",
        "GET",
        f"{_CUSTOMER}/payment_methods/<method>",
        _customer_method,
        READ,
    ),
    Operation(
        "setup_intents.create",
        "POST",
        "/v1/setup_intents",
        _create_setup,
        setup_intents.CREATE_FIELDS,
        (),
        setup_intents.check_create,
    ),
    Operation(
        "setup_intents.list",
        "GET",
        "/v1/setup_intents",
        _list_setups,
        {**LIST_FIELDS, "customer": text, "payment_method": text},
    ),
    Operation("setup_intents.retrieve", "GET", _SETUP, _setup, {**READ, "client_secret": text}),
    Operation("setup_intents.confirm", "POST", f"{_SETUP}/confirm", _confirm_setup, setup_intents.CONFIRM_FIELDS),
    Operation(
        "setup_intents.verify_microdeposits",
        "POST",
        f"{_SETUP}/verify_microdeposits",
        _verify_setup,
        setup_intents.VERIFY_FIELDS,
    ),
    Operation("setup_intents.cancel", "POST", f"{_SETUP}/cancel", _cancel_setup, setup_intents.CANCEL_FIELDS),
    Operation("customers.cash_balance.retrieve", "GET", f"{_CUSTOMER}/cash_balance", _cash_balance, READ),
    Operation(
        "customers.cash_balance_transactions.list",
        "GET",
        f"{_CUSTOMER}/cash_balance_transactions",
        _cash_transactions,
        PAGE_FIELDS,
    ),
    Operation(
        "test_helpers.customers.fund_cash_balance",
        "POST",
        "/v1/test_helpers/customers/<customer>/fund_cash_balance",
        lambda account, call: bank_transfers.fund(account, call.ids["customer"], call.params, call.cause),
        bank_transfers.FUND_FIELDS,
        ("amount", "currency"),
    ),
    Operation("customers.payment_methods.list", "GET", f"{_CUSTOMER}/payment_methods", _list_methods, _METHOD_LIST),
)
