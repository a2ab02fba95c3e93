"""Owns the asking of the issuer or the bank: the charge that comes of it, and the intent's state afterwards.

https://docs.stripe.com/payments/paymentintents/lifecycle. A decline puts the intent back to
requires_payment_method, open for another method [run]. Bank debits are `processing` until the bank answers
days later.
"""

from __future__ import annotations

from datetime import timedelta

from sandbox.stripe import objects
from sandbox.stripe.account import Account, Intent, Trial
from sandbox.stripe.capture_and_cancel import complain, expire
from sandbox.stripe.declines import AUTHENTICATION_FAILURE, AUTHENTICATION_FAILURE_MESSAGE, Decline, decline
from sandbox.stripe.errors import Json, doc_url
from sandbox.stripe.ids import new_id

# https://docs.stripe.com/payments/extended-authorization: a Visa authorization that the merchant starts is
# shorter.
AUTHORIZATION_WINDOW = timedelta(days=7)
VISA_OFF_SESSION_WINDOW = timedelta(days=4, hours=18)

# Within the banks' times: SEPA about 5 business days, ACH up to 4
# (https://docs.stripe.com/payments/bank-debits).
SETTLE_AFTER = {"sepa_debit": timedelta(days=3), "us_bank_account": timedelta(days=4)}


def ask_issuer(account: Account, intent: Intent, trial: Trial) -> Decline | None:
    """Charge or authorise the intent; returns the decline if the issuer or Radar said no."""
    refusal = trial.behaviour.decline
    if refusal is not None:
        decline_charge(account, intent, trial, refusal)
        return refusal
    account.record_attempt(intent, "success", trial.cause)
    charge = _new_charge(account, intent, trial, objects.approved_outcome(trial.behaviour.risk_level))
    charge.update(paid=True, status="succeeded")
    _remember_method(account, intent, trial)
    if _is_manual(intent, trial):
        _authorize(account, intent, trial, charge)
    else:
        _succeed(account, intent, trial, charge)
    return None


def charge_balance(account: Account, intent: Intent, trial: Trial) -> None:
    """Charge the customer's cash balance, in which enough was put aside for the intent."""
    account.record_attempt(intent, "success", trial.cause)
    charge = _new_charge(account, intent, trial, objects.approved_outcome("not_assessed"))
    charge.update(paid=True, status="succeeded")
    _succeed(account, intent, trial, charge)


def ask_bank(account: Account, intent: Intent, trial: Trial) -> None:
    """Send a debit to the bank, which answers later by the sandbox clock."""
    account.record_attempt(intent, "processing", trial.cause)
    charge = _new_charge(account, intent, trial, objects.approved_outcome("not_assessed"))
    charge["captured"] = True
    _remember_method(account, intent, trial)
    intent.trial = trial
    intent.body.update(status="processing", next_action=None, last_payment_error=None)
    account.emit("payment_intent.processing", intent.body, trial.cause)
    account.emit("charge.pending", charge, trial.cause)
    is_success = trial.behaviour.bank_failure is None
    account.sandbox.scheduler.run_at(
        account.sandbox.clock.now() + _settle_seconds(account, trial),
        lambda: hear_from_bank(account, intent, trial, is_success=is_success),
    )


def hear_from_bank(account: Account, intent: Intent, trial: Trial, *, is_success: bool) -> None:
    """End a debit; does nothing if it was ended before."""
    if intent.trial is not trial:
        return
    intent.trial = None
    if is_success:
        intent.charge.update(paid=True, status="succeeded")
        _succeed(account, intent, trial, intent.charge)
    else:
        failure = trial.behaviour.bank_failure or "insufficient_funds"
        refusal = Decline(failure, code=failure, message="The bank account could not be debited.")
        _mark_failed(intent.charge, refusal)
        intent.charge["captured"] = False
        _reopen(
            account,
            intent,
            trial,
            refusal.error(charge=intent.charge["id"], payment_method=trial.method.body),
            failed_charge=intent.charge,
        )


def decline_charge(account: Account, intent: Intent, trial: Trial, refusal: Decline) -> None:
    """Write down a charge that the issuer refused, or that Radar kept from the issuer."""
    if not refusal.is_blocked:
        account.record_attempt(intent, refusal.decline_code, trial.cause)
    charge = _new_charge(account, intent, trial, refusal.outcome())
    _mark_failed(charge, refusal)
    error = refusal.error(charge=charge["id"], payment_method=trial.method.body)
    _reopen(account, intent, trial, error, failed_charge=charge)


def refuse_unasked(account: Account, intent: Intent, trial: Trial, refusal: Decline) -> None:
    """Fail a confirm without a charge, since no issuer was asked."""
    _reopen(account, intent, trial, refusal.error(charge=None, payment_method=trial.method.body))


def fail_authentication(account: Account, intent: Intent, trial: Trial) -> None:
    """Fail a confirm whose customer did not pass 3-D Secure or the redirect."""
    _reopen(
        account,
        intent,
        trial,
        {
            "type": "invalid_request_error",
            "code": AUTHENTICATION_FAILURE,
            "doc_url": doc_url(AUTHENTICATION_FAILURE),
            "message": AUTHENTICATION_FAILURE_MESSAGE,
            "payment_method": dict(trial.method.body),
        },
    )


def demand_authentication(account: Account, intent: Intent, trial: Trial) -> Decline:
    """Decline an off-session payment whose card wants its holder to be present."""
    refusal = decline("authentication_required")
    decline_charge(account, intent, trial, refusal)
    return refusal


def _new_charge(account: Account, intent: Intent, trial: Trial, outcome: Json) -> Json:
    details = {"type": trial.method.body["type"], trial.method.body["type"]: _method_details(trial)}
    charge = objects.charge(
        new_id("ch_"),
        account.now,
        intent.body,
        trial.method.body,
        outcome=outcome,
        payment_method_details=details,
    )
    intent.charges.append(charge)
    account.charges[charge["id"]] = charge
    intent.body["latest_charge"] = charge["id"]
    return charge


def _method_details(trial: Trial) -> Json:
    body = trial.method.body
    if body["type"] == "card":
        flow = objects.three_d_secure(trial.flow) if trial.flow else None
        return objects.card_details(body["card"], three_d_secure=flow)
    hidden = ("generated_from", "networks", "status_details", "financial_connections_account")
    shown = {name: value for name, value in body[body["type"]].items() if name not in hidden}
    return shown | ({"mandate": trial.method.mandate} if trial.method.mandate else {})


def _authorize(account: Account, intent: Intent, trial: Trial, charge: Json) -> None:
    now = account.sandbox.clock.now()
    ends_at = now + _window(trial).total_seconds()
    if trial.method.body["type"] == "card":
        charge["payment_method_details"]["card"].update(capture_before=int(ends_at), amount_authorized=charge["amount"])
    intent.body.update(
        status="requires_capture",
        amount_capturable=intent.body["amount"],
        next_action=None,
        last_payment_error=None,
    )
    account.record("authorization", intent, intent.body["amount"], trial.cause)
    account.emit("charge.succeeded", charge, trial.cause)
    account.emit("payment_intent.amount_capturable_updated", intent.body, trial.cause)
    account.sandbox.scheduler.run_at(ends_at, lambda: expire(account, intent))


def _is_manual(intent: Intent, trial: Trial) -> bool:
    options = intent.body["payment_method_options"].get(trial.method.body["type"]) or {}
    return "manual" in (intent.body["capture_method"], options.get("capture_method"))


def _window(trial: Trial) -> timedelta:
    is_visa = trial.method.body["type"] == "card" and trial.method.body["card"]["brand"] == "visa"
    return VISA_OFF_SESSION_WINDOW if trial.is_off_session and is_visa else AUTHORIZATION_WINDOW


def _succeed(account: Account, intent: Intent, trial: Trial, charge: Json) -> None:
    amount = charge["amount"]
    charge.update(captured=True, amount_captured=amount, balance_transaction=new_id("txn_"))
    if trial.method.body["type"] == "card":
        charge["payment_method_details"]["card"]["amount_authorized"] = amount
    intent.body.update(status="succeeded", amount_received=amount, next_action=None, last_payment_error=None)
    account.record("charge", intent, amount, trial.cause)
    account.emit("charge.succeeded", charge, trial.cause)
    account.emit("payment_intent.succeeded", intent.body, trial.cause)
    complain(account, intent)


def _mark_failed(charge: Json, refusal: Decline) -> None:
    charge.update(
        status="failed",
        paid=False,
        failure_code=refusal.code,
        failure_message=refusal.message,
        outcome=refusal.outcome(),
    )


def _reopen(account: Account, intent: Intent, trial: Trial, error: Json, *, failed_charge: Json | None = None) -> None:
    intent.trial = None
    intent.body.update(
        status="requires_payment_method", payment_method=None, next_action=None, last_payment_error=error
    )
    if failed_charge is not None:
        account.emit("charge.failed", failed_charge, trial.cause)
    account.emit("payment_intent.payment_failed", intent.body, trial.cause)


def _remember_method(account: Account, intent: Intent, trial: Trial) -> None:
    """Mark the method as used, and give it to the customer if it is meant for later payments."""
    method = trial.method
    method.is_used = True
    if intent.body["setup_future_usage"] is None or intent.body["customer"] is None or method.is_reusable:
        return
    method.is_set_up = method.is_set_up or intent.body["setup_future_usage"] == "off_session"
    if method.body["customer"] is None:
        method.body["customer"] = intent.body["customer"]
        account.emit("payment_method.attached", method.body, trial.cause)


def _settle_seconds(account: Account, trial: Trial) -> float:
    override = account.sandbox.settings.async_settle_seconds
    if override is not None:
        return override
    return SETTLE_AFTER[trial.method.body["type"]].total_seconds()
