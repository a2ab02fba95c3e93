"""The next step of a waiting customer, as flat text that any front end can show. It holds no credential.

Source: `next_action` of the PaymentIntent in the SDK 16.1.0. All of it is for display and decides nothing, so every
field but the type is optional."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from domain.money import decimal_text
from gateways.provider_model import ProviderModel, Text, UnixTime
from gateways.stripe.money import from_stripe


class _Redirect(ProviderModel):
    url: str | None = None


class _Microdeposits(ProviderModel):
    hosted_verification_url: str | None = None
    microdeposit_type: str | None = None
    arrival_date: UnixTime | None = None


class _PostalAddress(ProviderModel):
    line1: str | None = None
    line2: str | None = None
    postal_code: str | None = None
    city: str | None = None
    state: str | None = None
    country: str | None = None


class _BankAccount(ProviderModel):
    """What describes an account to which money is sent, whatever its type."""

    account_holder_name: str | None = None
    account_holder_address: _PostalAddress | None = None
    account_number: str | None = None
    account_type: str | None = None
    iban: str | None = None
    bic: str | None = None
    country: str | None = None
    sort_code: str | None = None
    routing_number: str | None = None
    swift_code: str | None = None
    clabe: str | None = None
    bank_name: str | None = None
    bank_code: str | None = None
    bank_address: _PostalAddress | None = None
    branch_name: str | None = None
    branch_code: str | None = None


class _FinancialAddress(ProviderModel):
    """An account; its description has the name of its type."""

    type: Text
    supported_networks: list[str] | None = None
    aba: _BankAccount | None = None
    iban: _BankAccount | None = None
    sort_code: _BankAccount | None = None
    spei: _BankAccount | None = None
    swift: _BankAccount | None = None
    zengin: _BankAccount | None = None


class _TransferInstructions(ProviderModel):
    type: str | None = None
    hosted_instructions_url: str | None = None
    reference: str | None = None
    amount_remaining: int | None = None
    currency: str | None = None
    financial_addresses: list[_FinancialAddress] | None = None


class NextAction(ProviderModel):
    """The `next_action` of an intent. Its details have the name of its type; other types have none here."""

    type: Text
    display_bank_transfer_instructions: _TransferInstructions | None = None
    redirect_to_url: _Redirect | None = None
    verify_with_microdeposits: _Microdeposits | None = None


def next_action(action: NextAction | None) -> dict[str, str]:
    """Return the action's type and what belongs to it.

    A redirect has the type of all providers, and its address as `redirect_url`. Of a bank transfer, `amount_remaining`
    is decimal text and the fields of each account carry its type in front, such as `aba_routing_number` and
    `iban_bic`."""
    if action is None:
        return {"type": "unknown"}
    shown = {"type": "redirect" if action.type == "redirect_to_url" else action.type}
    match getattr(action, action.type, None):
        case _Redirect() as redirect:
            return shown | _present({"redirect_url": redirect.url})
        case _Microdeposits() as microdeposits:
            return shown | _of_microdeposits(microdeposits)
        case _TransferInstructions() as instructions:
            return shown | _of_instructions(instructions)
    return shown


def _of_microdeposits(microdeposits: _Microdeposits) -> dict[str, str]:
    arrival = microdeposits.arrival_date
    return _present(
        {
            "hosted_verification_url": microdeposits.hosted_verification_url,
            "microdeposit_type": microdeposits.microdeposit_type,
            "arrives_on": datetime.fromtimestamp(arrival, UTC).date().isoformat() if arrival else None,
        }
    )


def _of_instructions(instructions: _TransferInstructions) -> dict[str, str]:
    shown = _present(
        {
            "bank_transfer_type": instructions.type,
            "hosted_instructions_url": instructions.hosted_instructions_url,
            "reference": instructions.reference,
        }
    )
    remaining, currency = instructions.amount_remaining, instructions.currency
    if remaining is not None and currency is not None:
        code = currency.upper()
        shown |= {"amount_remaining": decimal_text(from_stripe(remaining, code), code), "currency": code}
    for address in instructions.financial_addresses or ():
        shown |= _present(dict(_of_address(address)))
    return shown


def _of_address(address: _FinancialAddress) -> Iterator[tuple[str, str | None]]:
    yield f"{address.type}_networks", ", ".join(address.supported_networks or ())
    account = getattr(address, address.type, None)
    if isinstance(account, _BankAccount):
        for name, value in account:
            yield f"{address.type}_{name}", _in_one_line(value) if isinstance(value, _PostalAddress) else value


def _in_one_line(address: _PostalAddress) -> str:
    return ", ".join(line for _, line in address if line)


def _present(texts: dict[str, str | None]) -> dict[str, str]:
    return {name: text for name, text in texts.items() if text}
