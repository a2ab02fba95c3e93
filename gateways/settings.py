"""What the settings of several providers have in common: how secrets are given, and the switch of all crypto."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr


def _split(value: object) -> object:
    if value is None or isinstance(value, str):
        return tuple(part.strip() for part in (value or "").split(",") if part.strip())
    return value


# Several secrets, comma-separated: all verify, so that they can rotate.
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_split)]


def revealed(secret: SecretStr | None) -> str:
    """Return a secret in clear, empty where there is none."""
    return secret.get_secret_value() if secret else ""


def all_revealed(secrets: Iterable[SecretStr]) -> tuple[str, ...]:
    """Return secrets in clear."""
    return tuple(secret.get_secret_value() for secret in secrets)


def is_of_sandbox(*credentials: str) -> bool:
    """Tell whether credentials are an imitation's, which say so: a real provider's must not be sent there."""
    return any("sandbox" in credential.lower() for credential in credentials)


class CryptoSettings(BaseModel):
    """Settings of every gateway that takes crypto."""

    crypto_payment_enabled: bool = Field(
        default=True, description="false turns all payments in crypto off, whatever credentials are set"
    )
