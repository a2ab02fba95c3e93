"""Payment methods: each with the provider that would charge it, or the reason why it is not available."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, request

from domain.errors import InvalidRequest, UnknownCurrency
from domain.money import Money, decimal_text, exponent
from domain.payment_methods import TABLE_DATE
from domain.routing import Offer, offers
from models.api_keys import Role
from webhooks.auth import allow
from webhooks.context import runtime

blueprint = Blueprint("methods", __name__)


@blueprint.get("/payment-methods")
@allow(Role.APP, Role.OPERATOR)
def payment_methods() -> Response:
    """List every payment method for `currency`, and `country` and `amount` if they are known."""
    if set(request.args) - {"currency", "country", "amount"}:
        raise InvalidRequest("unknown parameter; send currency, and country and amount if they are known")
    if not request.args.get("currency"):
        raise UnknownCurrency("currency: required; send three letters such as EUR")
    currency = request.args["currency"].upper()
    exponent(currency)
    amount, country = request.args.get("amount"), request.args.get("country")
    if country is not None and not (len(country) == 2 and country.isascii() and country.isalpha()):
        raise InvalidRequest("country must be two letters (ISO 3166-1), such as DE")
    minor = None if amount is None else Money.parse(amount, currency).minor
    found = offers(runtime().router, currency, country and country.upper(), minor)
    shown = [_view(offer, currency) for offer in found]
    return jsonify({"currency": currency, "as_of": TABLE_DATE, "payment_methods": shown})


def _view(offer: Offer, currency: str) -> dict[str, Any]:
    if offer.capability is None:
        return {"payment_method": offer.method, "available": False, "reason": offer.refusal}
    able = offer.capability
    return {
        "payment_method": offer.method,
        "available": True,
        "provider": able.provider,
        "route": [{"provider": choice.provider, "reason": choice.reason} for choice in offer.route],
        "minimum": decimal_text(able.least(currency), currency),
        "maximum": decimal_text(able.most(currency), currency),
        "reusable": able.is_reusable,
        "asynchronous": able.is_asynchronous,
        "capturable_later": able.is_capturable_later,
        "needs": list(able.needs),
    }
