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
    used = {"provider": provider, "token_hash": token_hash(token), **user._asdict(), "created_at": now}
    insert_new(connection, token_owners, used)
    return owner_of_token(connection, provider, token) == user


def owner_of_token(connection: Connection, provider: str, token: str) -> User | None:
    """Return the user who used a token first, if anybody has."""
    is_it = (token_owners.c.provider == provider) & (token_owners.c.token_hash == token_hash(token))
    row = connection.execute(select(token_owners.c.application, token_owners.c.user_id).where(is_it)).first()
    return None if row is None else User(*row)
