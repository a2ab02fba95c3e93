"""Charges: the request to the issuer or the bank, the resulting charge, and the intent's status afterwards.

https://docs.stripe.com/payments/paymentintents/lifecycle. A decline sets the intent back to requires_payment_method,
open for another method [run]. A bank debit is `processing` until the bank decides days later.
"""

from __future__ import annotations

from datetime import timedelta

from sandbox.stripe import objects
from sandbox.stripe.account import Account, ConfirmAttempt, Intent
from sandbox.stripe.capture_and_cancel import expire, follow_script
from sandbox.stripe.declines import AUTHENTICATION_FAILURE, AUTHENTICATION_FAILURE_MESSAGE, Decline, decline
from sandbox.stripe.errors import Json, doc_url
from sandbox.stripe.ids import new_id

# https://docs.stripe.com/payments/extended-authorization: Visa shortens the authorization of an off-session payment.
AUTHORIZATION_WINDOW = timedelta(days=7)
VISA_OFF_SESSION_WINDOW = timedelta(days=4, hours=18)

# Within the banks' limits: SEPA about 5 business days, ACH up to 4 (https://docs.stripe.com/payments/bank-debits).
DEBIT_DURATION = {"sepa_debit": timedelta(days=3), "us_bank_account": timedelta(days=4)}


def request_authorization(account: Account, intent: Intent, attempt: ConfirmAttempt) -> Decline | None:
    """Charge or authorise the intent; return the decline if the issuer or Radar declines."""
    refusal = attempt.behaviour.decline
    if refusal is not None:
        decline_charge(account, intent, attempt, refusal)
        return refusal
    account.record_attempt(intent, "success", attempt.cause)
    charge = _new_charge(account, intent, attempt, objects.approved_outcome(attempt.behaviour.risk_level))
    charge.update(paid=True, status="succeeded")
    _save_method(account, intent, attempt)
    if _is_manual(intent, attempt):
        _authorize(account, intent, attempt, charge)
    else:
        _succeed(account, intent, attempt, charge)
    return None


def charge_balance(account: Account, intent: Intent, attempt: ConfirmAttempt) -> None:
    """Charge the amount that is applied from the customer's cash balance."""
    account.record_attempt(intent, "success", attempt.cause)
    charge = _new_charge(account, intent, attempt, objects.approved_outcome("not_assessed"))
    charge.update(paid=True, status="succeeded")
    _succeed(account, intent, attempt, charge)


def submit_debit(account: Account, intent: Intent, attempt: ConfirmAttempt) -> None:
    """Submit a debit to the bank, which decides later by the sandbox clock."""
    account.record_attempt(intent, "processing", attempt.cause)
    charge = _new_charge(account, intent, attempt, objects.approved_outcome("not_assessed"))
    charge["captured"] = True
    _save_method(account, intent, attempt)
    intent.attempt = attempt
    intent.body.update(status="processing", next_action=None, last_payment_error=None)
    account.emit("payment_intent.processing", intent.body, attempt.cause)
    account.emit("charge.pending", charge, attempt.cause)
    is_success = attempt.behaviour.bank_failure is None
    account.sandbox.scheduler.run_at(
        account.sandbox.clock.now() + _debit_seconds(account, attempt),
        lambda: finish_debit(account, intent, attempt, is_success=is_success),
    )


def finish_debit(account: Account, intent: Intent, attempt: ConfirmAttempt, *, is_success: bool) -> None:
    """Finish a debit. A second call does nothing: a test may finish a debit before its scheduled end."""
    if intent.attempt is not attempt:
        return
    intent.attempt = None
    if is_success:
        intent.charge.update(paid=True, status="succeeded")
        _succeed(account, intent, attempt, intent.charge)
    else:
        failure = attempt.behaviour.bank_failure or "insufficient_funds"
        refusal = Decline(failure, code=failure, message="The bank account could not be debited.")
        _mark_failed(intent.charge, refusal)
        intent.charge["captured"] = False
        _reopen(
            account,
            intent,
            attempt,
            refusal.error(charge=intent.charge["id"], payment_method=attempt.method.body),
            failed_charge=intent.charge,
        )


def decline_charge(account: Account, intent: Intent, attempt: ConfirmAttempt, refusal: Decline) -> None:
    """Add the failed charge of a decline by the issuer, or by Radar before the request to the issuer."""
    if not refusal.is_blocked:
        account.record_attempt(intent, refusal.decline_code, attempt.cause)
    charge = _new_charge(account, intent, attempt, refusal.outcome())
    _mark_failed(charge, refusal)
    error = refusal.error(charge=charge["id"], payment_method=attempt.method.body)
    _reopen(account, intent, attempt, error, failed_charge=charge)


def fail_without_charge(account: Account, intent: Intent, attempt: ConfirmAttempt, refusal: Decline) -> None:
    """Fail a confirm without a charge, because no request reaches an issuer."""
    _reopen(account, intent, attempt, refusal.error(charge=None, payment_method=attempt.method.body))


def fail_authentication(account: Account, intent: Intent, attempt: ConfirmAttempt) -> None:
    """Fail a confirm after a failed 3-D Secure challenge or redirect."""
    _reopen(
        account,
        intent,
        attempt,
        {
            "type": "invalid_request_error",
            "code": AUTHENTICATION_FAILURE,
            "doc_url": doc_url(AUTHENTICATION_FAILURE),
            "message": AUTHENTICATION_FAILURE_MESSAGE,
            "payment_method": dict(attempt.method.body),
        },
    )


def decline_for_authentication(account: Account, intent: Intent, attempt: ConfirmAttempt) -> Decline:
    """Decline an off-session payment whose card requires authentication by its holder."""
    refusal = decline("authentication_required")
    decline_charge(account, intent, attempt, refusal)
    return refusal


def _new_charge(account: Account, intent: Intent, attempt: ConfirmAttempt, outcome: Json) -> Json:
    details = {"type": attempt.method.body["type"], attempt.method.body["type"]: _method_details(attempt)}
    charge = objects.charge(
        new_id("ch_"),
        account.now,
        intent.body,
        attempt.method.body,
        outcome=outcome,
        payment_method_details=details,
    )
    intent.charges.append(charge)
    account.charges[charge["id"]] = charge
    intent.body["latest_charge"] = charge["id"]
    return charge


def _method_details(attempt: ConfirmAttempt) -> Json:
    body = attempt.method.body
    if body["type"] == "card":
        return objects.card_details(body["card"], three_d_secure=attempt.three_d_secure)
    hidden = ("generated_from", "networks", "status_details", "financial_connections_account")
    public = {name: value for name, value in body[body["type"]].items() if name not in hidden}
    return public | ({"mandate": attempt.method.mandate} if attempt.method.mandate else {})


def _authorize(account: Account, intent: Intent, attempt: ConfirmAttempt, charge: Json) -> None:
    now = account.sandbox.clock.now()
    ends_at = now + _window(attempt).total_seconds()
    if attempt.method.body["type"] == "card":
        charge["payment_method_details"]["card"].update(capture_before=int(ends_at), amount_authorized=charge["amount"])
    intent.body.update(
        status="requires_capture",
        amount_capturable=intent.body["amount"],
        next_action=None,
        last_payment_error=None,
    )
    account.record("authorization", intent, intent.body["amount"], attempt.cause)
    account.emit("charge.succeeded", charge, attempt.cause)
    account.emit("payment_intent.amount_capturable_updated", intent.body, attempt.cause)
    account.sandbox.scheduler.run_at(ends_at, lambda: expire(account, intent))


def _is_manual(intent: Intent, attempt: ConfirmAttempt) -> bool:
    options = intent.body["payment_method_options"].get(attempt.method.body["type"]) or {}
    return "manual" in (intent.body["capture_method"], options.get("capture_method"))


def _window(attempt: ConfirmAttempt) -> timedelta:
    is_visa = attempt.method.body["type"] == "card" and attempt.method.body["card"]["brand"] == "visa"
    return VISA_OFF_SESSION_WINDOW if attempt.is_off_session and is_visa else AUTHORIZATION_WINDOW


def _succeed(account: Account, intent: Intent, attempt: ConfirmAttempt, charge: Json) -> None:
    amount = charge["amount"]
    charge.update(captured=True, amount_captured=amount, balance_transaction=account.balance(charge, amount))
    if attempt.method.body["type"] == "card":
        charge["payment_method_details"]["card"]["amount_authorized"] = amount
    intent.body.update(status="succeeded", amount_received=amount, next_action=None, last_payment_error=None)
    account.record("charge", intent, amount, attempt.cause)
    account.emit("charge.succeeded", charge, attempt.cause)
    account.emit("payment_intent.succeeded", intent.body, attempt.cause)
    follow_script(account, intent)


def _mark_failed(charge: Json, refusal: Decline) -> None:
    charge.update(
        status="failed",
        paid=False,
        failure_code=refusal.code,
        failure_message=refusal.message,
        outcome=refusal.outcome(),
    )


def _reopen(
    account: Account, intent: Intent, attempt: ConfirmAttempt, error: Json, *, failed_charge: Json | None = None
) -> None:
    intent.attempt = None
    intent.body.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error
    )
    if failed_charge is not None:
        account.emit("charge.failed", failed_charge, attempt.cause)
    account.emit("payment_intent.payment_failed", intent.body, attempt.cause)


def _save_method(account: Account, intent: Intent, attempt: ConfirmAttempt) -> None:
    """Mark the method as used, and attach it to the customer if the intent saves it for later payments."""
    method = attempt.method
    method.is_used = True
    if intent.body["setup_future_usage"] is None or intent.body["customer"] is None or method.is_reusable:
        return
    method.is_set_up = method.is_set_up or intent.body["setup_future_usage"] == "off_session"
    if method.body["customer"] is None:
        method.body["customer"] = intent.body["customer"]
        account.emit("payment_method.attached", method.body, attempt.cause)


def _debit_seconds(account: Account, attempt: ConfirmAttempt) -> float:
    override = account.sandbox.settings.async_settle_seconds
    if override is not None:
        return override
    return DEBIT_DURATION[attempt.method.body["type"]].total_seconds()
