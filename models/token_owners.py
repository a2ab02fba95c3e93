"""Token owners: a token belongs to the user who used it first, and to nobody else. Only its hash is stored."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from domain.saved_method import token_hash
from models.provider_customers import User, find_owner
from models.session import insert_new
from models.tables import token_owners


def owns_token(connection: Connection, provider: str, token: str, user: User, now: datetime) -> bool:
    """Tell whether a token is this user's; one that nobody has used becomes theirs."""
    known = find_owner(connection, provider, token)
    if known is not None:
        return known == user
    hashed = token_hash(token)
    insert_new(
        connection,
        token_owners,
        {"provider": provider, "token_hash": hashed, **user._asdict(), "created_at": now},
    )
    is_it = (token_owners.c.provider == provider) & (token_owners.c.token_hash == hashed)
    row = connection.execute(select(token_owners.c.application, token_owners.c.user_id).where(is_it)).one()
    return User(*row) == user
