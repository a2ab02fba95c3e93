"""Early fraud warnings: an issuer reports a charge as fraud, mostly before its cardholder disputes it.

https://docs.stripe.com/api/radar/early_fraud_warnings and https://docs.stripe.com/testing#disputes. Which
type a test card has is unverified.
"""

from __future__ import annotations

from sandbox.stripe import objects
from sandbox.stripe.account import Account
from sandbox.stripe.errors import InvalidRequest, Json, missing
from sandbox.stripe.events import NO_REQUEST
from sandbox.stripe.ids import new_id

# https://docs.stripe.com/api/radar/early_fraud_warnings/object
TYPES = """
    card_never_received fraudulent_card_application made_with_counterfeit_card made_with_lost_card made_with_stolen_card
    misc unauthorized_use_of_card
""".split()
USUAL_TYPE = "unauthorized_use_of_card"


def warn(account: Account, charge: Json, fraud_type: str = USUAL_TYPE) -> Json:
    """Report a charge as fraud."""
    is_of_card = charge["payment_method_details"]["type"] == "card"
    if charge["status"] != "succeeded" or not charge["captured"] or not is_of_card:
        raise InvalidRequest(f"Charge {charge['id']} is none that an issuer reports.")
    warning = objects.early_fraud_warning(new_id("issfr_"), account.now, charge, fraud_type)
    account.fraud_warnings[warning["id"]] = warning
    account.emit("radar.early_fraud_warning.created", warning, NO_REQUEST)
    return warning


def retrieve(account: Account, id: str) -> Json:
    """Return a warning; raise InvalidRequest for an unknown id."""
    if id not in account.fraud_warnings:
        raise missing("early_fraud_warning", id, status=404)
    return account.fraud_warnings[id]


def note_change(account: Account, charge: Json) -> None:
    """Let the warnings of a charge that was disputed or fully refunded ask for nothing any more."""
    if not (charge["disputed"] or charge["refunded"]):
        return
    for warning in account.fraud_warnings.values():
        if warning["charge"] == charge["id"] and warning["actionable"]:
            warning["actionable"] = False
            account.emit("radar.early_fraud_warning.updated", warning, NO_REQUEST, previous={"actionable": True})
