"""Customers of a campaign with outside operations: they pay what does not match, by crypto or in several transfers."""

from __future__ import annotations

import random

from stack.amounts import minor_units
from stack.random_customers import ADDRESS, Customer, Simulation, operate, random_amount

MOST_TOO_MUCH = 5_000


def pay_another_amount(simulation: Simulation, rng: random.Random) -> None:
    """Pay less or more cryptocurrency than was asked."""
    address = ADDRESS | {"country": "US"}
    payment_id = simulation.pay(
        amount=random_amount(rng), currency="USD", payment_method="bitcoin", billing_address=address
    )
    payment = simulation.wait(payment_id)
    if payment["status"] == "requires_action":
        simulation.submit_page(payment, rng.choice(["pay_too_little", "pay_too_much"]))
        operate(simulation, rng, simulation.wait(payment_id, "amount_mismatch"))


def pay_by_transfer(simulation: Simulation, rng: random.Random) -> None:
    """Transfer too little, and mostly the rest later; or too much, which fits no payment."""
    payment_id = simulation.pay(amount=random_amount(rng), currency="EUR", payment_method="bank_transfer")
    payment = simulation.wait(payment_id)
    if payment["status"] != "requires_action":
        return
    if rng.random() < 0.3:
        simulation.provider.send_transfer(
            payment, minor_units(payment["amount"], "EUR") + rng.randint(1, MOST_TOO_MUCH)
        )
        simulation.count("bank: transfer of too much")
        return
    simulation.provider.send_transfer(payment, rng.randint(1, minor_units(payment["amount"], "EUR") - 1))
    simulation.count("bank: transfer of too little")
    if rng.random() < 0.7:
        simulation.provider.send_transfer(payment)
        simulation.count("bank: transfer of the rest")


OUTSIDE_CUSTOMERS: dict[Customer, int] = {pay_another_amount: 2, pay_by_transfer: 2}
