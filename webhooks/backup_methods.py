"""Backup methods of a user: what else the customer has agreed to be charged by, in their order."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, Response

from domain.dunning.backup import require_given, require_reusable
from domain.errors import InvalidRequest, NotFound
from domain.saved_method import token_hash
from gateways.base import CustomerLost
from gateways.capabilities import SavedMethod
from gateways.registry import saved_methods_gateway
from models.api_keys import Role
from models.backup_methods import AgreedMethod, remove_backup, replace_backups, show_backups
from models.provider_customers import User, find_customer
from models.request_bodies import BackupMethod, ReplaceBackups
from models.saved_methods import kept_methods
from runtime.approved_methods import as_saved_method
from webhooks.auth import allow, caller, caller_of_names
from webhooks.context import runtime
from webhooks.requests import json_body, require_name
from webhooks.responses import json_response

blueprint = Blueprint("backup_methods", __name__)

_FIELD = "payment_method_token"


@blueprint.put("/customers/<user_id>/backup-methods")
@allow(Role.APP)
def put_backups(user_id: str) -> Response:
    """Store the backup methods of a user with the customer's consents, in place of those that were stored."""
    request, user = ReplaceBackups.parse(json_body()), _user(user_id)
    asked = {token_hash(one.payment_method_token): one for one in request.backup_methods}
    if len(asked) < len(request.backup_methods):
        raise InvalidRequest("each backup method can be named once only", param=_FIELD)
    saved = _saved(user) if asked else {}
    now = runtime().clock.now()
    agreed = [_agreed(one, saved, now) for one in request.backup_methods]
    runtime().change(caller().actor, replace_backups, user, agreed)
    return _shown(user)


@blueprint.get("/customers/<user_id>/backup-methods")
@allow(Role.APP, Role.OPERATOR)
def list_backups(user_id: str) -> Response:
    """List the backup methods of a user in their order."""
    return _shown(_user(user_id))


@blueprint.delete("/customers/<user_id>/backup-methods/<token>")
@allow(Role.APP)
def delete_backup(user_id: str, token: str) -> Response:
    """Let a method be no backup any more; it stays saved."""
    if not runtime().change(caller().actor, remove_backup, _user(user_id), token_hash(token)):
        raise NotFound("this method is no backup of this user; list the backup methods", param=_FIELD)
    return _shown(_user(user_id))


def _shown(user: User) -> Response:
    return json_response(200, {"backup_methods": runtime().read(show_backups, user)})


def _agreed(one: BackupMethod, saved: dict[str, tuple[str, SavedMethod]], now: datetime) -> AgreedMethod:
    """Return a backup method of a user. Raises NotFound for a method that is not saved for them, InvalidRequest."""
    if one.payment_method_token not in saved:
        raise NotFound("this user has no such saved method; list the saved ones", param=_FIELD)
    provider, method = saved[one.payment_method_token]
    require_reusable(method.kind, provider, _FIELD)
    agreed_at = require_given(one.consent.agreed_at, now, "consent.agreed_at")
    shown = (provider, method.token, method.kind, method.brand, method.last4)
    return AgreedMethod(*shown, agreed_at, one.consent.wording, one.consent.channel, method.instrument)


def _saved(user: User) -> dict[str, tuple[str, SavedMethod]]:
    """Return a user's saved methods by their tokens, each with its provider."""
    found = {row.token: (row.provider, as_saved_method(row)) for row in runtime().read(kept_methods, user)}
    gateway = saved_methods_gateway(runtime().gateways)
    customer = runtime().read(find_customer, user, gateway.provider) if gateway else None
    if gateway is None or customer is None:
        return found
    try:
        return found | {method.token: (gateway.provider, method) for method in gateway.list_methods(customer)}
    except CustomerLost:
        return found


def _user(user_id: str) -> User:
    require_name(user_id, "user_id")
    application = caller_of_names().application
    if application is None:
        raise InvalidRequest("backup methods belong to an application; say whose are meant (`application`)")
    return User(application, user_id)
