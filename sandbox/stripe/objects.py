"""Stripe's objects: every field of the real ones, with the values of a new object.

Fields: the sample objects of github.com/stripe/openapi (fixtures3) and the annotations of the Python package 16.1.0.
"""

from __future__ import annotations

from typing import Any

from sandbox.stripe import API_VERSION
from sandbox.stripe.errors import Json

EMPTY_ADDRESS = {
    "city": None,
    "country": None,
    "line1": None,
    "line2": None,
    "postal_code": None,
    "state": None,
}


def billing_details(params: Json | None = None) -> Json:
    """Return billing details with every field that is not in the parameters set to None."""
    params = params or {}
    address = {**EMPTY_ADDRESS, **(params.get("address") or {})}
    return {"email": None, "name": None, "phone": None, "tax_id": None, **params, "address": address}


def page(url: str, data: list[Json], *, has_more: bool = False) -> Json:
    """Return a list object."""
    return {"object": "list", "data": data, "has_more": has_more, "url": url}


def payment_intent(id: str, created: int, **fields: Any) -> Json:
    """Return a PaymentIntent."""
    return {
        "id": id,
        "object": "payment_intent",
        "allowed_payment_method_types": None,
        "amount": 0,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": 0,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": None,
        "cancellation_reason": None,
        "capture_method": "automatic_async",
        "client_secret": None,
        "confirmation_method": "automatic",
        "created": created,
        "currency": None,
        "customer": None,
        "customer_account": None,
        "description": None,
        "excluded_payment_method_types": None,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "managed_payments": None,
        "metadata": {},
        "next_action": None,
        "on_behalf_of": None,
        "payment_method": None,
        "payment_method_configuration_details": None,
        "payment_method_options": {},
        "payment_method_types": ["card"],
        "processing": None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "source": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "requires_payment_method",
        "transfer_data": None,
        "transfer_group": None,
        **fields,
    }


def charge(id: str, created: int, intent: Json, method: Json, **fields: Any) -> Json:
    """Return a Charge of an intent with a payment method; billing details are the method's."""
    return {
        "id": id,
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "authorization_code": None,
        "balance_transaction": None,
        "billing_details": method["billing_details"],
        "calculated_statement_descriptor": "CELERIAC SANDBOX",
        "captured": False,
        "created": created,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": None,
        "failure_message": None,
        "fraud_details": {},
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": None,
        "paid": False,
        "payment_intent": intent["id"],
        "payment_method": method["id"],
        "payment_method_details": None,
        "receipt_email": intent["receipt_email"],
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": intent["shipping"],
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": intent["statement_descriptor_suffix"],
        "status": "pending",
        "transfer_data": None,
        "transfer_group": intent["transfer_group"],
        **fields,
    }


def approved_outcome(risk_level: str) -> Json:
    """Return the `outcome` of an approved charge."""
    return {
        "advice_code": None,
        "network_advice_code": None,
        "network_decline_code": None,
        "network_status": "approved_by_network",
        "reason": "elevated_risk_level" if risk_level == "elevated" else None,
        "risk_level": risk_level,
        "seller_message": "Payment complete.",
        "type": "authorized",
    }


def card_details(card: Json, **fields: Any) -> Json:
    """Return `payment_method_details.card` of a charge."""
    unavailable = {"status": "unavailable"}
    return {
        "amount_authorized": None,
        "authorization_code": None,
        "brand": card["brand"],
        "checks": card["checks"],
        "country": card["country"],
        "exp_month": card["exp_month"],
        "exp_year": card["exp_year"],
        "extended_authorization": {"status": "disabled"},
        "fingerprint": card["fingerprint"],
        "funding": card["funding"],
        "incremental_authorization": unavailable,
        "installments": None,
        "last4": card["last4"],
        "mandate": None,
        "multicapture": unavailable,
        "network": card["brand"],
        "network_token": {"used": False},
        "network_transaction_id": None,
        "overcapture": unavailable,
        "regulated_status": "unregulated",
        "three_d_secure": None,
        "transaction_link_id": None,
        "wallet": None,
        **fields,
    }


# The indicator of a Visa card, by the result.
_INDICATORS = {"authenticated": "05", "attempt_acknowledged": "06", "processing_error": "07"}


def three_d_secure(result: str, flow: str | None = None, *, version: str = "2.2.0") -> Json:
    """Return `payment_method_details.card.three_d_secure`. `flow`: of an authenticated customer only."""
    return {
        "authentication_flow": flow,
        "electronic_commerce_indicator": _INDICATORS[result],
        "exemption_indicator": None,
        "result": result,
        "result_reason": None,
        "transaction_id": None,
        "version": version,
    }


def early_fraud_warning(id: str, created: int, charge: Json, fraud_type: str) -> Json:
    """Return an EarlyFraudWarning about a charge."""
    return {
        "id": id,
        "object": "radar.early_fraud_warning",
        "actionable": not (charge["disputed"] or charge["refunded"]),
        "charge": charge["id"],
        "created": created,
        "fraud_type": fraud_type,
        "livemode": False,
        "payment_intent": charge["payment_intent"],
    }


def refund(id: str, created: int, charge: Json, **fields: Any) -> Json:
    """Return a Refund of a charge."""
    return {
        "id": id,
        "object": "refund",
        "amount": 0,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": created,
        "currency": charge["currency"],
        "customer": charge["customer"],
        "customer_account": None,
        "destination_details": None,
        "metadata": {},
        "payment_intent": charge["payment_intent"],
        "payment_method": charge["payment_method"],
        "reason": None,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "succeeded",
        "transfer_reversal": None,
        **fields,
    }


def customer(id: str, created: int, **fields: Any) -> Json:
    """Return a Customer."""
    return {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": created,
        "currency": None,
        "customer_account": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": id[-8:].upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": {},
        "name": None,
        "next_invoice_sequence": 1,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **fields,
    }


def payment_method(id: str, created: int, type: str, details: Json, **fields: Any) -> Json:
    """Return a PaymentMethod."""
    return {
        "id": id,
        "object": "payment_method",
        "allow_redisplay": "unspecified",
        "billing_details": billing_details(),
        "created": created,
        "customer": None,
        "customer_account": None,
        "livemode": False,
        "metadata": {},
        "type": type,
        type: details,
        **fields,
    }


def card(
    brand: str, last4: str, funding: str, fingerprint: str, *, country: str, checks: Json, is_3ds_supported: bool
) -> Json:
    """Return `card` of a PaymentMethod."""
    return {
        "brand": brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass",
            **checks,
        },
        "country": country,
        "display_brand": brand,
        # Later than any date to which a test moves the clock.
        "exp_month": 12,
        "exp_year": 2099,
        "fingerprint": fingerprint,
        "funding": funding,
        "generated_from": None,
        "last4": last4,
        "networks": {"available": [brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": is_3ds_supported},
        "wallet": None,
    }


def sepa_debit(iban: str, fingerprint: str) -> Json:
    """Return `sepa_debit` of a PaymentMethod; the full number is not stored."""
    return {
        "bank_code": iban[4:9],
        "branch_code": "",
        "country": iban[:2],
        "fingerprint": fingerprint,
        "generated_from": {"charge": None, "setup_attempt": None},
        "last4": iban[-4:],
    }


def us_bank_account(account_number: str, routing_number: str, fingerprint: str, **fields: Any) -> Json:
    """Return `us_bank_account` of a PaymentMethod; the full number is not stored."""
    return {
        "account_holder_type": "individual",
        "account_type": "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "fingerprint": fingerprint,
        "last4": account_number[-4:],
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": routing_number,
        "status_details": {},
        **fields,
    }


def mandate(id: str, method: Json, acceptance: Json) -> Json:
    """Return a Mandate for repeated debits."""
    return {
        "id": id,
        "object": "mandate",
        "customer_acceptance": acceptance,
        "livemode": False,
        "multi_use": {},
        "payment_method": method["id"],
        "payment_method_details": {"type": method["type"], method["type"]: {}},
        "status": "active",
        "type": "multi_use",
    }


def event(id: str, created: int, type: str, obj: Json, **fields: Any) -> Json:
    """Return an Event with the object in its present state."""
    return {
        "id": id,
        "object": "event",
        "api_version": API_VERSION,
        "created": created,
        "data": {"object": obj},
        "livemode": False,
        "pending_webhooks": 0,
        "request": {"id": None, "idempotency_key": None},
        "type": type,
        **fields,
    }


def webhook_endpoint(id: str, created: int, url: str, enabled_events: list[str], **fields: Any) -> Json:
    """Return a WebhookEndpoint without its secret, which only the response to the create shows."""
    return {
        "id": id,
        "object": "webhook_endpoint",
        "api_version": None,
        "application": None,
        "created": created,
        "description": None,
        "enabled_events": enabled_events,
        "livemode": False,
        "metadata": {},
        "status": "enabled",
        "url": url,
        **fields,
    }
