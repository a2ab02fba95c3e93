"""What only some providers can do, beyond the contract of every gateway. A caller tests for it with `isinstance`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from domain.cash_balance import ShownBalance
from domain.comparison import ShownCharge
from domain.disputes import ShownDispute
from domain.instrument import Instrument
from domain.money import Money
from domain.movement import ShownFee
from domain.outcome import Outcome
from domain.payment_methods import PaymentMethod
from gateways.base import AttemptRequest, Gateway, SaveReference, VerifiedWebhook


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
    """A provider that shows a charge with its refunds, also those that somebody else has made."""

    def read_charge(self, charge: AttemptRequest) -> ShownCharge:
        """Return how the charge with `charge.reference` stands, with every refund. It moves nothing. Raises
        ChargeMissing, GatewayError when it cannot be read."""
        ...


@runtime_checkable
class EventListing(Gateway, Protocol):
    """A provider that lists the events of its webhooks, whether they were delivered or not.

    `event_lists`: how many lists there are, of which each takes a call at least. `events_kept`: how far back they go.
    `events_late`: how long after its creation an event may still be missing."""

    event_lists: int
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

    `read_charge` and `retrieve` show one whose money a dispute shows too as Declined with `SHOWN_BY_DISPUTE`."""

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
    `brand`: the card's, or the bank's name. `expires`: as 2030-12. `instrument`: the card or account behind it, where
    the provider says which; it is shown to nobody."""

    token: str
    kind: str
    brand: str | None
    last4: str | None
    expires: str | None
    is_default: bool
    instrument: Instrument | None = None


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

    def cancel_setup(self, setup: str) -> None:
        """Let nobody try a further method in a setup. One that has ended stays as it is. Raises GatewayError."""
        ...

    def saved_by(self, setup: str, customer: str) -> str | None:
        """Return the token of what a setup of this customer has saved; None as long as it has saved nothing."""
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

    def paying_method(self, reference: str) -> str | None:
        """Return the token of the method that a charge has been paid with, saved or not; None where none is shown."""
        ...

    def make_default(self, customer: str, token: str) -> SavedMethod:
        """Make a method of this customer the default; return it."""
        ...


@dataclass(frozen=True, slots=True)
class MethodApproval:
    """A payment method that is saved once its customer approves that at `redirect_url`. `reference`: the provider's."""

    reference: str
    redirect_url: str


@runtime_checkable
class ApprovedMethodsGateway(Gateway, Protocol):
    """A provider that saves a method after its customer has approved that on the provider's page. Which user has saved
    what, and which is the default, is kept here.

    Every call raises GatewayError when the provider does not respond as needed. `saved_kind`: what it saves."""

    saved_kind: PaymentMethod

    def ask_to_save(self, setup_id: str) -> MethodApproval:
        """Ask for the customer's approval; a repeat with the same id asks for the same one. The customer comes back to
        `/returns/{setup_id}`."""
        ...

    def save_approved(self, setup_id: str, reference: str) -> SavedMethod:
        """Save what the customer has approved; a repeat within hours returns the same method. `reference`: the
        approval's. Raises Conflict without an approval or once it is used up, NotFound once it has ended."""
        ...

    def remove_saved(self, token: str) -> None:
        """Remove a saved method for good; one that is gone already is removed."""
        ...
