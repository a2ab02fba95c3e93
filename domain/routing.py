"""Routing: which provider charges a payment, and which comes next. Pure: capability table, rules and health in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.errors import InvalidRequest, UnsupportedMethod
from domain.money import Money
from domain.payment_methods import CAPABILITIES, Capability, PaymentMethod, capabilities

# Configured providers, each with the region of its account if it has one.
Configured = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """What routing reads of a payment request. `country`: the customer's, ISO 3166-1 alpha-2. `given`: names of the
    fields that the request has. `seed`: decides about shares, so that one customer always gets the same provider."""

    method: PaymentMethod
    money: Money
    country: str | None = None
    is_capture_later: bool = False
    is_off_session: bool = False
    given: frozenset[str] = frozenset()
    seed: str = ""


@dataclass(frozen=True, slots=True)
class Choice:
    """A provider that can charge the payment, and the reason for its place in the order."""

    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rule:
    """An operator's rule: which providers charge which payments, by shares. An empty set fits every payment. The first
    rule that fits decides; providers that it does not name come after those that it names."""

    shares: Mapping[str, int]
    name: str = "rule"
    methods: frozenset[str] = frozenset()
    currencies: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    minimum: int = 0
    maximum: int | None = None

    def fits(self, routing_request: RoutingRequest) -> bool:
        """Tell whether the rule applies to this payment."""
        return (
            (not self.methods or routing_request.method in self.methods)
            and (not self.currencies or routing_request.money.currency in self.currencies)
            and (not self.countries or (routing_request.country or "") in self.countries)
            and self.minimum <= routing_request.money.minor
            and (self.maximum is None or routing_request.money.minor <= self.maximum)
        )


def route(
    routing_request: RoutingRequest,
    configured: Configured,
    *,
    down: Callable[[], Container[str]] = frozenset,
    rules: Iterable[Rule] = (),
    table: Sequence[Capability] = CAPABILITIES,
) -> tuple[Choice, ...]:
    """Return the providers that can charge the payment, in the order in which they are called. More than one only for
    an instrument that is the customer's own. `down` returns the providers that fail now; it is called only if there is
    a choice.

    Raises UnsupportedMethod, InvalidAmount or InvalidRequest if no provider can, with what to send instead."""
    able = _able(routing_request, configured, table)
    is_own = "payment_method_token" not in routing_request.given
    portable = {one.provider for one in capabilities(routing_request.method, table) if one.is_portable and is_own}
    rule = next((rule for rule in rules if rule.fits(routing_request)), None)
    ranked = _preferred(able) if rule is None else _by_rule(able, rule, routing_request.seed)
    if len(ranked) == 1:
        return tuple(ranked)
    first, *others = _by_health(ranked, down())
    # A token of one provider is worthless at the next.
    return (first, *(choice for choice in others if {first.provider, choice.provider} <= portable))


def _by_health(ranked: list[Choice], failing: Container[str]) -> list[Choice]:
    healthy = [choice for choice in ranked if choice.provider not in failing]
    others = [Choice(choice.provider, f"{choice.reason}; fails now") for choice in ranked if choice.provider in failing]
    return [*healthy, *others]


def _able(routing_request: RoutingRequest, configured: Configured, table: Sequence[Capability]) -> list[str]:
    known = capabilities(routing_request.method, table)
    offered = [one for one in known if _is_sold(one, configured)]
    if not offered:
        names = " or ".join(dict.fromkeys(one.provider for one in known)) or "a provider"
        others = ", ".join(dict.fromkeys(one.method for one in table if _is_sold(one, configured))) or "nothing"
        reason = f"{routing_request.method} needs {names}, which is not configured here"
        raise UnsupportedMethod(f"{reason}; payment_method may be: {others}")
    problems = [(one, _problem(one, routing_request)) for one in offered]
    able = list(dict.fromkeys(one.provider for one, problem in problems if problem is None))
    if not able:
        raise _most_helpful([problem for _, problem in problems if problem is not None])
    return able


def _most_helpful(problems: list[InvalidRequest]) -> InvalidRequest:
    """Return the problem that is easiest to mend: a missing field, else that of the last provider in the table."""
    return next((problem for problem in problems if type(problem) is InvalidRequest), problems[-1])


def _is_sold(one: Capability, configured: Configured) -> bool:
    return one.provider in configured and (one.regions is None or configured[one.provider] in one.regions)


def _problem(one: Capability, routing_request: RoutingRequest) -> InvalidRequest | None:
    problem = one.problem(routing_request.money, is_capture_later=routing_request.is_capture_later)
    if problem is not None:
        return problem
    if routing_request.is_off_session and not one.is_reusable:
        return UnsupportedMethod(f"{routing_request.method} needs the customer each time; send off_session: false")
    # Off-session, the request can only name an instrument that the customer saved before.
    needs = ("payment_method_token",) if routing_request.is_off_session else one.needs
    missing = [name for name in needs if name not in routing_request.given]
    if not missing:
        return None
    # A request that names none gets the default before.
    unsaved = "; the user has no default saved method" if "payment_method_token" in missing else ""
    return InvalidRequest(f"{', '.join(missing)}: required for {routing_request.method}{unsaved}")


def _preferred(able: list[str]) -> list[Choice]:
    return [Choice(name, "preferred" if place == 0 else "fallback") for place, name in enumerate(able)]


def _by_rule(able: list[str], rule: Rule, seed: str) -> list[Choice]:
    """Draw the first provider by the shares with a stable hash of the seed; the others follow, larger shares first."""
    named = {name: share for name, share in rule.shares.items() if name in able and share > 0}
    drawn = _drawn(named, f"{rule.name}:{seed}")
    others = sorted(named, key=lambda name: -named[name])
    ordered = dict.fromkeys([*([drawn] if drawn else []), *others, *able])
    return [
        Choice(name, f"{rule.name}: share {named[name]}" if name in named else f"{rule.name}: fallback")
        for name in ordered
    ]


def _drawn(shares: Mapping[str, int], seed: str) -> str | None:
    total = sum(shares.values())
    if not total:
        return None
    point = zlib.crc32(seed.encode()) % total
    for name in sorted(shares):
        point -= shares[name]
        if point < 0:
            return name
    raise AssertionError("bug: the shares do not add up")


class Provider(Protocol):
    """What routing reads of a configured provider: the region of its account, if it has one."""

    @property
    def region(self) -> str | None:
        """Return the region."""
        ...


@dataclass(frozen=True, slots=True)
class Router:
    """Routes by what is configured and not switched off, by the operator's rules, and by which providers fail now."""

    providers: Mapping[str, Provider]
    rules: tuple[Rule, ...] = ()
    down: Callable[[], Container[str]] = frozenset
    switched_off: frozenset[PaymentMethod] = frozenset()

    def __call__(self, routing_request: RoutingRequest) -> tuple[Choice, ...]:
        """Return the providers that can charge the payment, in order. Raises as `route` does."""
        if routing_request.method in self.switched_off:
            raise UnsupportedMethod(f"{routing_request.method} is switched off here; offer another payment_method")
        configured = {name: provider.region for name, provider in self.providers.items()}
        return route(routing_request, configured, down=self.down, rules=self.rules)

    def choices_or_refusal(self, routing_request: RoutingRequest) -> tuple[Choice, ...] | InvalidRequest:
        """Return the providers, or the refusal for a caller that looks for an earlier response before it refuses."""
        try:
            return self(routing_request)
        except InvalidRequest as refusal:
            return refusal


@dataclass(frozen=True, slots=True)
class Offer:
    """What a customer can be offered: a method, its route and limits, or the reason why it is not available."""

    method: PaymentMethod
    route: tuple[Choice, ...]
    capability: Capability | None
    refusal: str | None


def offers(router: Router, currency: str, country: str | None, minor: int | None) -> list[Offer]:
    """Return an offer for every method, for an amount in minor units or, without one, for an amount that fits.

    Raises UnknownCurrency."""
    return [_offer(router, method, currency, country, minor) for method in PaymentMethod]


def _offer(router: Router, method: PaymentMethod, currency: str, country: str | None, minor: int | None) -> Offer:
    known = capabilities(method)
    given = frozenset(name for one in known for name in one.needs)
    fitting = minor if minor is not None else max((one.least(currency) for one in known), default=1)
    try:
        choices = router(RoutingRequest(method, Money(fitting, currency), country, given=given))
    except InvalidRequest as refusal:
        return Offer(method, (), None, str(refusal))
    chosen = next(one for one in known if one.provider == choices[0].provider and one.takes(currency))
    return Offer(method, choices, chosen, None)
