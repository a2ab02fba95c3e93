"""What happens at the providers behind our back: other people's refunds, captures and voids, disputes, returned debits.

A person does it on the provider's website, a bank or a cardholder does it; Celeriac may get a webhook or none.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from stack.amounts import decimal_text, minor_units
from stack.client import Json, UnexpectedResult
from stack.random_customers import Simulation

HAS_REFUNDS = ("stripe", "paypal", "klarna", "afterpay", "coinbase")
# The providers that keep what a capture leaves over, so that it can be captured later.
CAPTURES_IN_PARTS = ("paypal", "klarna", "afterpay")
CARDS = ("credit_card", "debit_card", "apple_pay", "google_pay")
LEAST_CAPTURE = 100
# On one payment in a row, as long as the share is not reached.
MOST_ACTS = 3
REFUSALS = (" 400", " 409")


@dataclass(frozen=True)
class OutsideRefund:
    """A refund that somebody else made. `has_failed`: its money came back."""

    payment_id: str
    reference: str
    has_failed: bool


@dataclass
class OutsideOperations:
    """Lets a share of all operations happen at the providers; `interfere` is the simulation's interference.

    `refunds`: what was given back there. `disputes`: those at PayPal and Afterpay, in the form of Stripe's.
    `unfinished`: what banks decide at the end."""

    share: float
    refunds: list[OutsideRefund] = field(default_factory=list)
    disputes: list[Json] = field(default_factory=list)
    unfinished: list[Callable[[], None]] = field(default_factory=list)
    number: int = 0

    def interfere(self, simulation: Simulation, rng: random.Random, payment: Json) -> bool:
        """Do something to a payment at its provider, if its turn has come; return whether its customer leaves it alone.

        Half of the time the application asks for an operation of its own as well, which may be refused by then."""
        acts, before = possible_acts(payment), self.number
        is_hit = False
        while acts and self.number < min(before + MOST_ACTS, self.share * simulation.operations.total()):
            name = rng.choices(list(acts), [each.weight for each in acts.values()])[0]
            try:
                acts[name].run(self, simulation, rng, payment)
            except UnexpectedResult as error:
                # Another operation was faster, so the provider offers this one no more.
                if not any(status in str(error) for status in REFUSALS):
                    raise
                break
            self.count(simulation, name)
            is_hit = True
            acts = {} if name in LAST else acts
        if is_hit and rng.random() < 0.5:
            ask_as_well(simulation, rng, payment)
        return is_hit

    def count(self, simulation: Simulation, name: str) -> None:
        """Count an operation at a provider."""
        simulation.count(f"outside: {name}")
        with simulation.lock:
            self.number += 1

    @property
    def refund_ids(self) -> frozenset[str]:
        """The providers' ids of all refunds that somebody else made."""
        return frozenset(refund.reference for refund in self.refunds)

    def add_refund(self, payment: Json, reference: str | None, *, has_failed: bool = False) -> None:
        """Note a refund that somebody else made."""
        self.refunds.append(OutsideRefund(payment["id"], str(reference), has_failed))

    def add_dispute(self, payment: Json, status: str, amount: int, taken: int) -> None:
        """Note a dispute about so much of a payment, which has taken so much of it."""
        about = {"payment_intent": payment["attempts"][0]["provider_reference"], "status": status, "amount": amount}
        self.disputes.append({**about, "balance_transactions": [{"net": -taken}]})

    def finish(self) -> None:
        """Let the banks decide what is pending."""
        for decide in self.unfinished:
            decide()


def ask_as_well(simulation: Simulation, rng: random.Random, payment: Json) -> None:
    """Ask for an operation that the application, which knows nothing yet, takes for possible."""
    with contextlib.suppress(UnexpectedResult):
        if payment["status"] == "captured":
            most = minor_units(payment["captured_amount"], payment["currency"])
            simulation.merchant.refund(payment["id"], decimal_text(rng.randint(1, most), payment["currency"]))
            simulation.count("refund")
        elif rng.random() < 0.5:
            simulation.merchant.capture(payment["id"], payment["amount"])
            simulation.count("capture")
        else:
            simulation.merchant.cancel(payment["id"])
            simulation.count("void")


Run = Callable[[OutsideOperations, Simulation, random.Random, Json], None]


@dataclass(frozen=True)
class Act:
    """One thing that can happen to a payment at its provider."""

    weight: int
    run: Run


def possible_acts(payment: Json) -> dict[str, Act]:
    """Return what can happen to a payment at its provider, by name."""
    provider, status, method = payment["provider"], payment["status"], payment["payment_method"]
    if status == "authorized":
        return ON_HOLDS | (ON_HOLDS_IN_PARTS if provider in CAPTURES_IN_PARTS else {})
    if status == "amount_mismatch" and provider == "coinbase_commerce":
        return {"resolve": Act(1, resolve)}
    if status != "captured" or provider not in HAS_REFUNDS:
        return {}
    if method == "sepa_debit":
        return REFUNDS | FAILING_REFUNDS | RETURNS
    if provider == "stripe":
        return REFUNDS | FAILING_REFUNDS | (DISPUTES if method in CARDS else {})
    delayed = DELAYED_REFUNDS if provider in ("paypal", "coinbase") else {}
    return REFUNDS | delayed | DISPUTES_ELSEWHERE.get(provider, {})


# --- authorized money ---


def capture_all(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.act_in_dashboard(payment, "capture")


def capture_part(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.act_in_dashboard(payment, "capture", _part(rng, payment))


def capture_in_parts(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    """Capture a part now, and what is left once the other operations are over."""
    simulation.provider.act_in_dashboard(payment, "capture", _part(rng, payment))

    def capture_more() -> None:
        # The remainder may be released by then.
        with contextlib.suppress(UnexpectedResult):
            simulation.provider.act_in_dashboard(payment, "capture")

    outside.unfinished.append(capture_more)


def void(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.act_in_dashboard(payment, "void")


def resolve(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.act_in_dashboard(payment, "resolve")


# --- captured money ---


def refund_all(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    outside.add_refund(payment, simulation.provider.act_in_dashboard(payment, "refund"))


def refund_part(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    outside.add_refund(payment, _refund_part(simulation, rng, payment))


def refund_that_fails(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    """Give a part back at Stripe; the bank cannot pay it out and sends it back."""
    refund = str(_refund_part(simulation, rng, payment))
    outside.add_refund(payment, refund, has_failed=True)
    outside.unfinished.append(lambda: simulation.provider.finish_refund(payment, refund, "failure"))


def refund_that_is_pending(
    outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json
) -> None:
    """Give a part back, which succeeds or fails days later."""
    simulation.provider.delay_refunds(payment)
    refund, is_good = str(_refund_part(simulation, rng, payment)), rng.random() < 0.5
    outside.add_refund(payment, refund, has_failed=not is_good)
    result = "success" if is_good else "failure"
    outside.unfinished.append(lambda: simulation.provider.finish_refund(payment, refund, result))


def open_dispute(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.dispute(payment, "fraudulent")


def win_dispute(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.close_dispute(simulation.provider.dispute(payment, "fraudulent"), "won")


def lose_dispute(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.close_dispute(simulation.provider.dispute(payment, "fraudulent"), "lost")


def dispute_at_paypal(status: str, *steps: Json) -> Run:
    """Return what lets a buyer dispute what is left of a capture. `status`: how it ends, in Stripe's words."""

    def run(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
        shown = simulation.provider.dispute_elsewhere(payment, *steps)
        amount = minor_units(shown["dispute_amount"]["value"], payment["currency"])
        outside.add_dispute(payment, status, amount, amount if status == "lost" else 0)

    return run


def dispute_at_afterpay(status: str, *steps: Json) -> Run:
    """Return what lets a shopper dispute a payment, which is about the whole of it, whatever was refunded."""

    def run(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
        simulation.provider.dispute_elsewhere(payment, *steps)
        amount = minor_units(payment["captured_amount"], payment["currency"])
        outside.add_dispute(payment, status, amount, amount if status == "lost" else 0)

    return run


def return_debit(outside: OutsideOperations, simulation: Simulation, rng: random.Random, payment: Json) -> None:
    simulation.provider.dispute(payment, "incorrect_account_details")


def _refund_part(simulation: Simulation, rng: random.Random, payment: Json) -> str | None:
    most = minor_units(payment["captured_amount"], payment["currency"])
    return simulation.provider.act_in_dashboard(payment, "refund", rng.randint(1, max(1, most // 2)))


def _part(rng: random.Random, payment: Json) -> int:
    whole = minor_units(payment["amount"], payment["currency"])
    return rng.randint(LEAST_CAPTURE, whole - LEAST_CAPTURE)


ON_HOLDS = {"capture": Act(2, capture_all), "capture of a part": Act(2, capture_part), "void": Act(2, void)}
ON_HOLDS_IN_PARTS = {"captures of both parts": Act(2, capture_in_parts)}
REFUNDS = {"refund": Act(2, refund_all), "refund of a part": Act(3, refund_part)}
FAILING_REFUNDS = {"refund that fails": Act(2, refund_that_fails)}
DELAYED_REFUNDS = {"pending refund": Act(2, refund_that_is_pending)}
RETURNS = {"returned debit": Act(4, return_debit)}
DISPUTES = {
    "dispute": Act(1, open_dispute),
    "dispute, won": Act(1, win_dispute),
    "dispute, lost": Act(1, lose_dispute),
}
_DEBIT = {"status": "UNDER_REVIEW", "money": "debit"}
_FOR_SELLER = {"outcome": "RESOLVED_SELLER_FAVOUR", "money": "credit"}
DISPUTES_ELSEWHERE = {
    "paypal": {
        "dispute": Act(1, dispute_at_paypal("needs_response")),
        "dispute, won": Act(1, dispute_at_paypal("won", _DEBIT, _FOR_SELLER)),
        "dispute, lost": Act(2, dispute_at_paypal("lost", _DEBIT, {"outcome": "RESOLVED_BUYER_FAVOUR"})),
    },
    "afterpay": {
        "dispute": Act(1, dispute_at_afterpay("needs_response")),
        "dispute, won": Act(1, dispute_at_afterpay("won", {"status": "won"})),
        "dispute, lost": Act(2, dispute_at_afterpay("lost", {"status": "lost"})),
    },
}
# A bank may take back what was refunded before; nothing happens to a payment afterwards.
LAST = frozenset({*RETURNS, *DISPUTES})
