"""The least and the most that each provider takes hold at the door, and are what a front end is shown."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

from domain.payment_methods import CAPABILITIES
from tests.contract.bench import PAYER
from tests.system import System, running_system

# Provider, method, currency, the least and the most that the provider takes of it.
LIMITS = [
    ("stripe", "credit_card", "EUR", "0.50", "999999.99"),
    ("stripe", "credit_card", "KWD", "0.010", "99999.990"),
    ("stripe", "bank_transfer", "JPY", "50", "99999999"),
    ("stripe", "klarna", "GBP", "0.30", "999999.99"),
    ("stripe", "afterpay", "USD", "1.00", "999999.99"),
    ("paypal", "paypal", "EUR", "0.01", "999999.99"),
    ("paypal", "paypal", "HUF", "1.00", "999999.00"),
    ("klarna", "klarna", "USD", "0.01", "1000000.00"),
    ("afterpay", "afterpay", "AUD", "1.00", "4000.00"),
    ("coinbase", "cryptocurrency", "USD", "0.01", "100000000.00"),
    ("coinbase_commerce", "bitcoin", "USD", "0.01", "999999.99"),
    ("manual", "invoice", "EUR", "0.01", "1000000000000.00"),
]


@pytest.fixture
def system(sqlite_url: str) -> Iterator[System]:
    """A system on SQLite: nothing here happens at once."""
    with running_system(sqlite_url) as running:
        yield running


def test_every_provider_has_its_limits_here() -> None:
    assert {provider for provider, *_ in LIMITS} == {one.provider for one in CAPABILITIES}


@pytest.mark.parametrize(("provider", "method", "currency", "least", "most"), LIMITS)
def test_the_least_and_the_most_of_a_provider_hold_and_are_shown(
    system: System, provider: str, method: str, currency: str, least: str, most: str
) -> None:
    if provider not in system.runtime.gateways:
        system.add_provider(provider)
        del system.runtime.gateways["stripe"]  # which sells some of these methods too, in other amounts
    listing = system.get(f"/payment-methods?currency={currency}").json["payment_methods"]
    [shown] = [each for each in listing if each["payment_method"] == method]
    assert (shown["provider"], shown["minimum"], shown["maximum"]) == (provider, least, most)

    def ask(amount: Decimal) -> Any:
        token = {} if method == "credit_card" else {"payment_method_token": None}
        named = {"payment_method": method, "currency": currency, "amount": f"{amount:f}"}
        body = {"invoice_id": f"inv-{amount}", "user_id": "user", "payment_method_token": "pm_card_visa"} | PAYER
        return system.post("/process", body | token | named, Idempotency_Key=f"key-{amount}")

    lowest, highest = Decimal(least), Decimal(most)
    assert [ask(amount).status_code for amount in (lowest, highest)] == [202, 202]
    step = Decimal(1).scaleb(int(lowest.as_tuple().exponent))
    for amount, words in ((lowest - step, f"the least that {provider}"), (highest + step, f"the most that {provider}")):
        if amount:
            refused = ask(amount)
            assert (refused.status_code, refused.json["type"]) == (422, "invalid_amount"), refused.text
            assert words in refused.json["detail"] or "in steps of" in refused.json["detail"]
