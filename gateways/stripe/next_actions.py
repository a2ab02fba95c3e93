"""What a customer is asked to do next, as flat text that any front end can show. It holds no credential."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from domain.money import decimal_text
from gateways.stripe.money import from_stripe

# What an account that money is sent to is described with, whatever its kind (SDK 16.1.0, PaymentIntent).
_ACCOUNT_FIELDS = """
    account_holder_name account_holder_address account_number account_type iban bic country sort_code routing_number
    swift_code clabe bank_name bank_code bank_address branch_name branch_code
""".split()


def next_action(action: Any) -> dict[str, str]:
    """Return the `next_action` of an intent: its type and what belongs to that.

    A redirect has its address as `redirect_url`. Of a bank transfer, `amount_remaining` is decimal text and the fields
    of each account carry its type in front, such as `aba_routing_number` and `iban_bic`."""
    if not action:
        return {"type": "unknown"}
    type = str(action["type"])
    return {"type": type} | _READERS.get(type, _nothing)(field(action, type))


def field(thing: Any, name: str) -> Any:
    """Return a field that may be missing, of an object that may be missing."""
    return thing[name] if thing is not None and name in thing else None


def _nothing(details: Any) -> dict[str, str]:
    return {}


def _redirect(details: Any) -> dict[str, str]:
    return _known(details, {"redirect_url": "url"})


def _microdeposits(details: Any) -> dict[str, str]:
    shown = _known(details, {name: name for name in ("hosted_verification_url", "microdeposit_type")})
    arrival = field(details, "arrival_date")
    return shown | ({"arrives_on": datetime.fromtimestamp(arrival, UTC).date().isoformat()} if arrival else {})


def _instructions(details: Any) -> dict[str, str]:
    shown = _known(
        details,
        {"bank_transfer_type": "type", "hosted_instructions_url": "hosted_instructions_url", "reference": "reference"},
    )
    remaining, currency = field(details, "amount_remaining"), field(details, "currency")
    if remaining is not None and currency is not None:
        code = str(currency).upper()
        shown |= {"amount_remaining": decimal_text(from_stripe(remaining, code), code), "currency": code}
    for address in field(details, "financial_addresses") or ():
        shown |= dict(_account(address))
    return shown


def _account(address: Any) -> Iterator[tuple[str, str]]:
    type = str(address["type"])
    if networks := field(address, "supported_networks"):
        yield f"{type}_networks", ", ".join(networks)
    for name in _ACCOUNT_FIELDS:
        if text := _text(field(field(address, type), name)):
            yield f"{type}_{name}", text


def _text(value: Any) -> str:
    """Return a field as text; a postal address in one line."""
    if value is None or isinstance(value, str):
        return value or ""
    lines = (field(value, name) for name in ("line1", "line2", "postal_code", "city", "state", "country"))
    return ", ".join(line for line in lines if line)


def _known(details: Any, names: dict[str, str]) -> dict[str, str]:
    found = {ours: field(details, theirs) for ours, theirs in names.items()}
    return {ours: str(value) for ours, value in found.items() if value}


_READERS: dict[str, Callable[[Any], dict[str, str]]] = {
    "display_bank_transfer_instructions": _instructions,
    "redirect_to_url": _redirect,
    "verify_with_microdeposits": _microdeposits,
}
