"""Owns the pages on which a person plays the customer: 3-D Secure and the sites of redirect methods, a bank that sends
a transfer, the micro-deposits on a bank account's statement.
"""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, abort, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.control import refuse
from sandbox.stripe import bank_transfers, confirmation, setup_intents
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import BY_ITSELF

PAGE = """<!doctype html><html lang="en"><title>{title} test page</title>
<h1>{title} test page</h1><p>{amount} {currency}, payment {id}, status {status}</p>
<form method="post">{form}</form></html>
"""
SETUP_PAGE = """<!doctype html><html lang="en"><title>Setup test page</title>
<h1>Setup test page</h1><p>{id}, status {status}</p><form method="post">{form}</form></html>
"""
DECISION = """<button name="result" value="success">Approve</button>
<button name="result" value="failure">Fail</button>"""
TRANSFER = """<p>Reference {reference}. Send in minor units: <input name="amount" value="{amount_remaining}"></p>
<button>Send</button>"""
STATEMENT = """<p>Code on the statement: <input name="descriptor_code" value="{code}"></p><button>Verify</button>"""
TITLES = {"klarna": "Klarna", "afterpay_clearpay": "Afterpay"}


def blueprint(account: Account) -> Blueprint:
    """Return the routes of the pages."""
    routes = Blueprint("stripe_pages", __name__, url_prefix="/_sandbox")

    @routes.errorhandler(StripeError)
    def refused(refusal: StripeError) -> tuple[Response, int]:
        return jsonify(refusal.body()), refusal.status

    @routes.get("/3ds/<id>")
    def show_challenge(id: str) -> str:
        with account.sandbox.lock:
            intent = _challenged(account, id)
            type = intent.trial.method.body["type"] if intent.trial else ""
            return _page(TITLES.get(type, "3-D Secure"), intent, DECISION)

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

    @routes.get("/bank_transfers/<id>")
    def show_instructions(id: str) -> str:
        with account.sandbox.lock:
            intent, shown = _awaited(account, id)
            return _page("Bank transfer", intent, TRANSFER, **shown)

    @routes.post("/bank_transfers/<id>")
    def send_transfer(id: str) -> Response:
        amount = request.form.get("amount", "")
        if not amount.isdecimal() or int(amount) < 1:
            refuse("amount must be a whole number of minor units from 1")
        with account.sandbox.lock:
            intent, shown = _awaited(account, id)
            given = {"amount": int(amount), "currency": intent.body["currency"], "reference": shown["reference"]}
            bank_transfers.fund(account, intent.body["customer"], given)
            return jsonify(status=intent.body["status"])

    @routes.get("/microdeposits/<id>")
    def show_statement(id: str) -> str:
        with account.sandbox.lock:
            return _page("Micro-deposit", _found(account, id), STATEMENT, code=confirmation.MICRODEPOSIT_DESCRIPTOR)

    @routes.post("/microdeposits/<id>")
    def verify_account(id: str) -> Response:
        with account.sandbox.lock:
            intent = _found(account, id)
            confirmation.verify_microdeposits(account, intent, request.form, BY_ITSELF)
            return jsonify(status=intent.body["status"])

    @routes.get("/setups/<id>")
    def show_setup(id: str) -> str:
        with account.sandbox.lock:
            body = setup_intents.retrieve(account, id).body
            is_bank = (body["next_action"] or {}).get("type") == "verify_with_microdeposits"
            form = STATEMENT.format(code=confirmation.MICRODEPOSIT_DESCRIPTOR) if is_bank else DECISION
            return SETUP_PAGE.format(id=body["id"], status=body["status"], form=form)

    @routes.post("/setups/<id>")
    def decide_setup(id: str) -> AnyResponse:
        with account.sandbox.lock:
            setup = setup_intents.retrieve(account, id)
            action = setup.body["next_action"] or {}
            if "descriptor_code" in request.form:
                setup_intents.verify_microdeposits(account, setup, request.form, BY_ITSELF)
            else:
                is_success = request.form.get("result") == "success"
                setup_intents.authenticate(account, setup, is_success=is_success, cause=BY_ITSELF)
            return_url = action.get("redirect_to_url", {}).get("return_url")
            if return_url is None:
                return jsonify(status=setup.body["status"])
            return redirect(_with_query(return_url, setup_intent=setup.body["id"]), code=303)

    return routes


def _page(title: str, intent: Intent, form: str, **fields: Any) -> str:
    shown = {name: escape(str(value)) for name, value in fields.items()}
    about = {name: escape(str(intent.body[name])) for name in ("amount", "currency", "id", "status")}
    return PAGE.format(title=title, form=form.format(**shown), **about)


def _found(account: Account, id: str) -> Intent:
    if id not in account.intents:
        abort(404)
    return account.intents[id]


def _challenged(account: Account, id: str) -> Intent:
    intent = _found(account, id)
    if request.args.get("payment_intent_client_secret") != intent.body["client_secret"]:
        abort(404)
    return intent


def _awaited(account: Account, id: str) -> tuple[Intent, dict[str, Any]]:
    intent = _found(account, id)
    shown = bank_transfers.instructions(intent)
    if shown is None:
        refuse(f"the intent is {intent.body['status']} and waits for no transfer")
    return intent, shown


def _with_result(return_url: str, intent: Intent) -> str:
    is_paid = intent.body["status"] in ("succeeded", "requires_capture")
    return _with_query(
        return_url,
        payment_intent=intent.body["id"],
        payment_intent_client_secret=intent.body["client_secret"],
        redirect_status="succeeded" if is_paid else "failed",
    )


def _with_query(return_url: str, **query: str) -> str:
    return f"{return_url}{'&' if '?' in return_url else '?'}{urlencode(query)}"
