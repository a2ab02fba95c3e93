"""The contract of every gateway: it takes an attempt and returns an `Outcome`, whatever the provider responds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from domain.cash_balance import ShownBalance
from domain.charging import OTHER_AMOUNT
from domain.comparison import ShownFee, ShownRefund
from domain.disputes import ShownDispute
from domain.money import Money
from domain.outcome import AmountMismatch, Approved, Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt, as a gateway sees it.

    `reference`: the id of the provider's object for this attempt, once it is saved. `charge_reference`: the id of the
    object that holds the payment's money, for capture, void and refund. `retries`: how often the attempt was proven not
    executed. `key_number`: how many idempotency keys of the attempt are used up. `return_url`: where the application
    wants its customer sent after an action. `claimed_at`: when it was taken for this call. `payer`: personal data that
    the provider requires (email, billing_address); never logged."""

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
        return AmountMismatch(outcome.reference, outcome.captured, OTHER_AMOUNT)

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
    balances that have changed."""

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


@runtime_checkable
class FrontEndGateway(Gateway, Protocol):
    """A provider whose front-end library confirms a charge in the customer's browser.

    `publishable_key`: the key that the library needs and that everybody may see, where the operator has set it."""

    publishable_key: str | None

    def open_intent(self, attempt: AttemptRequest, save_reference: SaveReference) -> str:
        """Create an intent that a front end confirms; return its client secret."""
        ...

    def client_secret(self, reference: str) -> str:
        """Return the client secret of an open intent. It is a credential: never stored, never logged."""
        ...


@runtime_checkable
class AcceptingGateway(Gateway, Protocol):
    """A provider that has to be told when a person accepts what it has received."""

    def accept(self, attempt: AttemptRequest) -> Outcome:
        """Accept what the provider has received for the charge, whatever the amount."""
        ...


@runtime_checkable
class RefundListing(Gateway, Protocol):
    """A provider that shows the refunds of a charge, also those that somebody else has made."""

    def refunds_of(self, charge: AttemptRequest) -> list[ShownRefund]:
        """Return every refund of the charge with `charge.reference`. Raises GatewayError when it cannot be read."""
        ...


@runtime_checkable
class EventListing(Gateway, Protocol):
    """A provider that lists the events of its webhooks, whether they were delivered or not.

    `events_kept`: how far back the list goes. `events_late`: how long after its creation an event may still be missing
    in the list."""

    events_kept: timedelta
    events_late: timedelta

    def events(self, after: datetime, until: datetime) -> Iterator[list[VerifiedWebhook]]:
        """Yield the events that were created from `after` to `until`, to the second, a page a call. Each is what a
        webhook brings; it was read with our own key, so that it needs no signature. An event that has no readable id
        is logged and left out. Raises GatewayError when the list cannot be read."""
        ...


@runtime_checkable
class FeeGateway(Gateway, Protocol):
    """A provider that shows what it keeps for a charge."""

    def fees_of(self, charge: AttemptRequest) -> list[ShownFee]:
        """Return the fees of the charge with `charge.reference`, none while they are not known. Raises GatewayError."""
        ...


@runtime_checkable
class DisputeGateway(Gateway, Protocol):
    """A provider whose disputes can be read. Both calls raise GatewayError when it cannot be read."""

    def read_dispute(self, reference: str) -> ShownDispute:
        """Return a dispute as it stands now."""
        ...

    def disputes_of(self, charge: AttemptRequest) -> list[ShownDispute]:
        """Return every dispute about the charge with `charge.reference`."""
        ...


@runtime_checkable
class ReversalGateway(DisputeGateway, RefundListing, Protocol):
    """A provider that itself makes refunds, for disputes among others.

    `refunds_of` and `retrieve` show one whose money a dispute shows too as Declined with `SHOWN_BY_DISPUTE`."""

    def reversed_charge(self, reference: str) -> str:
        """Return the reference of the charge from which a refund was made. Raises GatewayError."""
        ...


@runtime_checkable
class CashBalanceGateway(Gateway, Protocol):
    """A provider that holds money of a customer which fits no payment. Both calls raise GatewayError where the provider
    does not respond as needed."""

    def read_balance(self, customer: str, currency: str) -> ShownBalance:
        """Return how a customer's balance stands."""
        ...

    def return_balance(self, customer: str, money: Money, key: str) -> None:
        """Give money of a balance back to the customer's bank account, once for each key. Raises ReturnRefused."""
        ...


@runtime_checkable
class BlockchainGateway(Gateway, Protocol):
    """A provider of payments on a blockchain, which shows the progress of each."""

    def timeline(self, reference: str) -> list[dict[str, str]]:
        """Return the status changes of a charge, oldest first: status, time, and confirmations where there are any."""
        ...


@dataclass(frozen=True, slots=True)
class MethodSetup:
    """A payment method that a front end is about to save. `client_secret` is a credential: never stored or logged."""

    reference: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """A payment method that a provider keeps for a customer, as far as it may be shown.

    `token`: the method token of a charge. `kind`: a PaymentMethod, or the provider's word where Celeriac has none.
    `brand`: the card's, or the bank's name. `expires`: as 2030-12."""

    token: str
    kind: str
    brand: str | None
    last4: str | None
    expires: str | None
    is_default: bool


@runtime_checkable
class SavedMethodsGateway(Gateway, Protocol):
    """A provider that keeps customers and their payment methods.

    Every call raises GatewayError when the provider does not respond, CustomerLost for a customer that it does not
    have, NotFound for a method that does not exist or belongs to another customer, and InvalidRequest when the request
    is at fault. `key`: an idempotency key; a repeat with the same key creates nothing new."""

    def needs_customer(self, method: PaymentMethod) -> bool:
        """Tell whether a charge with this method needs a customer to whom the provider assigns the money."""
        ...

    def create_customer(self, key: str, metadata: Mapping[str, str]) -> str:
        """Create a customer; return the provider's id. The same key needs the same metadata, so no personal data goes
        with it.

        Raises CallUnderWay and KeySpent."""
        ...

    def update_customer(self, customer: str, payer: Mapping[str, Any], *, is_paying_by_transfer: bool = False) -> None:
        """Store the payer's data with the customer. `is_paying_by_transfer`: what comes by bank transfer is applied to
        the customer's open payment."""
        ...

    def open_setup(self, customer: str, method: PaymentMethod, key: str) -> MethodSetup:
        """Begin to save a method for charges while the customer is away; a front end completes it."""
        ...

    def list_methods(self, customer: str) -> list[SavedMethod]:
        """Return the customer's saved methods."""
        ...

    def attach_method(self, customer: str, token: str, key: str) -> SavedMethod:
        """Save a method for the customer. Charges use the token that is returned."""
        ...

    def detach_method(self, customer: str, token: str) -> None:
        """Remove a method of this customer."""
        ...

    def make_default(self, customer: str, token: str) -> None:
        """Make a method of this customer the default."""
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


class CallUnderWay(GatewayError):
    """Another call with the same idempotency key is running; a repeat returns what it returns."""


class KeySpent(GatewayError):
    """The provider has only a failure for this idempotency key, or has it for another request; a new key is needed."""


class CustomerLost(GatewayError):
    """The provider has no such customer any more; it may have been deleted there."""


class ReturnRefused(GatewayError):
    """The provider does not give this money back; a repeat is refused as well."""
