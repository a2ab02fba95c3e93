"""The bodies that applications and operators may send, over HTTP or Celery, field by field."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StringConstraints,
    model_validator,
)

from domain.card_number import contains_card_number
from domain.dunning.backup import MOST_BACKUPS
from domain.dunning.case import RetriedBy
from domain.errors import CardNumberRefused, InvalidRequest, UnsupportedMethod
from domain.mail_address import is_address, is_one_line
from domain.money import Money, exponent
from domain.payment_methods import PaymentMethod
from domain.routing import RoutingRequest
from models.api_request import ApiRequest
from models.payer_facts import CountryCode, PayerFacts, Text
from models.time_zones import zone_named


def _no_float(value: Any) -> Any:
    if isinstance(value, float):
        raise ValueError('send the amount as a decimal string such as "12.30"')
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError('must be a decimal string such as "12.30" or a number')
    return value


def _currency(value: Any) -> Any:
    if isinstance(value, str):
        exponent(value.upper())
        return value.upper()
    return value


def _method(value: Any) -> Any:
    if isinstance(value, str) and value not in list(PaymentMethod):
        raise UnsupportedMethod(f"payment_method must be one of: {', '.join(PaymentMethod)}")
    return value


def _due_date(value: Any) -> datetime | None:
    """Read an instant with its zone, or null. Close to the ends of the calendar a zone, or the database, has none.

    >>> str(_due_date("2026-12-24T12:00:00+01:00"))
    '2026-12-24 11:00:00+00:00'
    """
    if value is None:
        return None
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
        in_utc = instant.astimezone(UTC) if instant is not None and instant.tzinfo is not None else None
    except (ValueError, OverflowError):
        in_utc = None
    if in_utc is None or not 1970 <= in_utc.year <= 9999:
        raise ValueError("must be a date and time with its zone, in the years 1970 to 9999: 2026-12-24T12:00:00Z")
    return in_utc


def _address(address: str) -> str:
    try:
        host = urlsplit(address).hostname
    except ValueError:
        host = None
    if not host:
        raise ValueError("must be an address such as https://shop.example/thanks")
    return address


ReturnUrl = Annotated[
    str, StringConstraints(strict=True, max_length=2000, pattern=r"^https?://\S+$"), AfterValidator(_address)
]
Token = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]
# Plain: pydantic would try a Decimal as an integer, and 1e999999999 written out fills the memory.
Amount = Annotated[str | int | Decimal, PlainValidator(_no_float)]
DueDate = Annotated[datetime | None, PlainValidator(_due_date)]
CurrencyCode = Annotated[str, BeforeValidator(_currency), StringConstraints(strict=True, max_length=3)]
Reason = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=500)]
MetadataValue = Annotated[str, StringConstraints(strict=True, max_length=500)] | bool | int | None


def _email(address: str) -> str:
    if not is_address(address):
        raise ValueError("must be an address such as ada@example.com")
    return address


def _name(name: str) -> str:
    if not is_one_line(name):
        raise ValueError("must be a name on one line, without control characters")
    return name


def _time_zone(name: str) -> str:
    return zone_named(name).key


def application_name(text: str) -> str:
    """Return the name of an application, checked like that of an API key. Raises InvalidRequest, CardNumberRefused."""
    if not isinstance(text, str) or not 1 <= len(text) <= 100 or not text.isprintable():
        raise InvalidRequest("application must be 1 to 100 printable characters")
    if contains_card_number(text):
        raise CardNumberRefused("application looks like a card number; send the name of an application")
    return text


class ProcessPayment(PayerFacts):
    """Collect an amount for an invoice."""

    invoice_id: Text
    user_id: Text
    amount: Amount
    currency: CurrencyCode
    payment_method: Annotated[PaymentMethod, BeforeValidator(_method)]
    # The provider's token of a card or an account. Methods that the customer approves at the provider need none.
    payment_method_token: Token | None = None
    # The provider's customer that the token belongs to: needed to charge a saved card again.
    customer_token: Token | None = None
    capture: Annotated[bool, Field(strict=True)] = True
    subscription_id: Text | None = None
    # True: the customer is not present to authenticate. The default for a payment with a subscription_id.
    off_session: Annotated[bool, Field(strict=True)] | None = None
    return_url: ReturnUrl | None = None
    metadata: Annotated[dict[str, MetadataValue], Field(max_length=50)] | None = None

    @model_validator(mode="after")
    def _subscriptions_capture_at_once(self) -> Self:
        if self.subscription_id and not self.capture:
            raise ValueError("capture must be true for a payment with a subscription_id")
        return self

    @property
    def money(self) -> Money:
        """The amount in minor units."""
        return Money.parse(self.amount, self.currency)

    @property
    def is_off_session(self) -> bool:
        """Whether the customer is absent and cannot authenticate."""
        return self.subscription_id is not None if self.off_session is None else self.off_session

    @property
    def routing_request(self) -> RoutingRequest:
        """What routing reads of this request."""
        fields = {name for name, value in self if value not in (None, "", {})}
        parts = {f"billing_address.{name}" for name, value in (self.billing_address or {}).items() if value}
        country = (self.billing_address or {}).get("country")
        return RoutingRequest(
            self.payment_method,
            self.money,
            country=country and country.upper(),
            is_capture_later=not self.capture,
            is_off_session=self.is_off_session,
            given=frozenset(fields | parts),
            seed=self.user_id,
        )

    @property
    def payer(self) -> dict[str, Any] | None:
        """The payer's personal data, which is stored in a column of its own."""
        return self.facts or None


class FraudCheck(PayerFacts):
    """Ask what the fraud rules say of a payment before it is made. What is left out is not known."""

    user_id: Text | None = None
    amount: Amount
    currency: CurrencyCode
    payment_method: Annotated[PaymentMethod, BeforeValidator(_method)] = PaymentMethod.CREDIT_CARD
    payment_method_token: Token | None = None
    off_session: Annotated[bool, Field(strict=True)] = False

    @property
    def money(self) -> Money:
        """The amount in minor units."""
        return Money.parse(self.amount, self.currency)


class UpsertInvoice(ApiRequest):
    """What a user owes."""

    user_id: Text
    amount: Amount
    currency: CurrencyCode
    due_at: DueDate = None
    description: Annotated[str, StringConstraints(strict=True, max_length=500)] | None = None


class UpsertCustomer(ApiRequest):
    """How a user is reached. It replaces what is stored: a field that is left out is empty afterwards.

    `language` and `time_zone` null: the operator's default."""

    email: Annotated[str, StringConstraints(strict=True, max_length=254), AfterValidator(_email)] | None = None
    name: Annotated[str, StringConstraints(strict=True, max_length=200), AfterValidator(_name)] | None = None
    language: Literal["en", "de"] | None = None
    time_zone: Annotated[str, StringConstraints(strict=True, max_length=64), AfterValidator(_time_zone)] | None = None
    country: CountryCode | None = None


class MarkAddress(ApiRequest):
    """What a mail provider has told of a customer's address."""

    status: Literal["ok", "bounced", "complained"]


class UpsertSubscription(ApiRequest):
    """What a user pays for again and again. `policy`: the name of its dunning policy. `retried_by`: whose engine tries
    its failed payments again. `provider`, `provider_reference`: the provider whose own engine bills it, and the id of
    its subscription there; what is left out stays as it is."""

    user_id: Text
    plan: Text
    amount: Amount
    currency: CurrencyCode
    policy: Text | None = None
    retried_by: RetriedBy = RetriedBy.CELERIAC
    provider: Literal["paypal", "stripe"] | None = None
    provider_reference: Token | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.provider is None) != (self.provider_reference is None):
            raise ValueError("send provider and provider_reference together")
        if self.provider is not None and self.retried_by is not RetriedBy.PROVIDER:
            raise ValueError("provider_reference needs retried_by: provider")
        return self


class EndSubscription(ApiRequest):
    """End a subscription and stop its collections."""

    reason: Reason | None = None


class StopCase(ApiRequest):
    """Stop the collection of a dunning case."""

    reason: Reason


class PauseCase(ApiRequest):
    """Let a dunning case wait: nothing is tried and no grace ends until then."""

    reason: Reason
    until: DueDate


class ResumeCase(ApiRequest):
    """Go on with a dunning case that waits."""

    reason: Reason


class RetryCaseNow(ApiRequest):
    """Try to collect the debt of a dunning case at once, beside its plan."""

    reason: Reason


class ExtendGrace(ApiRequest):
    """Move the end of the grace of a dunning case to a later instant."""

    reason: Reason
    until: DueDate


class CreateIntent(PayerFacts):
    """Create an intent for a front end over what is outstanding on the invoice."""

    NEWER: ClassVar = frozenset(PayerFacts.model_fields)

    invoice_id: Text
    return_url: ReturnUrl | None = None


class _Payer(PayerFacts):
    """Personal data, some of which the provider stores with a customer; Celeriac stores none of it."""

    @property
    def payer(self) -> dict[str, Any]:
        """What the provider stores."""
        return self.model_dump(mode="json", include={"email", "billing_address"}, exclude_none=True)


class OpenSetup(_Payer):
    """Begin to save a payment method: in a front end, or on the page of a provider, from which the customer comes back
    to `return_url`."""

    user_id: Text
    payment_method: Annotated[PaymentMethod, BeforeValidator(_method)] = PaymentMethod.CREDIT_CARD
    return_url: ReturnUrl | None = None


class AttachMethod(_Payer):
    """Save a payment method whose token the front end has got from the provider, or what a customer has approved in a
    setup."""

    payment_method_token: Token
    default: Annotated[bool, Field(strict=True)] = False


class Consent(BaseModel):
    """When a customer has agreed to be charged, to which words, and where they stood, such as `checkout` or a page."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    agreed_at: DueDate
    wording: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=2000)]
    channel: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=100)]


class BackupMethod(BaseModel):
    """A saved method, and the customer's consent that it is charged if the one that they have chosen is declined."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    payment_method_token: Token
    consent: Consent


class ReplaceBackups(ApiRequest):
    """The backup methods of a user, the first to be tried first."""

    backup_methods: Annotated[list[BackupMethod], Field(max_length=MOST_BACKUPS)]


class CapturePayment(ApiRequest):
    """Capture authorized money: all of it unless an amount is given."""

    amount: Amount | None = None


class NoFields(ApiRequest):
    """A request that its path says all of."""


class CancelPayment(ApiRequest):
    """Cancel a payment or release its authorization."""


class RefundPayment(ApiRequest):
    """Refund captured money: all that is left unless an amount is given."""

    amount: Amount | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None


class RecordPayment(ApiRequest):
    """An operator's record of money that no provider sees: a payment by invoice that came, or that was refunded.

    `reference`: where the money can be found, such as a line of the bank statement."""

    kind: Literal["payment", "refund"] = "payment"
    amount: Amount | None = None
    reference: Text


class ResolveEntry(ApiRequest):
    """A person's decision on an entry of the attention list. `write_off`: close it although money is left to move."""

    action: Text
    note: Annotated[str, StringConstraints(strict=True, min_length=1, max_length=500)]
    write_off: Annotated[bool, Field(strict=True)] = False

    @model_validator(mode="after")
    def _only_a_close_writes_off(self) -> Self:
        if self.write_off and self.action != "close":
            raise ValueError("write_off goes with the action close only")
        return self


class ReviewPayment(ApiRequest):
    """An operator's decision on a payment that waits for review."""

    decision: Literal["approve", "reject"]
