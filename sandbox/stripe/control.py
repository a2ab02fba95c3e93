"""Owns the part of the control API that is Stripe's: scripted cards, the customer's part of 3-D Secure, what banks do:
answers, transfers, returned debits, disputes.
"""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from sandbox.control import refuse, request_body
from sandbox.stripe import (
    bank_transfers,
    charging,
    confirmation,
    disputes,
    payment_methods,
    refunds,
    setup_intents,
)
from sandbox.stripe.account import Account
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import BY_ITSELF


def blueprint(account: Account) -> Blueprint:
    """Return Stripe's control routes."""
    routes = Blueprint("stripe_control", __name__, url_prefix="/_sandbox")

    @routes.errorhandler(StripeError)
    def refused(refusal: StripeError) -> tuple[Response, int]:
        return jsonify(refusal.body()), refusal.status

    @routes.post("/cards")
    def script_card() -> Response:
        entries = request_body().get("script")
        if not isinstance(entries, list) or not entries:
            refuse("script must be a list of at least one entry")
        if not all(
            isinstance(entry, str) or (isinstance(entry, dict) and "decline_code" in entry) for entry in entries
        ):
            refuse("an entry is a word or an object with a decline_code")
        with account.sandbox.lock:
            return jsonify(id=payment_methods.scripted(account, entries).body["id"])

    @routes.post("/intents/<id>/settle")
    def settle_intent(id: str) -> Response:
        is_success = _result()
        with account.sandbox.lock:
            intent = account.intent(id)
            if intent.body["status"] != "processing" or intent.trial is None:
                refuse(f"the intent is {intent.body['status']}, not processing")
            charging.hear_from_bank(account, intent, intent.trial, is_success=is_success)
            return jsonify(intent.body)

    @routes.post("/intents/<id>/authenticate")
    def authenticate_intent(id: str) -> Response:
        is_success = _result()
        with account.sandbox.lock:
            intent = account.intent(id)
            confirmation.authenticate(account, intent, is_success=is_success)
            return jsonify(intent.body)

    @routes.post("/setups/<id>/authenticate")
    def authenticate_setup(id: str) -> Response:
        is_success = _result()
        with account.sandbox.lock:
            setup = setup_intents.retrieve(account, id)
            setup_intents.authenticate(account, setup, is_success=is_success, cause=BY_ITSELF)
            return jsonify(setup.body)

    @routes.post("/intents/<id>/fund")
    def fund_intent(id: str) -> Response:
        amount = request_body().get("amount")
        with account.sandbox.lock:
            intent = account.intent(id)
            shown = bank_transfers.instructions(intent)
            if shown is None:
                refuse(f"the intent is {intent.body['status']} and waits for no transfer")
            amount = shown["amount_remaining"] if amount is None else amount
            if not isinstance(amount, int) or amount < 1:
                refuse("amount must be a whole number of minor units from 1")
            given = {"amount": amount, "currency": intent.body["currency"], "reference": shown["reference"]}
            bank_transfers.fund(account, intent.body["customer"], given)
            return jsonify(intent.body)

    @routes.post("/refunds/<id>/settle")
    def settle_refund(id: str) -> Response:
        is_success = _result()
        with account.sandbox.lock:
            refund = refunds.retrieve(account, id)
            if refund["status"] not in ("pending", "succeeded") or (is_success and refund["status"] == "succeeded"):
                refuse(f"the refund is {refund['status']}")
            refunds.settle(account, refund, is_success=is_success)
            return jsonify(refund)

    @routes.post("/intents/<id>/dispute")
    def dispute_intent(id: str) -> Response:
        body = request_body()
        with account.sandbox.lock:
            intent = account.intent(id)
            if not intent.charges:
                refuse(f"the intent is {intent.body['status']} and has no charge")
            reason = str(body.get("reason", "fraudulent"))
            return jsonify(disputes.open_dispute(account, intent, reason, is_inquiry=bool(body.get("inquiry"))))

    @routes.post("/disputes/<id>/close")
    def close_dispute(id: str) -> Response:
        result = request_body().get("result")
        if result not in ("won", "lost"):
            refuse("result must be won or lost")
        with account.sandbox.lock:
            return jsonify(disputes.end(account, id, is_won=result == "won"))

    return routes


def _result() -> bool:
    result = request_body().get("result")
    if result not in ("success", "failure"):
        refuse("result must be success or failure")
    return result == "success"
