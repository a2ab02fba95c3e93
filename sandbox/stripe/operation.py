"""The types of the operation table: one operation, and the request that it executes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sandbox.stripe.account import Account
from sandbox.stripe.errors import Json
from sandbox.stripe.events import Cause
from sandbox.stripe.listing import expansion
from sandbox.stripe.params import Schema


@dataclass(frozen=True)
class Call:
    """One validated request: the ids of its path, its parameters, its cause, and the sandbox's base URL."""

    ids: Mapping[str, str]
    params: Mapping[str, Any]
    cause: Cause
    base_url: str


@dataclass(frozen=True)
class Operation:
    """One operation. `check` refuses contradictory parameters before the execution."""

    name: str
    method: str
    rule: str
    run: Callable[[Account, Call], Json]
    fields: Schema
    required: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] = lambda params: None


READ: Schema = {"expand": expansion}
