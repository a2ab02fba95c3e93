"""The contract of every gateway: it takes an attempt and returns an `Outcome`, whatever the provider responds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from domain.booking import OTHER_AMOUNT
from domain.dunning.provider_subscription import ProviderSubscription
from domain.money import Money
from domain.outcome import AmountMismatch, Approved, Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod
from domain.saved_method import FailedSetup, ShownMandate, ShownMethod


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt, as a gateway sees it.

    `reference`: the id of the provider's object for this attempt, once it is saved. `charge_reference`: the id of the
    object that holds the payment's money, for capture, void and refund. `retries`: how often the attempt was proven not
    executed. `key_number`: how many idempotency keys of the attempt are used up. `return_url`: where the application
    wants its customer sent after an action. `claimed_at`: when it was taken for this call. `payer`: personal data that
    the provider requires (email, billing_address); never logged. `blocked_tokens`: methods of this customer that must
    not be charged while they are away, where the payment leaves the method to the provider. `saves_method`: they have
    agreed that what they enter in a front end is kept for their later payments."""

    payment_id: str
    attempt_id: str
    verb: Verb
    money: Money
    method: PaymentMethod
    method_token: str | None
    customer_token: str | None
    is_off_session: bool
    wants_authentication: bool
    return_url: str | None
    reference: str | None
    charge_reference: str | None
    retries: int
    claimed_at: datetime
    key_number: int = 0
    reason: str | None = None
    payer: Mapping[str, Any] = field(default_factory=dict)
    blocked_tokens: frozenset[str] = frozenset()
    saves_method: bool = False

    @property
    def charged_reference(self) -> str:
        """The charge's reference; a capture, void or refund always has one."""
        if self.charge_reference is None:
            raise AssertionError(f"bug: {self.verb} of a payment that never reached the provider")
        return self.charge_reference

    def compared(self, outcome: Outcome) -> Outcome:
        """Return the outcome of a charge or an authorization; a mismatch where another amount was taken than asked.

        Of an authorization a part may be taken. Other amounts that are only held are compared by `domain.charging`."""
        if not isinstance(outcome, Approved) or not outcome.captured or not self.verb.is_collecting:
            return outcome
        amount = outcome.captured if self.verb is Verb.CHARGE else outcome.authorized
        if amount == self.money.minor:
            return outcome
        return AmountMismatch(outcome.reference, outcome.captured, OTHER_AMOUNT, outcome.at)

    def return_address(self, api_url: str) -> str:
        """Return where the provider sends the customer back. `api_url`: the public address of the API."""
        return f"{api_url}/returns/{self.attempt_id}"


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A webhook with a valid signature. `payload`: JSON text that may be stored: it holds no credentials."""

    event_id: str
    type: str
    payload: str


@dataclass(frozen=True, slots=True)
class SideEvent:
    """An event that changes no payment's state and is recorded in its history, such as `dispute_opened`.

    `name`: in the past tense. `data`: codes, references, amounts as decimal text; no personal data."""

    name: str
    data: dict[str, str]


@dataclass(frozen=True, slots=True)
class BalanceEvent:
    """An event about the cash balances of a customer. `customer`: the provider's id."""

    customer: str
    currencies: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a stored webhook says: which object it is about, and the state of that object when it was sent.

    `reference`: the object's id; empty for an object that is never stored. `outcome`: None where the event says too
    little, so that a look-up is needed. `charge_reference`: of a refund, the charge that it returns money from.
    `payment_id`: Celeriac's own id, where the provider repeats it. `side_event`: to be recorded, also where the event
    belongs to no known payment; a look-up follows it only if `is_news`, that is if the payment's state may have
    changed too. `dispute`: the id of the dispute that the event is about, where it can be read. `reversal`: the id of a
    refund that the provider itself has made, perhaps for a dispute. `balance`: of an event about no payment, the cash
    balances that have changed. `method`, `subscription`: what it tells of a saved payment method, and of a subscription
    that the provider bills by itself. `failed_setup`: of an event about no payment, the payment method that was not
    saved. `is_for_fraud`: of a refund, who made it says that the payment was fraud."""

    reference: str
    attempt_id: str | None
    outcome: Outcome | None
    charge_reference: str | None = None
    side_event: SideEvent | None = None
    payment_id: str | None = None
    is_news: bool = False
    dispute: str | None = None
    reversal: str | None = None
    balance: BalanceEvent | None = None
    method: ShownMethod | ShownMandate | None = None
    subscription: ProviderSubscription | None = None
    failed_setup: FailedSetup | None = None
    is_for_fraud: bool = False

    @property
    def names_nothing(self) -> bool:
        """Whether only a look-up of the dispute can tell whose charge it is about."""
        return not (self.reference or self.attempt_id or self.payment_id)


# Stores the provider's reference of an attempt. Raises where another worker has taken the attempt over.
SaveReference = Callable[[str], None]


class Gateway(Protocol):
    """Adapter of one provider. Safe to share between threads. `region`: the account's, where it has one.

    No verb raises for a response of the provider: every response, failure and time-out is an `Outcome`."""

    provider: str
    region: str | None

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Charge or authorize. Calls `save_reference` with the provider's reference before money can move.

        With `attempt.reference` the object exists already and the charge continues with it: after
        `CustomerApproved`, or when the call is repeated."""
        ...

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take authorized money."""
        ...

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Release an authorization or close an unfinished charge."""
        ...

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Return captured money."""
        ...

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Look up the state of the attempt. NotSent: the provider shows that it was not executed."""
        ...

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Check signature and age on the raw body. Header names are in Title-Case.

        Raises WebhookRefused, WebhookOfOtherMode, and WebhookDeferred where only a later delivery can tell whether it
        is genuine.
        `url`: the public address that received it; some providers sign it, and some carry a secret in it."""
        ...

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Return what a stored event says; None for an event that concerns no payment. Raises MalformedResponse."""
        ...

    def check(self) -> str:
        """Make a call with the credentials; return one line about the account for an operator. Raises GatewayError."""
        ...


class StoredToken(Protocol):
    """An access token as the store holds it: encrypted by the gateway, and valid for `seconds_left`."""

    @property
    def encrypted(self) -> str: ...

    @property
    def seconds_left(self) -> float: ...


class TokenStore(Protocol):
    """Access tokens that all processes share, by name. The store never holds a token in clear."""

    def find(self, name: str) -> StoredToken | None:
        """Return the token, also an expired one; None if there is none."""
        ...

    def claim(self, name: str, seconds: float) -> bool:
        """Take the right to renew the token for that many seconds; return False while another process has it."""
        ...

    def put(self, name: str, encrypted: str, seconds: float) -> None:
        """Store a renewed token that is valid for that many seconds, and release the right to renew it."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What every gateway of a process is made with.

    `api_url`: the public address of the API. Providers send customers to `{api_url}/returns/{attempt_id}` and webhooks
    to `{api_url}/webhooks/{provider}`. `read_seconds`: how long a call waits for a response."""

    api_url: str
    read_seconds: float
    tokens: TokenStore

    @property
    def has_public_address(self) -> bool:
        """Whether providers can send customers to us."""
        return self.api_url.startswith("http")


class WebhookOfOtherMode(Exception):
    """A webhook is genuine and of the other mode, live or test. It is acknowledged and neither stored nor applied: a
    refusal would make the provider deliver it for days, and then close the address."""


class GatewayError(Exception):
    """The provider refused a call or did not respond; nothing was charged."""


class ChargeMissing(GatewayError):
    """The provider says that it has no such charge. It may not show a charge yet that was just made."""


class CallUnderWay(GatewayError):
    """Another call with the same idempotency key is running; a repeat returns what it returns."""


class KeySpent(GatewayError):
    """The provider has only a failure for this idempotency key, or has it for another request; a new key is needed."""


class CustomerLost(GatewayError):
    """The provider has no such customer any more; it may have been deleted there."""


class ReturnRefused(GatewayError):
    """The provider does not give this money back; a repeat is refused as well."""
