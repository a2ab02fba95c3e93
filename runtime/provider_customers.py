"""One customer for each user at a provider: claimed in the database, made at the provider, and made again if lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from gateways.base import CallUnderWay, CustomerLost, KeySpent
from gateways.capabilities import SavedMethodsGateway
from models.provider_customers import User, claim_customer, find_customer, forget_customer, renew_claim, save_customer
from runtime.runtime import Runtime

T = TypeVar("T")

# Two keys: Stripe replays a stored failure for a day, and a second failure is the provider's of today.
_MOST_KEYS = 2
# Between two looks while another process makes the customer, and how long it may take to do so.
_POLL_SECONDS = 0.05
_MOST_SECONDS = 10.0


def with_customer(
    runtime: Runtime,
    gateway: SavedMethodsGateway,
    user: User,
    actor: str,
    payer: Mapping[str, Any],
    use: Callable[[str], T],
    *,
    is_paying_by_transfer: bool = False,
) -> T:
    """Call `use` with the provider's customer of a user, who has the payer's data; once more with a new customer if the
    provider has lost this one. No transaction is open while the provider is called. Raises GatewayError."""
    for is_last in (False, True):
        customer = get_or_create_customer(runtime, gateway, user, actor)
        try:
            if payer or is_paying_by_transfer:
                gateway.update_customer(customer, payer, is_paying_by_transfer=is_paying_by_transfer)
            return use(customer)
        except CustomerLost:
            runtime.change(actor, forget_customer, user, gateway.provider, customer)
            if is_last:
                raise
    raise AssertionError("bug: the last try either returns or raises")


def get_or_create_customer(runtime: Runtime, gateway: SavedMethodsGateway, user: User, actor: str) -> str:
    """Return the provider's customer of a user; whoever asks at the same time gets the same one."""
    known = runtime.read(find_customer, user, gateway.provider)
    if known is not None:
        return known
    deadline, keys = time.monotonic() + _MOST_SECONDS, 1
    metadata = {"application": user.application, "user_id": user.user_id}
    while True:
        claim = runtime.change(actor, claim_customer, user, gateway.provider)
        if claim.token is not None:
            return claim.token
        try:
            token = gateway.create_customer(claim.creation_key, metadata)
            return runtime.change(actor, save_customer, user, gateway.provider, token)
        except CallUnderWay:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)
        except KeySpent:
            runtime.change(actor, renew_claim, user, gateway.provider, claim.creation_key)
            if keys == _MOST_KEYS:
                raise
            keys += 1
