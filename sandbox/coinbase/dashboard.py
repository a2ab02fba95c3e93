"""What a merchant does on the websites of Coinbase Business and Coinbase Commerce."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from sandbox.coinbase import amounts
from sandbox.coinbase.charges import Charges
from sandbox.coinbase.checkouts import Checkouts
from sandbox.coinbase.errors import InvalidRequest
from sandbox.dashboard import Action, ActionRefused


def actions_on_checkouts(checkouts: Checkouts) -> Mapping[str, Action]:
    """Return what the website does with a checkout."""

    def refund(id: str, amount: int | None) -> str | None:
        checkout = checkouts.find(id)
        if checkout is None:
            raise ActionRefused(f"there is no checkout {id}")
        left = checkout.price - checkout.refunded("PENDING", "COMPLETED")
        given = left if amount is None else Decimal(amount).scaleb(-amounts.decimals(checkout.currency))
        text = amounts.decimal_text(given, checkout.currency)
        try:
            body = checkouts.refund(checkout, {"amount": text, "currency": checkout.currency})
        except InvalidRequest as problem:
            raise ActionRefused(str(problem)) from None
        return str(body["refunds"][-1]["id"])

    return {"refund": refund}


def actions_on_charges(charges: Charges) -> Mapping[str, Action]:
    """Return what the website does with a charge: accept what was paid although it is not the price."""

    def resolve(id: str, amount: int | None) -> str | None:
        charge = charges.find(id)
        if charge is None:
            raise ActionRefused(f"there is no charge {id}")
        try:
            charges.resolve(charge)
        except InvalidRequest as problem:
            raise ActionRefused(str(problem)) from None
        return None

    return {"resolve": resolve}
