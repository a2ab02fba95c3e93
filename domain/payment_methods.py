"""Payment methods, and which provider can charge each where: one dated table, in order of preference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from domain.errors import InvalidAmount, UnsupportedMethod
from domain.money import Money, decimal_text


class PaymentMethod(StrEnum):
    """How the customer pays. Stored as its lower-case text."""

    CREDIT_CARD = "credit_card"
    DEBIT_CARD = "debit_card"
    APPLE_PAY = "apple_pay"
    GOOGLE_PAY = "google_pay"
    SEPA_DEBIT = "sepa_debit"
    ACH_DEBIT = "ach_debit"
    WIRE_TRANSFER = "wire_transfer"
    BANK_TRANSFER = "bank_transfer"
    STRIPE = "stripe"
    PAYPAL = "paypal"
    CRYPTOCURRENCY = "cryptocurrency"
    BITCOIN = "bitcoin"
    ETHEREUM = "ethereum"
    USDT = "usdt"
    KLARNA = "klarna"
    AFTERPAY = "afterpay"
    INVOICE = "invoice"


# The day on which the providers' documents were read for the table below.
TABLE_DATE = "2026-11-23"


@dataclass(frozen=True, slots=True)
class Capability:
    """What one provider can do with one method.

    `currencies` None: every currency that has a minor unit. `regions`: the regions of the provider's account in which
    the method is sold in these currencies, None for all. `minimum`, `maximum`: in minor units; `minima`, `maxima`: for
    currencies where they differ. `steps`: the multiple that an amount must be, where that is not one minor unit.
    `needs`: request fields that the provider requires. `is_reusable`: can be charged again off-session, as dunning
    does. `is_asynchronous`: the result comes minutes or days later. `is_portable`: the instrument is the customer's
    own, not a token of this provider."""

    method: PaymentMethod
    provider: str
    currencies: frozenset[str] | None
    minimum: int = 1
    maximum: int = 99_999_999
    minima: Mapping[str, int] = field(default_factory=dict)
    maxima: Mapping[str, int] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)
    regions: frozenset[str] | None = None
    needs: tuple[str, ...] = ()
    is_capturable_later: bool = False
    is_reusable: bool = False
    is_asynchronous: bool = False
    is_portable: bool = False

    def takes(self, currency: str) -> bool:
        """Tell whether the provider takes the currency with this method."""
        return self.currencies is None or currency in self.currencies

    def least(self, currency: str) -> int:
        """Return the smallest amount that can be charged, in minor units."""
        return max(self.minima.get(currency, self.minimum), self.steps.get(currency, 1))

    def most(self, currency: str) -> int:
        """Return the largest amount that can be charged, in minor units: a multiple of the currency's step."""
        most = self.maxima.get(currency, self.maximum)
        return most - most % self.steps.get(currency, 1)

    def step_problem(self, money: Money) -> InvalidAmount | None:
        """Return why this provider can move no such amount, not even as a part of another one; None if it can."""
        step = self.steps.get(money.currency, 1)
        if not money.minor % step:
            return None
        return InvalidAmount(f"{self.provider} takes {money.currency} in steps of {decimal_text(step, money.currency)}")

    def problem(self, money: Money, *, is_capture_later: bool) -> UnsupportedMethod | InvalidAmount | None:
        """Return why this provider cannot take the amount, with what to send instead; None if it can."""
        currency = money.currency
        if not self.takes(currency):
            return UnsupportedMethod(f"{self.method} works only in {', '.join(sorted(self.currencies or ()))}")
        if is_capture_later and not self.is_capturable_later:
            return UnsupportedMethod(f"{self.method} cannot be authorized now and captured later; send capture: true")
        if (problem := self.step_problem(money)) is not None:
            return problem
        if money.minor > self.most(currency):
            text = decimal_text(self.most(currency), currency)
            return InvalidAmount(f"amount is above {text} {currency}, the most that {self.provider} takes")
        if money.minor < self.least(currency):
            text = decimal_text(self.least(currency), currency)
            return InvalidAmount(f"amount is below {text} {currency}, the least that {self.provider} takes")
        return None


# Stripe takes at most eight digits (API reference, amount). Krona and shilling travel with two decimals, ariary whole,
# three decimals in tens (docs.stripe.com/currencies).
_STRIPE_MAXIMA = {"ISK": 999_999, "UGX": 999_999}
_STRIPE_STEPS = {"MGA": 100, **dict.fromkeys(("BHD", "JOD", "KWD", "OMR", "TND"), 10)}
# The least that Stripe takes, in minor units (docs.stripe.com/currencies, minimum charge amounts, read 2026-11-23). Of
# other currencies it takes about half a US dollar by the rate of the day, which is not known here.
_STRIPE_MINIMA = {
    **dict.fromkeys("AUD BRL CAD CHF EUR INR JPY NZD SGD USD".split(), 50),
    **{"AED": 200, "BGN": 100, "CZK": 1500, "DKK": 250, "GBP": 30, "HKD": 400, "HUF": 17500, "MXN": 1000, "MYR": 200},
    **{"NOK": 300, "PLN": 200, "RON": 200, "SEK": 300, "THB": 1000},
}
CARDS = (
    PaymentMethod.CREDIT_CARD,
    PaymentMethod.DEBIT_CARD,
    PaymentMethod.APPLE_PAY,
    PaymentMethod.GOOGLE_PAY,
    PaymentMethod.STRIPE,
)
# docs.stripe.com/payments/klarna and /payments/afterpay-clearpay: currencies of the customer's country.
_STRIPE_KLARNA = frozenset("AUD CAD CHF CZK DKK EUR GBP NOK NZD PLN RON SEK USD".split())
_AFTERPAY = frozenset({"AUD", "CAD", "GBP", "NZD", "USD"})
# developer.paypal.com/reference/currency-codes; HUF, JPY and TWD without decimals.
_PAYPAL = frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD HUF ILS JPY MXN MYR NOK NZD PHP PLN SEK SGD THB TWD USD".split()
)
# Coinbase Business converts these to USDC (Checkouts API); Commerce priced charges in any local currency.
_COINBASE = frozenset({"EUR", "GBP", "SGD", "USD"})
_KLARNA = {
    "eu": frozenset("CHF CZK DKK EUR GBP HUF NOK PLN RON SEK".split()),
    "na": frozenset({"CAD", "MXN", "USD"}),
    "oc": frozenset({"AUD", "NZD"}),
}
_AFTERPAY_OF = {"au": "AUD", "nz": "NZD", "us": "USD", "ca": "CAD", "uk": "GBP"}
# The field of a request that names an instrument.
INSTRUMENT = "payment_method_token"
_ADDRESS = ("email", "billing_address.country")


def _stripe_minima(currencies: Iterable[str]) -> dict[str, int]:
    return {currency: _STRIPE_MINIMA[currency] for currency in currencies if currency in _STRIPE_MINIMA}


def _card(method: PaymentMethod) -> Capability:
    return Capability(
        method,
        "stripe",
        None,
        minima=_STRIPE_MINIMA,
        maxima=_STRIPE_MAXIMA,
        steps=_STRIPE_STEPS,
        needs=(INSTRUMENT,),
        is_capturable_later=True,
        is_reusable=True,
    )


def _debit(method: PaymentMethod, currency: str) -> Capability:
    # Bank debits take the money in one step: there is no authorization to capture later.
    needs = (INSTRUMENT,)
    return Capability(
        method,
        "stripe",
        frozenset({currency}),
        minima=_stripe_minima({currency}),
        needs=needs,
        is_reusable=True,
        is_asynchronous=True,
    )


def _transfer(method: PaymentMethod, currencies: frozenset[str]) -> Capability:
    # Without an e-mail address Stripe cannot refund a transfer (docs: customer balance, refunding).
    return Capability(
        method,
        "stripe",
        currencies,
        minima=_stripe_minima(currencies),
        needs=("email",),
        is_asynchronous=True,
        is_portable=True,
    )


CAPABILITIES: tuple[Capability, ...] = (
    *(_card(method) for method in CARDS),
    _debit(PaymentMethod.SEPA_DEBIT, "EUR"),
    _debit(PaymentMethod.ACH_DEBIT, "USD"),
    Capability(
        PaymentMethod.PAYPAL,
        "paypal",
        _PAYPAL,
        steps={"HUF": 100, "TWD": 100},
        is_capturable_later=True,
        is_reusable=True,
    ),
    *(
        Capability(
            PaymentMethod.KLARNA,
            "klarna",
            currencies,
            maximum=100_000_000,
            regions=frozenset({region}),
            needs=("billing_address.country",),
            is_capturable_later=True,
            is_reusable=True,
            is_portable=True,
        )
        for region, currencies in _KLARNA.items()
    ),
    *(
        Capability(
            PaymentMethod.AFTERPAY,
            "afterpay",
            frozenset({currency}),
            minimum=100,
            # Each merchant has narrower limits, which Afterpay's configuration endpoint returns.
            maximum=400_000,
            regions=frozenset({region}),
            needs=("email",),
            is_capturable_later=True,
            is_portable=True,
        )
        for region, currency in _AFTERPAY_OF.items()
    ),
    _transfer(PaymentMethod.WIRE_TRANSFER, frozenset({"EUR", "GBP", "USD"})),
    _transfer(PaymentMethod.BANK_TRANSFER, frozenset({"EUR", "GBP", "JPY", "MXN", "USD"})),
    Capability(
        PaymentMethod.KLARNA,
        "stripe",
        _STRIPE_KLARNA,
        minima=_stripe_minima(_STRIPE_KLARNA),
        needs=_ADDRESS,
        is_capturable_later=True,
        is_portable=True,
    ),
    Capability(
        PaymentMethod.AFTERPAY,
        "stripe",
        _AFTERPAY,
        minimum=100,
        needs=_ADDRESS,
        is_capturable_later=True,
        is_portable=True,
    ),
    Capability(
        PaymentMethod.CRYPTOCURRENCY,
        "coinbase",
        _COINBASE,
        maximum=10_000_000_000,
        is_asynchronous=True,
        is_portable=True,
    ),
    *(
        Capability(method, "coinbase_commerce", None, is_asynchronous=True, is_portable=True)
        for method in (
            PaymentMethod.CRYPTOCURRENCY,
            PaymentMethod.BITCOIN,
            PaymentMethod.ETHEREUM,
            PaymentMethod.USDT,
        )
    ),
    Capability(PaymentMethod.INVOICE, "manual", None, maximum=10**14, is_asynchronous=True),
)


def is_bank_debit(method: str) -> bool:
    """Tell whether a method takes money from a bank account by a mandate: it fails, or comes back, days later.

    >>> is_bank_debit("sepa_debit"), is_bank_debit("credit_card")
    (True, False)
    """
    return method in (PaymentMethod.SEPA_DEBIT, PaymentMethod.ACH_DEBIT)


def shows_checks(method: PaymentMethod, provider: str) -> bool:
    """Tell whether the authorization of a method shows what was checked of a card before the money is captured.

    >>> shows_checks(PaymentMethod.CREDIT_CARD, "stripe"), shows_checks(PaymentMethod.SEPA_DEBIT, "stripe")
    (True, False)
    """
    able = (one for one in capabilities(method) if one.provider == provider)
    return is_card(method) and any(one.is_capturable_later for one in able)


def is_card(method: str) -> bool:
    """Tell whether a method charges a card, directly or out of a wallet.

    >>> is_card("apple_pay"), is_card("paypal")
    (True, False)
    """
    return method in CARDS


@cache
def needs_payer(method: PaymentMethod) -> bool:
    """Tell whether any provider of the method needs the payer's data, beyond a token."""
    needed = {name.partition(".")[0] for one in capabilities(method) for name in one.needs}
    return bool(needed & {"email", "billing_address"})


def is_recorded_by_operator(method: PaymentMethod) -> bool:
    """Tell whether an operator records the money of this method, because no provider sees it."""
    return method is PaymentMethod.INVOICE


def providers_of_saved(method: PaymentMethod) -> frozenset[str]:
    """Return the providers that charge this method by a token, and so by a customer's saved default as well.

    >>> sorted(providers_of_saved(PaymentMethod.CREDIT_CARD)), sorted(providers_of_saved(PaymentMethod.PAYPAL))
    (['stripe'], [])
    """
    return frozenset(one.provider for one in capabilities(method) if INSTRUMENT in one.needs)


def can_charge(method: PaymentMethod, provider: str, money: Money) -> bool:
    """Tell whether a provider charges this amount by a saved method of this kind while its customer is away.

    >>> can_charge(PaymentMethod.SEPA_DEBIT, "stripe", Money(1230, "USD"))
    False
    """
    sold = [one for one in capabilities(method) if one.provider == provider and one.is_reusable]
    return any(one.problem(money, is_capture_later=False) is None for one in sold)


def may_be_saved(method: PaymentMethod) -> bool:
    """Tell whether what a customer pays with may be a saved method, which can become their default.

    >>> [may_be_saved(each) for each in (PaymentMethod.STRIPE, PaymentMethod.PAYPAL, PaymentMethod.KLARNA)]
    [True, True, False]
    """
    return bool(providers_of_saved(method)) or is_default_kept_here(method)


def checks_owner(provider: str) -> bool:
    """Tell whether a provider refuses a saved method of another customer. Stripe does (docs.stripe.com/api, attach a
    PaymentMethod); PayPal's and Klarna's tokens charge whoever they belong to.

    >>> checks_owner("stripe"), checks_owner("paypal")
    (True, False)
    """
    return provider == "stripe"


def is_default_kept_here(method: PaymentMethod) -> bool:
    """Tell whether the provider of a saved method keeps no default, so that a user's default is kept here.

    >>> is_default_kept_here(PaymentMethod.PAYPAL), is_default_kept_here(PaymentMethod.CREDIT_CARD)
    (True, False)
    """
    return method is PaymentMethod.PAYPAL


def providers_of(*methods: PaymentMethod) -> frozenset[str]:
    """Return the providers that can charge any of these methods."""
    return frozenset(one.provider for one in CAPABILITIES if one.method in methods)


def capabilities(method: PaymentMethod, table: Iterable[Capability] = CAPABILITIES) -> list[Capability]:
    """Return the capabilities for a method, the preferred provider first."""
    return [capability for capability in table if capability.method is method]


def require_possible_part(provider: str, method: PaymentMethod, part: Money, whole: int) -> None:
    """Refuse to capture or refund a part that the provider cannot move. `whole`: all that is left, which it can.

    Raises InvalidAmount.

    >>> require_possible_part("stripe", PaymentMethod.CREDIT_CARD, Money(5, "KWD"), 12340)
    Traceback (most recent call last):
    ...
    domain.errors.InvalidAmount: stripe takes KWD in steps of 0.010
    """
    if part.minor == whole:
        return
    for one in capabilities(method):
        if one.provider == provider and (problem := one.step_problem(part)) is not None:
            raise problem
