"""Authenticates callers by API key (Bearer), and checks what the key's role allows."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from flask import g, request

from models.api_keys import Role, find_key
from models.idempotency import Caller
from models.request_bodies import application_name
from webhooks.context import runtime
from webhooks.problems import Forbidden, Unauthorized

View = TypeVar("View", bound=Callable[..., Any])


def allow(*roles: Role) -> Callable[[View], View]:
    """Admit keys of these roles only; admin keys always."""

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            g.caller = _authenticate(roles)
            return view(*args, **kwargs)

        return cast(View, guarded)

    return decorate


def caller() -> Caller:
    """Return who sends this request."""
    found: Caller = g.caller
    return found


def caller_of_names() -> Caller:
    """Return who sends this request, and whose names it uses: a key of no application may name one, `?application=`.

    Raises InvalidRequest, and Forbidden for a key that names another application than its own."""
    sender, named = caller(), request.args.get("application")
    if named is None:
        return sender
    if sender.application is not None and sender.application != named:
        raise Forbidden("a key of an application uses the names of its own application; leave `application` out")
    return replace(sender, application=application_name(named))


def _authenticate(roles: tuple[Role, ...]) -> Caller:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("send the header Authorization: Bearer <API key>")
    found = runtime().read(find_key, key.strip())
    if found is None:
        raise Unauthorized("this API key is unknown or revoked; `celery -A worker payments keys create` makes one")
    role = Role(found.role)
    if role is not Role.ADMIN and role not in roles:
        raise Forbidden(f"a key with the role {role} may not do this; use one with the role {roles[0]}")
    return Caller(found.name if role is Role.APP else None, f"{role}:{found.name}")
