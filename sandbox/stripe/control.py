"""Owns the part of the control API that is Stripe's: scripted cards, the customer's part of 3-D Secure, the
bank's answer.

Also the page to which a customer is redirected, so that a person can play the customer in a browser.
"""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.control import body_of_request, refuse
from sandbox.stripe import charging, confirmation, payment_methods, refunds
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import StripeError

PAGE = """<!doctype html><html lang="en"><title>3-D Secure test page</title>
<h1>3-D Secure test page</h1><p>{amount} {currency}, payment {id}, status {status}</p>
<form method="post"><button name="result" value="success">Approve</button>
<button name="result" value="failure">Fail</button></form></html>
"""


def blueprint(account: Account) -> Blueprint:
    """Return Stripe's control routes."""
    routes = Blueprint("stripe_control", __name__, url_prefix="/_sandbox")

    @routes.errorhandler(StripeError)
    def refused(refusal: StripeError) -> tuple[Response, int]:
        return jsonify(refusal.body()), refusal.status

    @routes.post("/cards")
    def script_card() -> Response:
        entries = body_of_request().get("script")
        if not isinstance(entries, list) or not entries:
            refuse("script must be a list of at least one entry")
        if not all(
            isinstance(entry, str) or (isinstance(entry, dict) and "decline_code" in entry)
            for entry in entries
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

    @routes.post("/refunds/<id>/settle")
    def settle_refund(id: str) -> Response:
        is_success = _result()
        with account.sandbox.lock:
            refund = refunds.retrieve(account, id)
            if refund["status"] not in ("pending", "succeeded") or (
                is_success and refund["status"] == "succeeded"
            ):
                refuse(f"the refund is {refund['status']}")
            refunds.settle(account, refund, is_success=is_success)
            return jsonify(refund)

    @routes.get("/3ds/<id>")
    def show_challenge(id: str) -> str:
        with account.sandbox.lock:
            body = _challenged(account, id).body
            return PAGE.format(
                **{name: escape(str(body[name])) for name in ("amount", "currency", "id", "status")}
            )

    @routes.post("/3ds/<id>")
    def decide_challenge(id: str) -> AnyResponse:
        is_success = request.form.get("result") == "success"
        with account.sandbox.lock:
            intent = _challenged(account, id)
            action = intent.body["next_action"] or {}
            confirmation.authenticate(account, intent, is_success=is_success)
            return_url = action.get("redirect_to_url", {}).get("return_url")
            if return_url is None:
                return jsonify(intent.body)
            return redirect(_with_result(return_url, intent), code=303)

    return routes


def _result() -> bool:
    result = body_of_request().get("result")
    if result not in ("success", "failure"):
        refuse("result must be success or failure")
    return result == "success"


def _challenged(account: Account, id: str) -> Intent:
    intent = account.intents.get(id)
    if intent is None or request.args.get("payment_intent_client_secret") != intent.body["client_secret"]:
        abort(404)
    return intent


def _with_result(return_url: str, intent: Intent) -> str:
    is_paid = intent.body["status"] in ("succeeded", "requires_capture")
    query = urlencode(
        {
            "payment_intent": intent.body["id"],
            "payment_intent_client_secret": intent.body["client_secret"],
            "redirect_status": "succeeded" if is_paid else "failed",
        }
    )
    return f"{return_url}{'&' if '?' in return_url else '?'}{query}"
