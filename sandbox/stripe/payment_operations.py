"""The operations on payments: intents, charges, refunds, disputes and early fraud warnings."""

from __future__ import annotations

from sandbox.stripe import disputes, fraud_warnings, intents, refunds
from sandbox.stripe.account import Account
from sandbox.stripe.capture_and_cancel import cancel, capture
from sandbox.stripe.confirmation import verify_microdeposits
from sandbox.stripe.errors import Json, missing
from sandbox.stripe.listing import LIST_FIELDS, SEARCH_FIELDS, list_page, search_page
from sandbox.stripe.operation import READ, Call, Operation
from sandbox.stripe.params import text


def _create_intent(account: Account, call: Call) -> Json:
    return intents.create(account, call.params, call.cause, call.base_url)


def _retrieve_intent(account: Account, call: Call) -> Json:
    return account.intent(call.ids["intent"]).body


def _update_intent(account: Account, call: Call) -> Json:
    return intents.update(account, account.intent(call.ids["intent"]), call.params)


def _confirm_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    return intents.confirm_existing(account, intent, call.params, call.cause, call.base_url)


def _capture_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    capture(account, intent, call.params, call.cause)
    return intent.body


def _cancel_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    cancel(account, intent, call.params.get("cancellation_reason"), call.cause)
    return intent.body


def _verify_intent(account: Account, call: Call) -> Json:
    intent = account.intent(call.ids["intent"])
    verify_microdeposits(account, intent, call.params, call.cause)
    return intent.body


def _list_intents(account: Account, call: Call) -> Json:
    bodies = (intent.body for intent in account.intents.values())
    return list_page(bodies, call.params, "/v1/payment_intents", "customer", "customer_account")


def _search_intents(account: Account, call: Call) -> Json:
    indexed_until = account.sandbox.clock.now() - account.sandbox.settings.search_lag_seconds
    bodies = (intent.body for intent in account.intents.values() if intent.created_at <= indexed_until)
    return search_page(bodies, call.params, "/v1/payment_intents/search")


def _retrieve_charge(account: Account, call: Call) -> Json:
    id = call.ids["charge"]
    if id not in account.charges:
        raise missing("charge", id, status=404)
    return account.charges[id]


def _list_charges(account: Account, call: Call) -> Json:
    intent = account.intents.get(call.params.get("payment_intent", ""))
    charges = intent.charges if intent is not None else account.charges.values()
    return list_page(charges, call.params, "/v1/charges", "payment_intent", "customer", "transfer_group")


def _list_refunds(account: Account, call: Call) -> Json:
    intent = account.intents.get(call.params.get("payment_intent", ""))
    matching = intent.refunds if intent is not None else account.refunds.values()
    return list_page(matching, call.params, "/v1/refunds", "payment_intent", "charge")


def _list_disputes(account: Account, call: Call) -> Json:
    return list_page(account.disputes.values(), call.params, "/v1/disputes", "payment_intent", "charge")


_INTENT = "/v1/payment_intents/<intent>"
_DISPUTE = "/v1/disputes/<dispute>"

OPERATIONS = (
    Operation(
        "payment_intents.create",
        "POST",
        "/v1/payment_intents",
        _create_intent,
        intents.CREATE_FIELDS,
        ("amount", "currency"),
        intents.check_create,
    ),
    Operation(
        "payment_intents.list",
        "GET",
        "/v1/payment_intents",
        _list_intents,
        {**LIST_FIELDS, "customer": text, "customer_account": text},
    ),
    Operation(
        "payment_intents.search",
        "GET",
        "/v1/payment_intents/search",
        _search_intents,
        SEARCH_FIELDS,
        ("query",),
    ),
    Operation("payment_intents.retrieve", "GET", _INTENT, _retrieve_intent, {**READ, "client_secret": text}),
    Operation("payment_intents.update", "POST", _INTENT, _update_intent, intents.UPDATE_FIELDS),
    Operation("payment_intents.confirm", "POST", f"{_INTENT}/confirm", _confirm_intent, intents.CONFIRM_FIELDS),
    Operation("payment_intents.capture", "POST", f"{_INTENT}/capture", _capture_intent, intents.CAPTURE_FIELDS),
    Operation("payment_intents.cancel", "POST", f"{_INTENT}/cancel", _cancel_intent, intents.CANCEL_FIELDS),
    Operation(
        "payment_intents.verify_microdeposits",
        "POST",
        f"{_INTENT}/verify_microdeposits",
        _verify_intent,
        intents.VERIFY_FIELDS,
    ),
    Operation(
        "refunds.create",
        "POST",
        "/v1/refunds",
        lambda account, call: refunds.create(account, call.params, call.cause),
        refunds.CREATE_FIELDS,
    ),
    Operation(
        "refunds.list",
        "GET",
        "/v1/refunds",
        _list_refunds,
        {**LIST_FIELDS, "payment_intent": text, "charge": text},
    ),
    Operation(
        "refunds.retrieve",
        "GET",
        "/v1/refunds/<refund>",
        lambda account, call: refunds.retrieve(account, call.ids["refund"]),
        READ,
    ),
    Operation(
        "refunds.update",
        "POST",
        "/v1/refunds/<refund>",
        lambda account, call: refunds.update(account, call.ids["refund"], call.params, call.cause),
        refunds.UPDATE_FIELDS,
    ),
    Operation(
        "charges.list",
        "GET",
        "/v1/charges",
        _list_charges,
        {**LIST_FIELDS, "payment_intent": text, "customer": text, "transfer_group": text},
    ),
    Operation(
        "disputes.list",
        "GET",
        "/v1/disputes",
        _list_disputes,
        {**LIST_FIELDS, "payment_intent": text, "charge": text},
    ),
    Operation(
        "disputes.retrieve",
        "GET",
        _DISPUTE,
        lambda account, call: disputes.retrieve(account, call.ids["dispute"]),
        READ,
    ),
    Operation(
        "disputes.update",
        "POST",
        _DISPUTE,
        lambda account, call: disputes.update(account, call.ids["dispute"], call.params, call.cause),
        disputes.UPDATE_FIELDS,
    ),
    Operation(
        "disputes.close",
        "POST",
        f"{_DISPUTE}/close",
        lambda account, call: disputes.end(account, call.ids["dispute"], is_won=False, cause=call.cause),
        READ,
    ),
    Operation(
        "radar.early_fraud_warnings.list",
        "GET",
        "/v1/radar/early_fraud_warnings",
        lambda account, call: list_page(
            account.fraud_warnings.values(), call.params, "/v1/radar/early_fraud_warnings", "payment_intent", "charge"
        ),
        {**LIST_FIELDS, "payment_intent": text, "charge": text},
    ),
    Operation(
        "radar.early_fraud_warnings.retrieve",
        "GET",
        "/v1/radar/early_fraud_warnings/<warning>",
        lambda account, call: fraud_warnings.retrieve(account, call.ids["warning"]),
        READ,
    ),
    Operation("charges.retrieve", "GET", "/v1/charges/<charge>", _retrieve_charge, READ),
)
