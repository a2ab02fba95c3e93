"""Stripe's control routes: scripted cards, 3-D Secure, pending debits and refunds, bank transfers, disputes and
fraud warnings."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify

from sandbox.control_request import choice, flag, is_count, is_success, refuse, request_body
from sandbox.stripe import (
    bank_transfers,
    billing,
    charging,
    confirmation,
    disputes,
    fraud_warnings,
    instruments,
    payment_methods,
    refunds,
    setup_intents,
)
from sandbox.stripe.account import Account
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import NO_REQUEST


def blueprint(account: Account) -> Blueprint:
    """Return Stripe's control routes."""
    routes = Blueprint("stripe_control", __name__, url_prefix="/_sandbox")

    @routes.errorhandler(StripeError)
    def refused(refusal: StripeError) -> tuple[Response, int]:
        return jsonify(error=str(refusal)), refusal.status

    @routes.post("/cards")
    def script_card() -> Response:
        """Create a card whose issuer decides each confirm by the next entry of `script`; of `brand`, by default a
        Visa."""
        body = request_body("script", "brand")
        entries, brand = body.get("script"), choice(body, "brand", instruments.SCRIPTED_BRANDS, "visa")
        if not isinstance(entries, list) or not entries:
            refuse("script must be a list of at least one entry")
        wrong = [entry for entry in entries if not instruments.is_script_entry(entry)]
        if wrong:
            refuse(f"{wrong[0]!r} is not an entry of script; an entry is {instruments.SCRIPT_ENTRIES}")
        with account.sandbox.lock:
            return jsonify(id=payment_methods.scripted(account, entries, brand).body["id"])

    @routes.post("/intents/<id>/settle")
    def finish_intent(id: str) -> Response:
        """Finish a debit that is processing: `result`, which is success or failure."""
        is_good = is_success()
        with account.sandbox.lock:
            intent = account.intent(id)
            if intent.body["status"] != "processing" or intent.attempt is None:
                refuse(f"the intent is {intent.body['status']}, not processing")
            charging.finish_debit(account, intent, intent.attempt, is_success=is_good)
            return jsonify(intent.body)

    @routes.post("/intents/<id>/authenticate")
    def authenticate_intent(id: str) -> Response:
        """Finish the 3-D Secure challenge or the redirect of an intent: `result`."""
        is_good = is_success()
        with account.sandbox.lock:
            intent = account.intent(id)
            confirmation.authenticate(account, intent, is_success=is_good)
            return jsonify(intent.body)

    @routes.post("/setups/<id>/authenticate")
    def authenticate_setup(id: str) -> Response:
        """Finish the 3-D Secure challenge of a SetupIntent: `result`."""
        is_good = is_success()
        with account.sandbox.lock:
            setup = setup_intents.retrieve(account, id)
            setup_intents.authenticate(account, setup, is_success=is_good, cause=NO_REQUEST)
            return jsonify(setup.body)

    @routes.post("/intents/<id>/fund")
    def fund_intent(id: str) -> Response:
        """Send a bank transfer for an intent: `amount` in minor units, or the remaining amount."""
        amount = request_body("amount").get("amount")
        with account.sandbox.lock:
            intent = account.intent(id)
            details = bank_transfers.instructions(intent)
            if details is None:
                refuse(f"the intent is {intent.body['status']} and waits for no transfer")
            amount = details["amount_remaining"] if amount is None else amount
            if not is_count(amount):
                refuse("amount must be a whole number of minor units from 1")
            params = {"amount": amount, "currency": intent.body["currency"], "reference": details["reference"]}
            bank_transfers.fund(account, intent.body["customer"], params)
            return jsonify(intent.body)

    @routes.post("/refunds/<id>/settle")
    def finish_pending_refund(id: str) -> Response:
        """Finish a pending refund, or fail one that has succeeded: `result`."""
        is_good = is_success()
        with account.sandbox.lock:
            refund = refunds.retrieve(account, id)
            if refund["status"] not in ("pending", "succeeded") or (is_good and refund["status"] == "succeeded"):
                refuse(f"the refund is {refund['status']}")
            refunds.finish(account, refund, is_success=is_good)
            return jsonify(refund)

    @routes.post("/intents/<id>/dispute")
    def dispute_intent(id: str) -> Response:
        """Open a dispute about the charge of an intent: `reason`, `inquiry`."""
        body = request_body("reason", "inquiry")
        reason, is_inquiry = choice(body, "reason", disputes.REASONS, "fraudulent"), flag(body, "inquiry")
        with account.sandbox.lock:
            intent = account.intent(id)
            if not intent.charges:
                refuse(f"the intent is {intent.body['status']} and has no charge")
            return jsonify(disputes.open_dispute(account, intent, reason, is_inquiry=is_inquiry))

    @routes.post("/intents/<id>/fraud_warning")
    def warn_of_fraud(id: str) -> Response:
        """Let the issuer report the charge of an intent as fraud: `fraud_type`."""
        fraud_type = choice(request_body("fraud_type"), "fraud_type", fraud_warnings.TYPES, fraud_warnings.USUAL_TYPE)
        with account.sandbox.lock:
            intent = account.intent(id)
            if not intent.charges:
                refuse(f"the intent is {intent.body['status']} and has no charge")
            return jsonify(fraud_warnings.warn(account, intent.charge, fraud_type))

    @routes.post("/methods/<id>/update")
    def update_method(id: str) -> Response:
        """Change a saved card: `exp_month`, `exp_year`, `last4`, and `by`, which is updater or customer."""
        body = request_body("exp_month", "exp_year", "last4", "by")
        is_automatic = choice(body, "by", ("updater", "customer"), "updater") == "updater"
        numbers = {name: body[name] for name in ("exp_month", "exp_year") if name in body}
        if not all(is_count(number) for number in numbers.values()):
            refuse("exp_month and exp_year must be whole numbers")
        last4 = {"last4": str(body["last4"])} if "last4" in body else {}
        with account.sandbox.lock:
            return jsonify(payment_methods.update_card(account, id, numbers | last4, is_automatic=is_automatic).body)

    @routes.post("/methods/<id>/mandate")
    def update_mandate(id: str) -> Response:
        """Change the mandate of a saved bank account: `status`, which is active, inactive or pending."""
        status = choice(request_body("status"), "status", ("active", "inactive", "pending"))
        with account.sandbox.lock:
            return jsonify(billing.update_mandate(account, id, status))

    @routes.post("/billing/<id>/emit")
    def emit_billing_event(id: str) -> Response:
        """Send an event about a subscription, one of its invoices, or an expiring card: `event_type`, `status`,
        `customer`. The sandbox stores none of them."""
        body = request_body("event_type", "status", "customer")
        type = choice(body, "event_type", billing.TYPES)
        with account.sandbox.lock:
            return jsonify(billing.emit(account, id, type, body.get("status"), body.get("customer")))

    @routes.post("/disputes/<id>/close")
    def close_dispute(id: str) -> Response:
        """Close a dispute: `result`, which is won or lost."""
        result = choice(request_body("result"), "result", ("won", "lost"))
        with account.sandbox.lock:
            return jsonify(disputes.end(account, id, is_won=result == "won"))

    return routes
