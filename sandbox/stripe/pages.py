"""Pages for a person in the customer's place: 3-D Secure, redirect methods, bank transfers and micro-deposits."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, jsonify, redirect, request
from werkzeug.wrappers import Response as AnyResponse

from sandbox.amounts import decimal_text, minor_units
from sandbox.control_request import refuse
from sandbox.stripe import bank_transfers, confirmation, setup_intents
from sandbox.stripe.account import Account, Intent, Setup
from sandbox.stripe.currencies import decimals
from sandbox.stripe.errors import CardError, StripeError
from sandbox.stripe.events import NO_REQUEST
from sandbox.stripe.instruments import PM_CARD

PAGE = """<!doctype html><html lang="en"><title>{title} test page</title>
<h1>{title} test page</h1><p>Pay {amount} {currency}.</p><p>Payment {id}, status {status}.</p>
<form method="post">{form}</form></html>
"""
SETUP_PAGE = """<!doctype html><html lang="en"><title>Setup test page</title>
<h1>Setup test page</h1><p>Setup {id}, status {status}.</p><form method="post">{form}</form></html>
"""
# Stands for the form of Stripe's front end. Test cards are chosen by their last digits, since nobody types a number.
FRONT_END_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width"><title>Stripe front end test page</title>
<style>body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 26rem; margin: 2rem auto; padding: 0 1rem }}
select, button {{ font: inherit; padding: .5rem; margin: .5rem 0; width: 100% }}</style>
<h1>Stripe front end <small>sandbox</small></h1><p>Pay {amount} {currency}.</p>{note}
<form method="post"><label>Test card <select name="card">{cards}</select></label><button>Pay</button></form>
<p><a href="{cancel_url}">Cancel and go back</a></p></html>
"""
SETUP_FORM = FRONT_END_PAGE.replace("<p>Pay {amount} {currency}.</p>", "<p>Save a card.</p>").replace(">Pay<", ">Save<")
FRONT_END_CARDS = {
    "visa": "Visa 4242: succeeds",
    "mastercard": "Mastercard 4444: succeeds",
    "threeDSecure2Required": "Visa 3220: asks for 3-D Secure",
    "chargeDeclinedInsufficientFunds": "Visa 9995: declined, insufficient funds",
    "chargeDeclinedLostCard": "Visa 9987: declined, lost card",
}
DECISION = """<button name="result" value="success">Approve</button>
<button name="result" value="failure">Fail</button>"""
TRANSFER = """<p>Reference {reference}. Send <input name="amount" value="{remaining}"> {remaining_currency}.</p>
<button>Send</button>"""
STATEMENT = """<p>Code on the statement: <input name="descriptor_code" value="{code}"></p><button>Verify</button>"""
DECIMAL = re.compile(r"\d{1,8}(?:\.\d{1,3})?", re.ASCII)
TITLES = {"klarna": "Klarna", "afterpay_clearpay": "Afterpay"}


def blueprint(account: Account) -> Blueprint:
    """Return the routes of the pages."""
    routes = Blueprint("stripe_pages", __name__, url_prefix="/_sandbox")

    @routes.errorhandler(StripeError)
    def refused(refusal: StripeError) -> tuple[Response, int]:
        return jsonify(error=str(refusal)), refusal.status

    @routes.get("/3ds/<id>")
    def show_challenge(id: str) -> str:
        """Show the 3-D Secure challenge, or the site of a redirect method."""
        with account.sandbox.lock:
            intent = _challenged_intent(account, id)
            type = intent.attempt.method.body["type"] if intent.attempt else ""
            return _page(TITLES.get(type, "3-D Secure"), intent, DECISION)

    @routes.post("/3ds/<id>")
    def decide_challenge(id: str) -> AnyResponse:
        """Finish the challenge by the form of its page: `result`."""
        is_success = request.form.get("result") == "success"
        with account.sandbox.lock:
            intent = _challenged_intent(account, id)
            action = intent.body["next_action"] or {}
            confirmation.authenticate(account, intent, is_success=is_success)
            return_url = action.get("redirect_to_url", {}).get("return_url")
            if return_url is None:
                return jsonify(intent.body)
            return redirect(_with_result(return_url, intent), code=303)

    @routes.get("/front_end/<id>")
    def show_front_end(id: str) -> str:
        """Show a form of test cards in place of Stripe's front end: `client_secret`, `return_url`, `cancel_url`."""
        with account.sandbox.lock:
            return _front_end(_front_end_intent(account, id))

    @routes.post("/front_end/<id>")
    def confirm_in_front_end(id: str) -> AnyResponse:
        """Confirm an intent by the form of its front end: `card`, the name of a test card."""
        params = {"payment_method": f"{PM_CARD}{request.form.get('card', '')}", "return_url": _address("return_url")}
        with account.sandbox.lock:
            intent = _front_end_intent(account, id)
            if intent.body["status"] in confirmation.CONFIRMABLE:
                try:
                    confirmation.confirm(account, intent, params, NO_REQUEST, request.host_url.rstrip("/"))
                except CardError as refusal:
                    return Response(_front_end(intent, str(refusal)), status=refusal.status)
            action = (intent.body["next_action"] or {}).get("redirect_to_url", {})
            return redirect(action.get("url") or _with_result(params["return_url"], intent), code=303)

    @routes.get("/front_end/setups/<id>")
    def show_setup_form(id: str) -> str:
        """Show a form of test cards for a SetupIntent: `client_secret`, `return_url`, `cancel_url`."""
        with account.sandbox.lock:
            return _setup_form(_front_end_setup(account, id))

    @routes.post("/front_end/setups/<id>")
    def confirm_setup_in_front_end(id: str) -> AnyResponse:
        """Confirm a SetupIntent by the form of its front end: `card`, the name of a test card."""
        params = {"payment_method": f"{PM_CARD}{request.form.get('card', '')}", "return_url": _address("return_url")}
        with account.sandbox.lock:
            setup = _front_end_setup(account, id)
            if setup.body["status"] in setup_intents.OPEN:
                how = setup_intents.ConfirmRequest(params, NO_REQUEST, request.host_url.rstrip("/"))
                try:
                    setup_intents.confirm(account, setup, how)
                except CardError as refusal:
                    return Response(_setup_form(setup, str(refusal)), status=refusal.status)
            action = (setup.body["next_action"] or {}).get("redirect_to_url", {})
            done = _with_query(params["return_url"], setup_intent=setup.body["id"])
            return redirect(action.get("url") or done, code=303)

    @routes.get("/bank_transfers/<id>")
    def show_instructions(id: str) -> str:
        """Show the bank that sends a transfer."""
        with account.sandbox.lock:
            intent, details = _intent_awaiting_transfer(account, id)
            currency = intent.body["currency"]
            return _page(
                "Bank transfer",
                intent,
                TRANSFER,
                reference=details["reference"],
                remaining=decimal_text(details["amount_remaining"], decimals(currency)),
                remaining_currency=currency.upper(),
            )

    @routes.post("/bank_transfers/<id>")
    def send_transfer(id: str) -> Response:
        """Send a bank transfer by the form of its page: `amount` as a decimal number."""
        text = request.form.get("amount", "")
        if not DECIMAL.fullmatch(text):
            refuse("amount must be a decimal number such as 24.90")
        with account.sandbox.lock:
            intent, details = _intent_awaiting_transfer(account, id)
            currency = intent.body["currency"]
            amount = minor_units(text, decimals(currency))
            if amount < 1:
                refuse("amount must be more than zero")
            params = {"amount": amount, "currency": currency, "reference": details["reference"]}
            bank_transfers.fund(account, intent.body["customer"], params)
            return jsonify(status=intent.body["status"])

    @routes.get("/microdeposits/<id>")
    def show_statement(id: str) -> str:
        """Show the micro-deposit on the statement of a bank account."""
        with account.sandbox.lock:
            return _page("Micro-deposit", _intent(account, id), STATEMENT, code=confirmation.MICRODEPOSIT_DESCRIPTOR)

    @routes.post("/microdeposits/<id>")
    def verify_account(id: str) -> Response:
        """Verify a bank account by the form of its page: `descriptor_code`."""
        with account.sandbox.lock:
            intent = _intent(account, id)
            confirmation.verify_microdeposits(account, intent, request.form, NO_REQUEST)
            return jsonify(status=intent.body["status"])

    @routes.get("/setups/<id>")
    def show_setup(id: str) -> str:
        """Show the action that a SetupIntent requires of the customer."""
        with account.sandbox.lock:
            body = setup_intents.retrieve(account, id).body
            is_bank = (body["next_action"] or {}).get("type") == "verify_with_microdeposits"
            form = STATEMENT.format(code=confirmation.MICRODEPOSIT_DESCRIPTOR) if is_bank else DECISION
            return SETUP_PAGE.format(id=body["id"], status=body["status"], form=form)

    @routes.post("/setups/<id>")
    def decide_setup(id: str) -> AnyResponse:
        """Finish the action of a SetupIntent by the form of its page."""
        with account.sandbox.lock:
            setup = setup_intents.retrieve(account, id)
            action = setup.body["next_action"] or {}
            if "descriptor_code" in request.form:
                setup_intents.verify_microdeposits(account, setup, request.form, NO_REQUEST)
            else:
                is_success = request.form.get("result") == "success"
                setup_intents.authenticate(account, setup, is_success=is_success, cause=NO_REQUEST)
            return_url = action.get("redirect_to_url", {}).get("return_url")
            if return_url is None:
                return jsonify(status=setup.body["status"])
            return redirect(_with_query(return_url, setup_intent=setup.body["id"]), code=303)

    return routes


def _page(title: str, intent: Intent, form: str, **fields: Any) -> str:
    details = {name: escape(str(value)) for name, value in fields.items()}
    body = intent.body
    return PAGE.format(
        title=title,
        form=form.format(**details),
        amount=decimal_text(body["amount"], decimals(body["currency"])),
        currency=body["currency"].upper(),
        id=body["id"],
        status=body["status"],
    )


def _front_end(intent: Intent, refusal: str = "") -> str:
    cards = "".join(f'<option value="{name}">{escape(text)}</option>' for name, text in FRONT_END_CARDS.items())
    body = intent.body
    return FRONT_END_PAGE.format(
        amount=decimal_text(body["amount"], decimals(body["currency"])),
        currency=body["currency"].upper(),
        note=refusal and f'<p role="alert">{escape(refusal)}</p>',
        cards=cards,
        cancel_url=escape(_address("cancel_url")),
    )


def _setup_form(setup: Setup, refusal: str = "") -> str:
    cards = "".join(f'<option value="{name}">{escape(text)}</option>' for name, text in FRONT_END_CARDS.items())
    return SETUP_FORM.format(
        note=refusal and f'<p role="alert">{escape(refusal)}</p>',
        cards=cards,
        cancel_url=escape(_address("cancel_url")),
    )


def _front_end_setup(account: Account, id: str) -> Setup:
    setup = setup_intents.retrieve(account, id)
    if request.args.get("client_secret") != setup.body["client_secret"]:
        refuse("the client secret is not that of the setup", 404)
    return setup


def _front_end_intent(account: Account, id: str) -> Intent:
    intent = _intent(account, id)
    if request.args.get("client_secret") != intent.body["client_secret"]:
        refuse("the client secret is not that of the intent", 404)
    return intent


def _address(name: str) -> str:
    """Return an address of the query. A browser that follows it must not run it as a script."""
    address = request.args.get(name, "")
    if not address.startswith(("http://", "https://")):
        refuse(f"{name} must be an address")
    return address


def _intent(account: Account, id: str) -> Intent:
    if id not in account.intents:
        refuse(f"there is no intent {id}", 404)
    return account.intents[id]


def _challenged_intent(account: Account, id: str) -> Intent:
    intent = _intent(account, id)
    if request.args.get("payment_intent_client_secret") != intent.body["client_secret"]:
        refuse("the client secret is not that of the intent", 404)
    return intent


def _intent_awaiting_transfer(account: Account, id: str) -> tuple[Intent, dict[str, Any]]:
    intent = _intent(account, id)
    details = bank_transfers.instructions(intent)
    if details is None:
        refuse(f"the intent is {intent.body['status']} and waits for no transfer")
    return intent, details


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
