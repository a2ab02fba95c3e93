"""Which customer of a provider an application's user is: made once, remembered, never personal data."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Column, Connection, Index, String, Table, select

from models.base import Instant, metadata
from models.session import insert_new

provider_customers = Table(
    "provider_customers",
    metadata,
    Column("application", String(100), primary_key=True),
    Column("user_id", String(200), primary_key=True),
    Column("provider", String(40), primary_key=True),
    # The provider's id of the customer: worthless elsewhere, still never logged.
    Column("token", String(255), nullable=False),
    Column("created_at", Instant, nullable=False),
)


Index("ix_provider_customers_token", provider_customers.c.token)


def belongs_to_another_user(connection: Connection, token: str, application: str, user_id: str) -> bool:
    """Tell whether a provider's customer is known to be another user, or another application's."""
    owners = select(provider_customers.c.application, provider_customers.c.user_id).where(
        provider_customers.c.token == token
    )
    return any((row.application, row.user_id) != (application, user_id) for row in connection.execute(owners))


def find_customer(connection: Connection, application: str, user_id: str, provider: str) -> str | None:
    """Return the provider's id of a user, if the provider knows him."""
    return connection.scalar(
        select(provider_customers.c.token).where(
            provider_customers.c.application == application,
            provider_customers.c.user_id == user_id,
            provider_customers.c.provider == provider,
        )
    )


def save_customer(
    connection: Connection, application: str, user_id: str, provider: str, token: str, now: datetime
) -> str:
    """Store the provider's id of a user, unless another request was faster; return the one that counts."""
    values = {"application": application, "user_id": user_id, "provider": provider, "token": token, "created_at": now}
    if insert_new(connection, provider_customers, values):
        return token
    return find_customer(connection, application, user_id, provider) or token
