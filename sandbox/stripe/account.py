"""The objects of the one simulated Stripe account, and their look-up. Rules of payment are in the other modules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from sandbox.ledger import MovementKind
from sandbox.state import Sandbox
from sandbox.stripe.errors import Json, missing
from sandbox.stripe.events import Cause, EventLog
from sandbox.stripe.ids import new_id
from sandbox.stripe.instruments import Behaviour
from sandbox.stripe.listing import list_page

PROVIDER = "stripe"
# Roughly Stripe's fee.
FEE_TEN_THOUSANDTHS = 290


@dataclass
class Method:
    """A PaymentMethod and the state that the API does not show.

    A reusable method (a scripted card) works any number of times, with any customer or none.
    """

    body: Json
    behaviour: Behaviour
    script: Iterator[Behaviour] | None = None
    is_reusable: bool = False
    is_used: bool = False
    is_detached: bool = False
    is_set_up: bool = False
    mandate: str | None = None

    def next_behaviour(self) -> Behaviour:
        """Return the behaviour for this confirm; a script moves on by one entry."""
        return self.behaviour if self.script is None else next(self.script)


@dataclass
class ConfirmAttempt:
    """One confirm of an intent: the method, its behaviour, and the request that causes the events.

    `three_d_secure`: how the customer was authenticated, as the charge shows it."""

    method: Method
    behaviour: Behaviour
    cause: Cause
    is_off_session: bool
    three_d_secure: Json | None = None


@dataclass
class Intent:
    """A PaymentIntent, its charges, refunds and disputes, and the confirm that waits for the customer or the bank.

    `funded`: the amount that is applied from the customer's cash balance, in minor units.
    """

    body: Json
    created_at: float
    charges: list[Json] = field(default_factory=list)
    refunds: list[Json] = field(default_factory=list)
    disputes: list[Json] = field(default_factory=list)
    attempt: ConfirmAttempt | None = None
    funded: int = 0

    @property
    def charge(self) -> Json:
        """Return the latest charge; a call before the first charge is a bug."""
        return self.charges[-1]


@dataclass
class Setup:
    """A SetupIntent and the method that it prepares for later payments."""

    body: Json
    method: Method | None = None


class Account:
    """The account's objects by id, oldest first; guarded by the state's lock."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.log = EventLog(sandbox)
        self.intents: dict[str, Intent] = {}
        self.charges: dict[str, Json] = {}
        self.refunds: dict[str, Json] = {}
        self.disputes: dict[str, Json] = {}
        self.fraud_warnings: dict[str, Json] = {}
        self.customers: dict[str, Json] = {}
        self.methods: dict[str, Method] = {}
        self.mandates: dict[str, Json] = {}
        self.balance_transactions: dict[str, Json] = {}
        self.setups: dict[str, Setup] = {}
        self.cash: dict[str, dict[str, int]] = {}
        self.cash_transactions: list[Json] = []
        # The reconciliation mode of the customers for whom it was set.
        self.reconciliation: dict[str, str] = {}

    @property
    def now(self) -> int:
        """Return the sandbox's time in whole seconds, Stripe's format of timestamps."""
        return int(self.sandbox.clock.now())

    def intent(self, id: str, *, param: str = "intent", status: int = 404) -> Intent:
        """Return an intent; raise InvalidRequest for an unknown id."""
        if id not in self.intents:
            raise missing("payment_intent", id, param=param, status=status)
        return self.intents[id]

    def customer(self, id: str, *, param: str = "customer", status: int = 400) -> Json:
        """Return a customer that is not deleted; raise InvalidRequest for any other id."""
        customer = self.customers.get(id)
        if customer is None or customer.get("deleted"):
            raise missing("customer", id, param=param, status=status)
        return customer

    def method(self, id: str, *, param: str = "payment_method", status: int = 400) -> Method:
        """Return a payment method; raise InvalidRequest for an unknown id."""
        if id not in self.methods:
            raise missing("PaymentMethod", id, param=param, status=status)
        return self.methods[id]

    def find(self, id: str) -> Json | None:
        """Return an object of any kind that an id in another object can name, or the list of a charge's refunds."""
        if id.endswith("/refunds"):
            charge_id = id.removesuffix("/refunds")
            made = [refund for refund in self.refunds.values() if refund["charge"] == charge_id]
            return list_page(made, {}, f"/v1/charges/{charge_id}/refunds")
        if id in self.intents:
            return self.intents[id].body
        if id in self.setups:
            return self.setups[id].body
        if id in self.methods:
            return self.methods[id].body
        stores: Iterable[dict[str, Json]] = (
            self.charges,
            self.customers,
            self.refunds,
            self.disputes,
            self.fraud_warnings,
            self.mandates,
            self.balance_transactions,
        )
        return next((store[id] for store in stores if id in store), None)

    def balance(self, charge: Json, amount: int) -> str:
        """Store the balance transaction of a charge's captured amount; return its id. The balance has its currency."""
        fee = amount * FEE_TEN_THOUSANDTHS // 10_000
        id = new_id("txn_")
        self.balance_transactions[id] = {
            "id": id,
            "object": "balance_transaction",
            "amount": amount,
            "created": self.now,
            "currency": charge["currency"],
            "exchange_rate": None,
            "fee": fee,
            "fee_details": [{"amount": fee, "currency": charge["currency"], "type": "stripe_fee"}],
            "net": amount - fee,
            "source": charge["id"],
            "status": "pending",
            "type": "charge",
        }
        return id

    def emit(self, type: str, obj: Json, cause: Cause, *, previous: Json | None = None) -> None:
        """Store an event and send it to the endpoints."""
        self.log.emit(type, obj, cause, previous=previous)

    def record(
        self, kind: MovementKind, intent: Intent, amount: int, cause: Cause, *, refund: Json | None = None
    ) -> None:
        """Record a movement of money; a refund is recorded with its own id and metadata."""
        subject = refund or intent.body
        self.sandbox.ledger.record(
            self.sandbox.clock.now(),
            PROVIDER,
            kind,
            object=subject["id"],
            parent=intent.body["id"],
            amount=amount,
            currency=intent.body["currency"],
            metadata=subject["metadata"],
            idempotency_key=cause.idempotency_key,
        )

    def record_attempt(self, intent: Intent, result: str, cause: Cause) -> None:
        """Record an attempt that reached the issuer."""
        self.sandbox.ledger.attempt(
            self.sandbox.clock.now(),
            object=intent.body["id"],
            result=result,
            idempotency_key=cause.idempotency_key,
            metadata=intent.body["metadata"],
        )
