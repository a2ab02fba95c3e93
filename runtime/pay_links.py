"""Signed links to the page on which a customer pays a debt: made for mails and applications, and read again.

Whoever has a link may pay with it, so it is never logged. It names the invoice and an end, and no person."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from itsdangerous import BadData, URLSafeSerializer

# Where the page is, below our public address.
PAGE_PATH = "/pay"
# By this a log line's redaction knows a link's token (worker/redaction.py).
_PREFIX = "pl_"
_LINK, _FORM, _UNSUBSCRIBE = "celeriac.pay-link", "celeriac.pay-form", "celeriac.unsubscribe"
# Where a customer says that they want no reminders, below the pages' path.
UNSUBSCRIBE_PATH = f"{PAGE_PATH}/unsubscribe"
# Where the customer of a reminder stores another card, and where they come back to from the provider.
_METHOD, _SETUP = "celeriac.method", "celeriac.setup"
METHOD_PATH = f"{PAGE_PATH}/method"


@dataclass(frozen=True, slots=True)
class PayLink:
    """What a link opens: the invoice of an application, until `expires_at`."""

    application: str
    invoice_id: str
    expires_at: datetime


class LinkUnreadable(Exception):
    """The token has no signature of ours, so that nothing in it is trusted."""


@dataclass(frozen=True, slots=True, repr=False)
class PayLinks:
    """Makes and reads links. `secrets`: the first one signs, all verify. `public_url`: our address without a path.
    `expires_after`: how long a link works."""

    secrets: Sequence[str]
    public_url: str
    expires_after: timedelta

    def make(self, application: str, invoice_id: str, now: datetime) -> tuple[str, datetime]:
        """Return the address of the page for an invoice, and when it ends, to the second.

        >>> links = PayLinks(["a" * 32], "https://pay.example", timedelta(days=30))
        >>> url, expires_at = links.make("shop", "inv-1", datetime(2026, 11, 28, tzinfo=UTC))
        >>> url.startswith("https://pay.example/pay/pl_"), str(expires_at)
        (True, '2026-12-28 00:00:00+00:00')
        >>> links.read(url.rpartition("/")[2]) == PayLink("shop", "inv-1", expires_at)
        True
        """
        expires_at = (now + self.expires_after).replace(microsecond=0)
        token = self._serializer(_LINK).dumps([application, invoice_id, int(expires_at.timestamp())])
        return f"{self.public_url}{PAGE_PATH}/{_PREFIX}{_text(token)}", expires_at

    def read(self, token: str) -> PayLink:
        """Return what a token names; whether it has ended is for the caller to see. Raises LinkUnreadable."""
        if not token.startswith(_PREFIX):
            raise LinkUnreadable
        try:
            application, invoice_id, end = self._serializer(_LINK).loads(token.removeprefix(_PREFIX))
        except BadData:
            raise LinkUnreadable from None
        return PayLink(application, invoice_id, datetime.fromtimestamp(end, UTC))

    def make_unsubscribe(self, row_id: str) -> str:
        """Return the address by which the customer of a reminder wants no more of them. It never ends, and names the
        row of the outbox, and so no person.

        >>> links = PayLinks(["a" * 32], "https://pay.example", timedelta(days=30))
        >>> links.read_unsubscribe(links.make_unsubscribe("out_1").rpartition("/")[2])
        'out_1'
        """
        return f"{self.public_url}{UNSUBSCRIBE_PATH}/{_PREFIX}{_text(self._serializer(_UNSUBSCRIBE).dumps(row_id))}"

    def read_unsubscribe(self, token: str) -> str:
        """Return the row of the outbox that such an address names. Raises LinkUnreadable."""
        try:
            row_id: str = self._serializer(_UNSUBSCRIBE).loads(token.removeprefix(_PREFIX))
        except BadData:
            raise LinkUnreadable from None
        return row_id

    def make_method(self, row_id: str, now: datetime) -> str:
        """Return the address at which the customer of a reminder stores another card. It ends as other links do, and
        names the row of the outbox."""
        end = int((now + self.expires_after).timestamp())
        return f"{self.public_url}{METHOD_PATH}/{_PREFIX}{_text(self._serializer(_METHOD).dumps([row_id, end]))}"

    def read_method(self, token: str) -> tuple[str, datetime]:
        """Return the row of the outbox that such an address names, and its end. Raises LinkUnreadable."""
        try:
            row_id, end = self._serializer(_METHOD).loads(token.removeprefix(_PREFIX))
        except BadData:
            raise LinkUnreadable from None
        return row_id, datetime.fromtimestamp(end, UTC)

    def sign_setup(self, row_id: str, setup: str) -> str:
        """Return the text by which a customer who comes back from the provider is known: it is good for nothing but to
        look at this one setup, so that the provider may store it.

        >>> links = PayLinks(["a" * 32], "https://pay.example", timedelta(days=30))
        >>> links.read_setup(links.sign_setup("out_1", "seti_1"))
        ('out_1', 'seti_1')
        """
        return _PREFIX + _text(self._serializer(_SETUP).dumps([row_id, setup]))

    def read_setup(self, token: str) -> tuple[str, str]:
        """Return the row of the outbox and the setup of such a text. Raises LinkUnreadable."""
        try:
            row_id, setup = self._serializer(_SETUP).loads(token.removeprefix(_PREFIX))
        except BadData:
            raise LinkUnreadable from None
        return row_id, setup

    def sign_form(self, token: str, shown: Sequence[Any]) -> str:
        """Return the text by which a form of this link's page is known again, with what the page showed."""
        return _text(self._serializer(_FORM, token).dumps(list(shown)))

    def read_form(self, token: str, text: str) -> list[Any]:
        """Return what the page showed whose form this is. Raises LinkUnreadable for a form of no or another link."""
        try:
            shown: list[Any] = self._serializer(_FORM, token).loads(text)
        except BadData:
            raise LinkUnreadable from None
        return shown

    def _serializer(self, use: str, *bound_to: str) -> URLSafeSerializer:
        # Each use derives a key of its own, so that no text of one use passes for one of another. Newest secret last.
        salt = "\x1f".join((use, *bound_to))
        how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(list(reversed(self.secrets)), salt=salt, signer_kwargs=how)


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()
