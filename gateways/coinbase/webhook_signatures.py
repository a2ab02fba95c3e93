"""The header `X-Hook0-Signature`: how the webhook engine of Coinbase Business signs its deliveries.

Source: documentation.hook0.com (webhook authentication) and the engine's published vectors, read 2026-11-23."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from domain.errors import WebhookRefused
from gateways.signatures import check_age, is_code

HEADER = "X-Hook0-Signature"


@dataclass(frozen=True, slots=True)
class Signature:
    """The parts of the header. `names`: the names of the signed headers, exactly as the sender wrote them, in order."""

    stamp: int
    body_code: str | None
    names: str
    full_code: str | None

    @property
    def is_over_headers(self) -> bool:
        """Whether the signature covers headers too (version 1). A version 0 beside it is ignored."""
        return self.full_code is not None

    def covers(self, header: str) -> bool:
        """Tell whether the signature covers a header."""
        return self.is_over_headers and header.lower() in self.names.lower().split()

    def is_made_with(self, secret: str, headers: Mapping[str, str], body: bytes) -> bool:
        """Tell whether the secret makes this signature for the headers and the body."""
        signed, code = f"{self.stamp}.".encode() + body, self.body_code
        if self.full_code is not None:
            arrived = {name.lower(): value for name, value in headers.items()}
            values = [arrived.get(name) for name in self.names.lower().split()]
            present = [value for value in values if value is not None]
            if len(present) != len(values):
                return False
            signed = f"{self.stamp}.{self.names}.{'.'.join(present)}.".encode() + body
            code = self.full_code
        return code is not None and is_code(code, secret, signed)


def verify(body: bytes, headers: Mapping[str, str], secrets: Iterable[str], now: datetime) -> Signature:
    """Return the signature if one of the secrets made it at most five minutes from now. Raises WebhookRefused.

    Header names are compared without case."""
    header = next((value for name, value in headers.items() if name.lower() == HEADER.lower()), "")
    signature = _read(header)
    if signature is None or not any(signature.is_made_with(secret, headers, body) for secret in secrets):
        raise WebhookRefused("bad signature")
    check_age(signature.stamp, now)
    return signature


def _read(header: str) -> Signature | None:
    fields: dict[str, str] = {}
    for part in header.split(","):
        name, _, value = part.partition("=")
        if name in fields:
            return None
        fields[name] = value
    stamp = fields.get("t", "")
    # Twelve digits are the year 33658. The signed text holds the stamp as an integer: no leading zero, no sign.
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12 and stamp == str(int(stamp))):
        return None
    return Signature(int(stamp), fields.get("v0"), fields.get("h", ""), fields.get("v1"))
