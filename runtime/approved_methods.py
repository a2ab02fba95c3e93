"""Payment methods that a customer approves on the provider's page: asked for, saved once approved, removed.

No transaction is open while the provider is called."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row

from domain.errors import Conflict, NotFound, UnsupportedMethod
from domain.saved_method import token_hash
from gateways.capabilities import ApprovedMethodsGateway, SavedMethod
from models.method_setups import name_setup, open_setup
from models.provider_customers import User
from models.saved_methods import find_kept, keep_approved, mark_removed
from runtime.runtime import Runtime


def ask_to_save(
    runtime: Runtime,
    gateway: ApprovedMethodsGateway,
    actor: str,
    setup_id: str,
    user: User,
    return_url: str | None,
) -> str:
    """Store a setup and return the page on which its customer approves; a repeat returns the same one, as long as the
    provider keeps it. Raises GatewayError."""
    runtime.change(actor, open_setup, setup_id, gateway.provider, user, return_url)
    approval = gateway.ask_to_save(setup_id)
    runtime.change(actor, name_setup, setup_id, approval.reference)
    return approval.redirect_url


def save_approved(runtime: Runtime, actor: str, setup: Row[Any]) -> Row[Any]:
    """Save what the customer of a setup has approved, once, and return the saved method.

    Raises Conflict without an approval, NotFound once it has ended or the method is removed, GatewayError."""
    user = User(setup.application, setup.user_id)
    hashed = setup.token_hash
    if hashed is None:
        if setup.reference is None:
            raise Conflict("the provider has not been asked for this setup; open it again")
        saved = _gateway_of(runtime, setup.provider).save_approved(setup.id, setup.reference)
        runtime.change(actor, keep_approved, setup, saved.token, saved.kind)
        hashed = token_hash(saved.token)
    kept = runtime.read(find_kept, user, hashed)
    if kept is None:
        raise NotFound("this method is removed; open a new setup")
    return kept


def remove_saved(runtime: Runtime, actor: str, kept: Row[Any]) -> None:
    """Remove a saved method at its provider and here. Raises GatewayError."""
    _gateway_of(runtime, kept.provider).remove_saved(kept.token)
    runtime.change(actor, mark_removed, kept)


def as_saved_method(kept: Row[Any]) -> SavedMethod:
    """Return a method that is kept here, as it may be shown."""
    return SavedMethod(kept.token, kept.kind, kept.brand, kept.last4, kept.expires, kept.is_default)


def facts_of(saved: SavedMethod) -> dict[str, str | None]:
    """Return what is kept here of a method that a provider shows."""
    return {"kind": saved.kind, "brand": saved.brand, "last4": saved.last4, "expires": saved.expires}


def _gateway_of(runtime: Runtime, provider: str) -> ApprovedMethodsGateway:
    gateway = runtime.gateways.get(provider)
    if not isinstance(gateway, ApprovedMethodsGateway):
        raise UnsupportedMethod(f"{provider} is not configured here")
    return gateway
