"""The hosted payment page as an attempt's reference, until Klarna has placed the order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from domain.outcome import ActionRequired

# Orders have UUIDs: no id of an order begins like this.
PREFIX = "hpp"


@dataclass(frozen=True, slots=True)
class HostedPage:
    """The page on which a customer approves.

    Klarna shows its address only when the page is made, so the reference contains it. `expires_at`: not in it."""

    id: str
    url: str
    expires_at: datetime | None = None

    @classmethod
    def of(cls, reference: str) -> HostedPage | None:
        """Return the page that a reference names; None for the id of an order.

        >>> HostedPage.of("hpp/1/https://pay.example/1").url
        'https://pay.example/1'
        >>> HostedPage.of("f3392f8b-6116-4073-ab96-e330819e2c07") is None
        True
        """
        prefix, _, rest = reference.partition("/")
        id, _, url = rest.partition("/")
        return cls(id, url) if prefix == PREFIX and id else None

    @property
    def reference(self) -> str:
        """The reference that names this page."""
        return f"{PREFIX}/{self.id}/{self.url}"

    @property
    def action(self) -> ActionRequired:
        """What the customer has to do: open the page."""
        return ActionRequired(self.reference, {"type": "redirect", "redirect_url": self.url}, self.expires_at)
