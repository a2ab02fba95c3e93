"""Reads the body of a control request. A wrong one ends the request with a sentence that names what is valid.

A misspelt field or value would otherwise change nothing, and a test that relies on it would prove nothing.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, NoReturn, TypeGuard

from flask import abort, jsonify, make_response, request


def refuse(message: str, status: int = 400) -> NoReturn:
    """End the request with a reason."""
    abort(make_response(jsonify(error=message), status))


def request_body(*fields: str) -> dict[str, Any]:
    """Return the JSON object of the request, or an empty one if the body is empty; refuse other fields than these."""
    body = request.get_json(silent=True, force=True) if request.get_data() else {}
    if not isinstance(body, dict):
        refuse("the body must be a JSON object")
    unknown = [name for name in body if name not in fields]
    if unknown:
        refuse(f"unknown field {', '.join(unknown)}; the fields are: {', '.join(fields) or 'none'}")
    return body


def number(body: dict[str, Any], name: str, default: float | None = None, *, most: float | None = None) -> float:
    """Return a number from 0 to `most` out of the body; without a default it must be given."""
    value = body.get(name, default)
    limit = math.inf if most is None else most
    # In Python a boolean is a number too.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value <= limit:
        refuse(f"{name} must be a number from 0" + ("" if most is None else f" to {most:g}"))
    return float(value)


def is_count(value: Any) -> TypeGuard[int]:
    """Tell whether a value of a body is a whole number from 1."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def flag(body: dict[str, Any], name: str, default: bool = False) -> bool:
    """Return true or false out of the body."""
    value = body.get(name, default)
    if not isinstance(value, bool):
        refuse(f"{name} must be true or false")
    return value


def choice(body: dict[str, Any], name: str, choices: Collection[str], default: str | None = None) -> str:
    """Return one of the choices out of the body; without a default it must be given."""
    value = body.get(name, default)
    if not isinstance(value, str) or value not in choices:
        refuse(f"{name} must be one of {', '.join(choices)}")
    return value


def is_success() -> bool:
    """Tell whether `result`, the only field of the request, is success; otherwise it is failure."""
    return choice(request_body("result"), "result", ("success", "failure")) == "success"
