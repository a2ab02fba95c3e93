"""Provider customers: the provider's id of an application's user, created once. No personal data."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from models.session import insert_new
from models.tables import provider_customers


def belongs_to_another_user(connection: Connection, token: str, application: str, user_id: str) -> bool:
    """Tell whether the provider's customer is known as another user, or as another application's."""
    owners = select(provider_customers.c.application, provider_customers.c.user_id).where(
        provider_customers.c.token == token
    )
    return any((row.application, row.user_id) != (application, user_id) for row in connection.execute(owners))


def find_customer(connection: Connection, application: str, user_id: str, provider: str) -> str | None:
    """Return the provider's id of a user, if the provider has one."""
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
    """Store the provider's id of a user unless another request was faster; return the stored one."""
    values = {"application": application, "user_id": user_id, "provider": provider, "token": token, "created_at": now}
    if insert_new(connection, provider_customers, values):
        return token
    return find_customer(connection, application, user_id, provider) or token
