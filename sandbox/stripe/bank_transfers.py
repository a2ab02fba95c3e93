"""Owns payment by bank transfer: the account details that a customer is shown, and which intents his money pays.

https://docs.stripe.com/payments/bank-transfers and https://docs.stripe.com/payments/customer-balance/reconciliation.
A transfer pays the intent whose reference it names, then the customer's other open ones, oldest first. Too little
leaves an intent partially funded; what is too much stays in the cash balance.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from sandbox.stripe import cash_balances
from sandbox.stripe.account import Account, Intent, Trial
from sandbox.stripe.charging import charge_balance
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, Json
from sandbox.stripe.events import BY_ITSELF, Cause
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import Schema, list_of, mapping, one_of, positive, text

# One kind of transfer a currency.
KINDS = {
    "eur": "eu_bank_transfer",
    "gbp": "gb_bank_transfer",
    "jpy": "jp_bank_transfer",
    "mxn": "mx_bank_transfer",
    "usd": "us_bank_transfer",
}
INSTRUCTIONS = "display_bank_transfer_instructions"

# The countries whose account numbers can be had for euros [sdk].
_COUNTRY = one_of("DE", "FR", "IE", "NL")
METHOD_OPTIONS = mapping(
    {
        "bank_transfer": mapping(
            {
                "eu_bank_transfer": mapping({"country": _COUNTRY}, required=("country",)),
                "requested_address_types": list_of(text),
                "type": one_of(*KINDS.values()),
            },
            required=("type",),
        ),
        "funding_type": one_of("bank_transfer"),
        "setup_future_usage": one_of("none"),
    }
)
FUND_FIELDS: Schema = {"amount": positive, "currency": one_of(*KINDS), "expand": expansion, "reference": text}

_BANK_ADDRESS = {
    "city": "Springfield",
    "country": "US",
    "line1": "1 Bank Street",
    "line2": None,
    "postal_code": "12345",
    "state": "NY",
}
_HOLDER = {
    "account_holder_address": _BANK_ADDRESS | {"line1": "2 Shop Street"},
    "account_holder_name": "Celeriac Sandbox",
    "bank_address": _BANK_ADDRESS,
}


def begin(account: Account, intent: Intent, trial: Trial, base_url: str) -> None:
    """Pay an intent from the cash balance, or show the customer where to send the rest."""
    options = _options(intent.body)
    cash_balances.apply(account, intent, trial.cause)
    if intent.funded == intent.body["amount"]:
        charge_balance(account, intent, trial)
        return
    intent.trial = trial
    action = {"type": INSTRUCTIONS, INSTRUCTIONS: _instructions(intent, options, base_url)}
    intent.body.update(status="requires_action", next_action=action)
    account.emit("payment_intent.requires_action", intent.body, trial.cause)


def fund(account: Account, customer: str, given: Mapping[str, Any], cause: Cause = BY_ITSELF) -> Json:
    """Receive a transfer from a customer and pay with it what he has open; returns the transaction."""
    account.customer(customer, status=404)
    currency, reference = given["currency"], given.get("reference")
    transfer = {"type": KINDS[currency], KINDS[currency]: _sender(currency), "reference": reference}
    transaction = cash_balances.deposit(account, customer, given["amount"], currency, transfer, cause)
    for intent in _open(account, customer, currency, reference):
        _fund_intent(account, intent)
    if cash_balances.available(account, customer, currency):
        account.emit("cash_balance.funds_available", cash_balances.balance(account, customer), cause)
    return transaction


def instructions(intent: Intent) -> Json | None:
    """Return what the customer is shown of an intent that waits for his money."""
    action = intent.body["next_action"] or {}
    found: Json | None = action.get(INSTRUCTIONS)
    return found


def _fund_intent(account: Account, intent: Intent) -> None:
    trial, shown = intent.trial, instructions(intent)
    if trial is None or shown is None:
        raise AssertionError(f"bug: {intent.body['id']} waits for no transfer")
    # What the bank does is no request to the API, but the books want the key of the confirm.
    trial.cause = Cause(None, trial.cause.idempotency_key)
    if not cash_balances.apply(account, intent, trial.cause):
        return
    if intent.funded == intent.body["amount"]:
        intent.trial = None
        charge_balance(account, intent, trial)
        return
    shown["amount_remaining"] = intent.body["amount"] - intent.funded
    account.emit("payment_intent.partially_funded", intent.body, trial.cause)


def _open(account: Account, customer: str, currency: str, reference: str | None) -> Iterable[Intent]:
    found = [
        intent
        for intent in account.intents.values()
        if (intent.body["customer"], intent.body["currency"]) == (customer, currency)
        and intent.body["status"] == "requires_action"
        and instructions(intent) is not None
    ]
    return sorted(found, key=lambda intent: (instructions(intent) or {}).get("reference") != reference)


def _options(body: Json) -> Json:
    if body["customer"] is None:
        raise InvalidRequest(
            "The payment method type customer_balance requires a Customer. Please include the Customer in the "
            "`customer` parameter on the PaymentIntent.",
            code="parameter_missing",
            param="customer",
        )
    options: Json = body["payment_method_options"].get("customer_balance") or {}
    kind = options.get("bank_transfer", {}).get("type")
    name = "payment_method_options[customer_balance]"
    if options.get("funding_type") is None or kind is None:
        raise InvalidRequest(
            f"Missing required param: {name}[funding_type].",
            code="parameter_missing",
            param=f"{name}[funding_type]",
        )
    if KINDS.get(body["currency"]) != kind:
        raise InvalidRequest(
            f"The bank transfer type {kind} does not support the currency {body['currency']}.",
            param=f"{name}[bank_transfer][type]",
        )
    if kind == "eu_bank_transfer" and kind not in options["bank_transfer"]:
        raise InvalidParameter(
            f"Missing required param: {name}[bank_transfer][{kind}].",
            code="parameter_missing",
            param=f"{name}[bank_transfer][{kind}]",
        )
    return options["bank_transfer"]


def _instructions(intent: Intent, options: Json, base_url: str) -> Json:
    body = intent.body
    return {
        "amount_remaining": body["amount"] - intent.funded,
        "currency": body["currency"],
        "financial_addresses": _addresses(options, body["customer"]),
        "hosted_instructions_url": f"{base_url}/_sandbox/bank_transfers/{body['id']}",
        "reference": body["id"][-8:].upper(),
        "type": options["type"],
    }


def _addresses(options: Json, customer: str) -> list[Json]:
    # A customer has the same account number for ever.
    number = f"{zlib.crc32(customer.encode()):012d}"
    match options["type"]:
        case "us_bank_transfer":
            shown = _HOLDER | {"account_number": number, "account_type": "checking", "bank_name": "US Test Bank"}
            return [
                _address("aba", ["ach", "domestic_wire_us"], shown | {"routing_number": "999999999"}),
                _address("swift", ["swift"], shown | {"swift_code": "TESTUS99XXX"}),
            ]
        case "eu_bank_transfer":
            country = options["eu_bank_transfer"]["country"]
            shown = _HOLDER | {"bic": "TESTDE00XXX", "country": country, "iban": f"{country}11000000{number}"}
            return [_address("iban", ["sepa", "swift"], shown)]
        case "gb_bank_transfer":
            shown = _HOLDER | {"account_number": number[-8:], "sort_code": "000000"}
            return [_address("sort_code", ["bacs", "chaps", "fps"], shown)]
        case "mx_bank_transfer":
            shown = _HOLDER | {"bank_code": "000", "bank_name": "MX Test Bank", "clabe": f"000000{number}"}
            return [_address("spei", ["spei"], shown)]
    shown = _HOLDER | {
        "account_number": number[-7:],
        "account_type": "futsu",
        "bank_code": "0000",
        "bank_name": "JP Test Bank",
        "branch_code": "000",
        "branch_name": "Test",
    }
    return [_address("zengin", ["zengin"], shown)]


def _address(type: str, networks: list[str], shown: Json) -> Json:
    return {"type": type, "supported_networks": networks, type: shown}


def _sender(currency: str) -> Json:
    senders: dict[str, Json] = {
        "eur": {"bic": "TESTDE00XXX", "iban_last4": "3000", "sender_name": "Jo Example"},
        "gbp": {"account_number_last4": "3000", "sender_name": "Jo Example", "sort_code": "000000"},
        "jpy": {"sender_bank": "JP Test Bank", "sender_branch": "Test", "sender_name": "Jo Example"},
        "usd": {"network": "domestic_wire_us", "sender_name": "Jo Example"},
    }
    return senders.get(currency, {})
