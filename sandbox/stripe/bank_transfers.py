"""Payment by bank transfer: the account details for the customer, and the intents that a transfer pays.

https://docs.stripe.com/payments/bank-transfers and https://docs.stripe.com/payments/customer-balance/reconciliation.
A transfer pays the intent whose reference it carries, then the smallest group of up to five open intents of the
customer that wait for exactly its amount, then the open ones, oldest first. Too small a transfer leaves an intent
partially funded; the excess of a larger one stays in the cash balance. Nothing is applied to the intents of a customer
whose reconciliation mode is manual.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

from sandbox.stripe import cash_balances
from sandbox.stripe.account import Account, ConfirmAttempt, Intent
from sandbox.stripe.charging import charge_balance
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, Json
from sandbox.stripe.events import NO_REQUEST, Cause
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import Schema, list_of, mapping, one_of, positive, text

# The one kind of transfer of each currency.
KINDS = {
    "eur": "eu_bank_transfer",
    "gbp": "gb_bank_transfer",
    "jpy": "jp_bank_transfer",
    "mxn": "mx_bank_transfer",
    "usd": "us_bank_transfer",
}
_LARGEST_GROUP = 5
INSTRUCTIONS = "display_bank_transfer_instructions"

# The countries of the account numbers for euros [sdk].
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


def begin(account: Account, intent: Intent, attempt: ConfirmAttempt, base_url: str) -> None:
    """Pay an intent from the cash balance, or ask the customer to transfer the remaining amount."""
    options = _options(intent.body)
    if not cash_balances.is_applied_by_hand(account, intent.body["customer"]):
        cash_balances.apply(account, intent, attempt.cause)
    if intent.funded == intent.body["amount"]:
        charge_balance(account, intent, attempt)
        return
    intent.attempt = attempt
    action = {"type": INSTRUCTIONS, INSTRUCTIONS: _instructions(intent, options, base_url)}
    intent.body.update(status="requires_action", next_action=action)
    account.emit("payment_intent.requires_action", intent.body, attempt.cause)


def fund(account: Account, customer: str, params: Mapping[str, Any], cause: Cause = NO_REQUEST) -> Json:
    """Receive a transfer from a customer, pay the open intents with it, and return the transaction."""
    account.customer(customer, status=404)
    currency, reference = params["currency"], params.get("reference")
    transfer = {"type": KINDS[currency], KINDS[currency]: _sender(currency), "reference": reference}
    transaction = cash_balances.deposit(account, customer, params["amount"], currency, transfer, cause)
    if not cash_balances.is_applied_by_hand(account, customer):
        for intent in _open_intents(account, customer, currency, reference):
            _fund_intent(account, intent)
    if cash_balances.available(account, customer, currency):
        account.emit("cash_balance.funds_available", cash_balances.balance(account, customer), cause)
    return transaction


def instructions(intent: Intent) -> Json | None:
    """Return the transfer instructions of an intent, or None if it does not wait for a transfer."""
    action = intent.body["next_action"] or {}
    details: Json | None = action.get(INSTRUCTIONS)
    return details


def _fund_intent(account: Account, intent: Intent) -> None:
    attempt, details = intent.attempt, instructions(intent)
    if attempt is None or details is None:
        raise AssertionError(f"bug: {intent.body['id']} waits for no transfer")
    # A transfer is not an API request, but the ledger records the idempotency key of the confirm.
    attempt.cause = Cause(None, attempt.cause.idempotency_key)
    if not cash_balances.apply(account, intent, attempt.cause):
        return
    if intent.funded == intent.body["amount"]:
        intent.attempt = None
        charge_balance(account, intent, attempt)
        return
    details["amount_remaining"] = intent.body["amount"] - intent.funded
    account.emit("payment_intent.partially_funded", intent.body, attempt.cause)


def _open_intents(account: Account, customer: str, currency: str, reference: str | None) -> Iterable[Intent]:
    matching = [
        intent
        for intent in account.intents.values()
        if (intent.body["customer"], intent.body["currency"]) == (customer, currency)
        and intent.body["status"] == "requires_action"
        and instructions(intent) is not None
    ]
    named = [intent for intent in matching if (instructions(intent) or {}).get("reference") == reference]
    others = [intent for intent in matching if intent not in named]
    exact = [] if named else _exact_group(others, cash_balances.available(account, customer, currency))
    return [*named, *exact, *(intent for intent in others if intent not in exact)]


def _exact_group(intents: list[Intent], amount: int) -> list[Intent]:
    """Return the smallest group of intents that wait for exactly this amount; empty if there is none."""
    for size in range(1, _LARGEST_GROUP + 1):
        for group in combinations(intents, size):
            if sum(intent.body["amount"] - intent.funded for intent in group) == amount:
                return list(group)
    return []


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
    # Derived from the id, because a customer always has the same account number.
    number = f"{zlib.crc32(customer.encode()):012d}"
    match options["type"]:
        case "us_bank_transfer":
            details = _HOLDER | {"account_number": number, "account_type": "checking", "bank_name": "US Test Bank"}
            return [
                _address("aba", ["ach", "domestic_wire_us"], details | {"routing_number": "999999999"}),
                _address("swift", ["swift"], details | {"swift_code": "TESTUS99XXX"}),
            ]
        case "eu_bank_transfer":
            country = options["eu_bank_transfer"]["country"]
            details = _HOLDER | {"bic": "TESTDE00XXX", "country": country, "iban": f"{country}11000000{number}"}
            return [_address("iban", ["sepa", "swift"], details)]
        case "gb_bank_transfer":
            details = _HOLDER | {"account_number": number[-8:], "sort_code": "000000"}
            return [_address("sort_code", ["bacs", "chaps", "fps"], details)]
        case "mx_bank_transfer":
            details = _HOLDER | {"bank_code": "000", "bank_name": "MX Test Bank", "clabe": f"000000{number}"}
            return [_address("spei", ["spei"], details)]
    details = _HOLDER | {
        "account_number": number[-7:],
        "account_type": "futsu",
        "bank_code": "0000",
        "bank_name": "JP Test Bank",
        "branch_code": "000",
        "branch_name": "Test",
    }
    return [_address("zengin", ["zengin"], details)]


def _address(type: str, networks: list[str], details: Json) -> Json:
    return {"type": type, "supported_networks": networks, type: details}


def _sender(currency: str) -> Json:
    senders: dict[str, Json] = {
        "eur": {"bic": "TESTDE00XXX", "iban_last4": "3000", "sender_name": "Jo Example"},
        "gbp": {"account_number_last4": "3000", "sender_name": "Jo Example", "sort_code": "000000"},
        "jpy": {"sender_bank": "JP Test Bank", "sender_branch": "Test", "sender_name": "Jo Example"},
        "usd": {"network": "domestic_wire_us", "sender_name": "Jo Example"},
    }
    return senders.get(currency, {})
