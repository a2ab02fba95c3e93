"""One round of `dev.py attack`: strangers at one door, customers among them, and what each of them met."""

from __future__ import annotations

import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import requests

from stack.client import Json, Merchant, Provider
from stack.stack import Stack

DECLINED, GOOD = "pm_card_visa_chargeDeclined", "pm_card_visa"
CALLERS = 12
HTTP_SECONDS = 30
# So often those come again who were told to wait.
PASSES = 4
PAUSE_SECONDS = 3
FINAL = ("blocked", "review", "declined", "captured", "failed", "canceled")
REFUSED = {"blocked", "review"}
# The provider's operation by which each door makes an issuer look at a card, or offers to.
OPERATIONS = {
    "process": "payment_intents.create",
    "intent": "payment_intents.create",
    "setup": "setup_intents.create",
    "attach": "payment_methods.attach",
}


@dataclass(frozen=True)
class Plan:
    """So many strangers and customers in each round. `most`: strangers that may pass. `known`: customers who have paid
    before, and share the strangers' address and range of cards."""

    strangers: int
    customers: int
    most: int
    seed: int
    known: int = 5


@dataclass
class Round:
    """What was seen. `let_through`: strangers whose card an issuer could look at. `calls`: of the provider, for them.
    `codes`: why the others were refused. `unexplained`: blocked payments whose view does not say why."""

    door: str
    shared: str
    strangers: int
    let_through: int
    calls: int
    codes: dict[str, int]
    unexplained: int
    customers: int
    paid: int
    unpaid: dict[str, int]
    seconds: float

    def problems(self, plan: Plan) -> Iterator[str]:
        """Yield what should not have been, a sentence each."""
        where = f"{self.door}, sharing {self.shared}:"
        if not 0 < self.let_through <= plan.most:
            yield f"{where} {self.let_through} strangers were let through, not 1 to {plan.most}"
        if self.calls != self.let_through:
            yield f"{where} {self.calls} calls of the provider for {self.let_through} strangers"
        if self.paid != self.customers:
            yield f"{where} only {self.paid} of {self.customers} customers paid: {self.unpaid}"
        if self.unexplained:
            yield f"{where} {self.unexplained} blocked payments do not say why"
        if sum(self.codes.values()) != self.strangers - self.let_through:
            yield f"{where} {self.codes} are not all the other strangers"


class Field:
    """A running stack as its callers see it."""

    def __init__(self, api_url: str, key: str, merchant: Merchant, provider: Provider, sandbox_url: str) -> None:
        self._api, self._key, self.merchant, self.provider = api_url, key, merchant, provider
        self._sandbox = sandbox_url
        self._run = secrets.token_hex(3)

    @classmethod
    def of(cls, stack: Stack) -> Field:
        """Return the field of a stack."""
        key, _ = stack.create_keys("attack")
        provider = Provider(stack.sandbox_url, stack.env["STRIPE_SECRET_KEY"])
        return cls(stack.api_url, key, Merchant(stack.api_url, key), provider, stack.sandbox_url)

    def call(self, method: str, path: str, body: Json) -> requests.Response:
        """Call the API as an application."""
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": secrets.token_hex(12)}
        return requests.request(method, self._api + path, json=body, headers=headers, timeout=HTTP_SECONDS)

    def name(self, text: str) -> str:
        """Return a name that no other run has."""
        return f"{text}-{self._run}"

    def known_user(self, number: int) -> str:
        """Return a customer who has paid before."""
        return self.name(f"known-{number}")

    def make_known(self, customers: int, hours: float) -> None:
        """Let customers pay, and so many hours pass, on the clocks of all processes: a slot that is taken by an old one
        is out of every window."""
        asked = [
            self.merchant.process(payment(self.name(f"early-{number}"), self.known_user(number), GOOD, {}))
            for number in range(customers)
        ]
        for accepted in asked:
            self.merchant.wait_for_status(accepted["id"], "captured")
        earlier = datetime.fromisoformat(self.merchant.payment(asked[0]["id"])["updated_at"])
        self.provider.advance_clock(hours)
        for number in count():
            body = payment(self.name(f"later-{number}"), self.known_user(number % customers), GOOD, {})
            paid = self.merchant.wait_for_status(self.merchant.process(body)["id"], "captured")
            times = (datetime.fromisoformat(paid[name]) for name in ("created_at", "updated_at"))
            if all(each - earlier > timedelta(hours=hours / 2) for each in times):
                return

    def count_calls(self, operation: str) -> Callable[[], int]:
        """Begin to count the provider's calls; return what tells how many there were."""
        place = f"{self._sandbox}/_sandbox/faults"
        requests.delete(place, timeout=HTTP_SECONDS)
        # A latency of nothing is a fault that only counts.
        fault = {"operation": operation, "fault": "latency", "times": None, "seconds": 0}
        requests.post(place, json=fault, timeout=HTTP_SECONDS).raise_for_status()
        return lambda: int(requests.get(place, timeout=HTTP_SECONDS).json()["faults"][0]["hits"])

    def try_card(self, client_secret: str) -> None:
        """Try a card that is declined in what a front end was offered, as a browser does."""
        reference = client_secret.partition("_secret_")[0]
        kind = "setup_intents" if reference.startswith("seti_") else "payment_intents"
        requests.post(
            f"{self._sandbox}/v1/{kind}/{reference}/confirm",
            data={"payment_method": DECLINED, "return_url": "https://shop.example/back"},
            auth=(self.provider.secret_key, ""),
            timeout=HTTP_SECONDS,
        )


def payment(invoice: str, user: str, token: str, facts: Json) -> Json:
    """Return the body of a small payment."""
    body = {"invoice_id": invoice, "user_id": user, "amount": "1.30", "currency": "EUR"}
    return body | {"payment_method": "credit_card", "payment_method_token": token} | facts


def _facts(number: int, round_id: str, **shared: str) -> Json:
    """Return what an application tells of one payer, whose things are their own unless they are shared."""
    bin = shared.get("bin", f"{400_000 + number % 500_000}")
    return {
        "ip_address": shared.get("ip", f"10.{number // 250 % 250}.{number % 250}.7"),
        "device_fingerprint": shared.get("device", f"device-{round_id}-{number}"),
        "card": {"fingerprint": f"card-{round_id}-{number}", "bin": bin},
    }


# What the strangers of a round have in common, by the round's own number.
SHARED: dict[str, Callable[[int], dict[str, str]]] = {
    "ip": lambda own: {"ip": f"203.0.{own}.9"},
    "device": lambda own: {"device": f"attacker-{own}"},
    "bin": lambda own: {"bin": f"{510_000 + own}"},
}
# Sends one stranger's request; returns how it was refused, "wait", or None if an issuer could look at the card.
Door = Callable[[Field, str, str, Json], "str | None"]


def _at_intent(field: Field, user: str, invoice: str, facts: Json) -> str | None:
    field.call("PUT", f"/invoices/{invoice}", {"user_id": user, "amount": "1.30", "currency": "EUR"})
    return _offered(field, field.call("POST", "/stripe-intent", {"invoice_id": invoice} | facts))


def _at_setup(field: Field, user: str, invoice: str, facts: Json) -> str | None:
    return _offered(field, field.call("POST", "/setup-intent", {"user_id": user} | facts))


def _at_attach(field: Field, user: str, invoice: str, facts: Json) -> str | None:
    body = {"payment_method_token": DECLINED} | facts
    response = field.call("POST", f"/customers/{user}/payment-methods", body)
    return None if response.status_code == 422 else _refused(response)


def _offered(field: Field, response: requests.Response) -> str | None:
    if response.status_code != 201:
        return _refused(response)
    field.try_card(response.json()["client_secret"])
    return None


def _refused(response: requests.Response) -> str:
    if response.status_code == 429:
        return "wait"
    return str(response.json().get("code") or response.json().get("type"))


_SYNCHRONOUS: dict[str, Door] = {"intent": _at_intent, "setup": _at_setup, "attach": _at_attach}
DOORS = ("process", *_SYNCHRONOUS)


def play(field: Field, plan: Plan, door: str, shared: str) -> Round:
    """Let strangers and customers come at the same time; return what they met."""
    started, own = time.monotonic(), DOORS.index(door) * len(SHARED) + list(SHARED).index(shared) + 1
    common, round_id = SHARED[shared](own), field.name(f"{door}-{shared}")
    calls = field.count_calls(OPERATIONS[door])
    customers = [*_customers(field, plan, round_id, own, common)]
    strangers = [
        (f"{round_id}-{number}", _facts(1000 * own + number, round_id, **common)) for number in range(plan.strangers)
    ]
    rng = random.Random(f"{plan.seed}/{round_id}")  # noqa: S311
    tasks: list[tuple[bool, int]] = [(False, number) for number in range(len(strangers))]
    for number in range(len(customers)):
        tasks.insert(rng.randrange(len(tasks) + 1), (True, number))

    def come(task: tuple[bool, int]) -> Any:
        is_customer, number = task
        if is_customer:
            return field.call("POST", "/process", customers[number]).json()["id"]
        user, facts = strangers[number]
        if door == "process":
            return field.call("POST", "/process", payment(user, user, DECLINED, facts)).json()["id"]
        return _SYNCHRONOUS[door](field, user, user, facts)

    with ThreadPoolExecutor(CALLERS) as callers:
        met = dict(zip(tasks, callers.map(come, tasks), strict=True))
        paid = [_final(field, met[True, number]) for number in range(len(customers))]
        if door == "process":
            shown = list(callers.map(lambda number: _final(field, met[False, number]), range(len(strangers))))
            results = [_code(each) if each["status"] in REFUSED else None for each in shown]
            unexplained = sum(1 for each in shown if each["status"] in REFUSED and not each["fraud"]["reasons"])
        else:
            results = _come_again(callers, come, [met[False, number] for number in range(len(strangers))])
            unexplained = 0
    let_through = results.count(None)
    own_calls = calls() - (len(customers) if OPERATIONS[door] == OPERATIONS["process"] else 0)
    return Round(
        door,
        shared,
        len(strangers),
        let_through,
        own_calls,
        dict(Counter(code for code in results if code is not None)),
        unexplained,
        len(customers),
        sum(1 for each in paid if each["status"] == "captured"),
        dict(Counter(_code(each) for each in paid if each["status"] != "captured")),
        time.monotonic() - started,
    )


def _come_again(
    callers: ThreadPoolExecutor, come: Callable[[tuple[bool, int]], Any], results: list[str | None]
) -> list[str | None]:
    for _ in range(PASSES):
        waiting = [number for number, result in enumerate(results) if result == "wait"]
        if not waiting:
            break
        time.sleep(PAUSE_SECONDS)
        again = callers.map(lambda number: come((False, number)), waiting)
        for number, result in zip(waiting, again, strict=True):
            results[number] = result
    return results


def _customers(field: Field, plan: Plan, round_id: str, own: int, common: dict[str, str]) -> Iterator[Json]:
    """Yield payments of customers: new ones with things of their own, and known ones who share the strangers' address
    or range of cards."""
    for number in range(plan.customers - plan.known):
        user = f"{round_id}-customer-{number}"
        yield payment(user, user, GOOD, _facts(500_000 + 1000 * own + number, f"{round_id}-customer"))
    public = {kind: value for kind, value in common.items() if kind != "device"}
    for number in range(plan.known):
        # Each round has its own: nobody pays in all of them on one day.
        user = field.known_user(plan.known * (own - 1) + number)
        facts = _facts(700_000 + 1000 * own + number, f"{round_id}-known", **public)
        yield payment(f"{round_id}-known-{number}", user, GOOD, facts)


def _code(shown: Json) -> str:
    return str(shown["failure_code"] or shown["status"])


def _final(field: Field, payment_id: str) -> Json:
    return field.merchant.wait_for_status(payment_id, *FINAL)
