"""Owns what an operation is: one request as it sees it, and its line in the table."""

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
    """One request as an operation sees it: ids from the address, parameters, the cause, and the sandbox's
    address."""

    ids: Mapping[str, str]
    given: Mapping[str, Any]
    cause: Cause
    base_url: str


@dataclass(frozen=True)
class Operation:
    """One operation. `check` refuses contradictory parameters before execution begins."""

    name: str
    method: str
    rule: str
    run: Callable[[Account, Call], Json]
    fields: Schema
    required: tuple[str, ...] = ()
    check: Callable[[Mapping[str, Any]], None] = lambda given: None


READ: Schema = {"expand": expansion}
