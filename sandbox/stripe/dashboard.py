"""Stripe's dashboard: an operation there has no API request, no idempotency key and no metadata of ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sandbox.dashboard import Action, ActionRefused
from sandbox.stripe import capture_and_cancel, refunds
from sandbox.stripe.account import Account, Intent
from sandbox.stripe.errors import StripeError
from sandbox.stripe.events import NO_REQUEST

Params = dict[str, Any]


def actions(account: Account) -> Mapping[str, Action]:
    """Return what the dashboard does with an intent."""

    def refund(intent: Intent, amount: int | None) -> str | None:
        params: Params = {"payment_intent": intent.body["id"]} | ({} if amount is None else {"amount": amount})
        return str(refunds.create(account, params, NO_REQUEST)["id"])

    def capture(intent: Intent, amount: int | None) -> str | None:
        params: Params = {} if amount is None else {"amount_to_capture": amount}
        capture_and_cancel.capture(account, intent, params, NO_REQUEST)
        return None

    def void(intent: Intent, amount: int | None) -> str | None:
        capture_and_cancel.cancel(account, intent, "requested_by_customer", NO_REQUEST)
        return None

    return {name: _on_intent(account, act) for name, act in (("refund", refund), ("capture", capture), ("void", void))}


def _on_intent(account: Account, act: Callable[[Intent, int | None], str | None]) -> Action:
    def run(id: str, amount: int | None) -> str | None:
        try:
            return act(account.intent(id), amount)
        except StripeError as refusal:
            raise ActionRefused(str(refusal)) from None

    return run
