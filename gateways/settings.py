"""Parts of several providers' settings: secrets, the sandbox's credentials, and the switch for all crypto."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, Field, SecretStr


def _split(value: object) -> object:
    if value is None or isinstance(value, str):
        return tuple(part.strip() for part in (value or "").split(",") if part.strip())
    return value


# Several secrets, comma-separated. All verify, so that secrets can rotate.
Secrets = Annotated[tuple[SecretStr, ...], BeforeValidator(_split)]


def revealed(secret: SecretStr | None) -> str:
    """Return a secret in clear; empty text for None."""
    return secret.get_secret_value() if secret else ""


def all_revealed(secrets: Iterable[SecretStr]) -> tuple[str, ...]:
    """Return secrets in clear."""
    return tuple(secret.get_secret_value() for secret in secrets)


def is_of_sandbox(*credentials: str) -> bool:
    """Tell whether credentials belong to the sandbox, whose credentials contain the word.

    Real credentials must not be sent to the sandbox, nor its credentials to a provider."""
    return any("sandbox" in credential.lower() for credential in credentials)


class CryptoSettings(BaseModel):
    """The settings of every gateway for crypto."""

    crypto_payment_enabled: bool = Field(
        default=True, description="false turns all payments in crypto off, whatever credentials are set"
    )
