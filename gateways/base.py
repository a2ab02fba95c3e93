"""The contract that every gateway keeps: verbs in, `Outcome` values out, never an exception for an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, runtime_checkable

from domain.money import Money
from domain.outcome import Outcome
from domain.payment import Verb
from domain.payment_methods import PaymentMethod


@dataclass(frozen=True, slots=True)
class AttemptRequest:
    """One attempt, as a gateway sees it.

    `reference`: the provider's object of this attempt, once it is stored. `charge_reference`: that of the
    payment's money, for capture, void and refund. `retries`: how often it was proven not executed. `return_url`:
    where the application wants its customer back. `payer`: personal data that the provider asks for (email,
    billing_address), never to be logged."""

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
    reason: str | None = None
    payer: Mapping[str, Any] = field(default_factory=dict)

    @property
    def charged(self) -> str:
        """The charge's reference, without which there is nothing to capture, void or refund."""
        if self.charge_reference is None:
            raise AssertionError(f"bug: {self.verb} of a payment that never reached the provider")
        return self.charge_reference

    def way_back(self, api_url: str) -> str:
        """Return where the provider sends the customer back to: to us, below our public address."""
        return f"{api_url}/returns/{self.attempt_id}"


@dataclass(frozen=True, slots=True)
class VerifiedWebhook:
    """A webhook whose signature is good. `payload`: what may be stored of it, without credentials."""

    event_id: str
    type: str
    payload: str


@dataclass(frozen=True, slots=True)
class SideEvent:
    """Something that happened and is no payment's state, such as `dispute_opened`.

    `name`: in the past tense. `data`: codes, references, amounts as decimal text; no personal data."""

    name: str
    data: dict[str, str]


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """What a stored webhook says: which object it is about, and how that stood when it was written.

    `reference`: empty for an event about no object that we store. `outcome` None: the event does not say enough, the
    provider has to be asked. `charge_reference`: for a refund, the charge that it gives back from. `payment_id`: our
    own id, where the provider repeats it. `fact`: what is to be recorded, whether or not it is about a payment of
    ours; beside it the provider is only asked if `is_news`: if the payment's state may have changed too."""

    reference: str
    attempt_id: str | None
    outcome: Outcome | None
    charge_reference: str | None = None
    side_event: SideEvent | None = None
    payment_id: str | None = None
    is_news: bool = False


SaveReference = Callable[[str], None]


class Gateway(Protocol):
    """Adapter of one provider. Safe to share between threads. `region`: that of the account, where it has one."""

    provider: str
    region: str | None

    def charge(self, attempt: AttemptRequest, save_reference: SaveReference) -> Outcome:
        """Charge or authorize. `remember` is called with the provider's reference before money can move.

        With `order.reference` set the object is known already, and the charge goes on with it: after `Ready`, or
        when it is sent once more."""
        ...

    def capture(self, attempt: AttemptRequest) -> Outcome:
        """Take authorized money."""
        ...

    def void(self, attempt: AttemptRequest) -> Outcome:
        """Release an authorization or close an unfinished charge."""
        ...

    def refund(self, attempt: AttemptRequest) -> Outcome:
        """Give captured money back."""
        ...

    def retrieve(self, attempt: AttemptRequest) -> Outcome:
        """Ask how the attempt stands. NotSent: the provider shows that it was not executed."""
        ...

    def verify_webhook(self, body: bytes, headers: Mapping[str, str], now: datetime, url: str = "") -> VerifiedWebhook:
        """Check signature and age on the raw body; raise WebhookRefused. Header names are in Title-Case.

        `url`: the public address that it came to, which some providers sign and others hide a secret in."""
        ...

    def read_webhook(self, payload: str) -> WebhookEvent | None:
        """Say what a stored event is about; None for one that tells nothing about a payment."""
        ...

    def check(self) -> str:
        """Try the credentials; return a line about the account for an operator. Raises GatewayError."""
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
class ChainGateway(Gateway, Protocol):
    """A provider of payments on a blockchain, which can show how far one has come."""

    def timeline(self, reference: str) -> list[dict[str, str]]:
        """Return what happened to a charge, oldest first: status, time, and confirmations where there are any."""
        ...


@dataclass(frozen=True, slots=True)
class Setup:
    """An open wish to save a payment method. `client_secret` is a credential: never stored, never logged."""

    reference: str
    client_secret: str


@dataclass(frozen=True, slots=True)
class SavedMethod:
    """A payment method that a provider keeps for a customer, as far as it may be shown.

    `token`: what it is charged with. `kind`: a PaymentMethod, or the provider's word for what we do not charge.
    `brand`: of the card, or the bank's name. `expires`: as 2030-12."""

    token: str
    kind: str
    brand: str | None
    last4: str | None
    expires: str | None
    is_default: bool


@runtime_checkable
class SavedMethodsGateway(Gateway, Protocol):
    """A provider that keeps customers and their payment methods.

    Every call raises GatewayError when the provider did not answer, NotFound for a customer or a method that there is
    not, or that is another customer's, and InvalidRequest when the request is at fault. `key`: the same for the same
    call, so that a repeat makes nothing twice."""

    def create_customer(self, key: str, payer: Mapping[str, Any], metadata: Mapping[str, str]) -> str:
        """Create a customer; return the provider's name for him."""
        ...

    def open_setup(self, customer: str, method: PaymentMethod, key: str) -> Setup:
        """Begin to save a method, which a front end then completes, for charges while the customer is away."""
        ...

    def list_methods(self, customer: str) -> list[SavedMethod]:
        """Return the customer's saved methods."""
        ...

    def attach_method(self, customer: str, token: str, key: str) -> SavedMethod:
        """Save a method for the customer; its token from then on is the one that is returned."""
        ...

    def detach_method(self, customer: str, token: str) -> None:
        """Forget a method of this customer."""
        ...

    def make_default(self, customer: str, token: str) -> None:
        """Let a method of this customer be the first choice."""
        ...


class SharedToken(Protocol):
    """An access token as it is stored: sealed by its owner, and valid so many seconds more."""

    @property
    def sealed(self) -> str: ...

    @property
    def seconds_left(self) -> float: ...


class TokenStore(Protocol):
    """Access tokens that all processes share, by name. Nothing in clear is stored."""

    def find(self, name: str) -> SharedToken | None:
        """Return the token, if there is one, however old."""
        ...

    def claim(self, name: str, seconds: float) -> bool:
        """Take the right to renew it, for that long; false while another process has it."""
        ...

    def put(self, name: str, sealed: str, seconds: float) -> None:
        """Store a renewed token that is valid that long, and give the right back."""
        ...


@dataclass(frozen=True, slots=True)
class GatewayContext:
    """What every gateway of a process is made with. `api_url`: our public address, to which customers and callbacks
    come: customers to `{api_url}/returns/{attempt_id}`, webhooks to `{api_url}/webhooks/{provider}`."""

    api_url: str
    read_seconds: float
    tokens: TokenStore


class GatewayError(Exception):
    """The provider did not give what is needed now; nothing was charged."""
