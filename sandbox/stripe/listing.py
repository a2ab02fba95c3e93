"""Lists: pages, expansion of ids into objects, and search.

https://docs.stripe.com/api/pagination, https://docs.stripe.com/api/expanding_objects,
https://docs.stripe.com/search.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

from sandbox.stripe import objects
from sandbox.stripe.errors import InvalidParameter, InvalidRequest, Json, missing
from sandbox.stripe.params import Schema, instant_range, is_within, list_of, page_size, text

# Stripe refuses a deeper expansion [docs].
DEEPEST_EXPANSION = 4
# The fields that hold the id of another object. Those of objects that the sandbox does not have keep the id.
EXPANDABLE = frozenset(
    """
    data latest_charge charge customer payment_method payment_intent refunds mandate balance_transaction
    application source_transfer transfer_data invoice_settings default_payment_method review on_behalf_of
    """.split()
)

DEFAULT_LIMIT = 10


def list_page(oldest_first: Iterable[Json], params: Mapping[str, Any], url: str, *filters: str) -> Json:
    """Return one page, newest first, of the objects whose fields equal the parameters named in `filters`."""
    wanted = {name: params[name] for name in filters if name in params}
    bounds = params.get("created", {})
    matching = [
        obj
        for obj in reversed(list(oldest_first))
        if all(obj.get(name) == value for name, value in wanted.items()) and is_within(obj.get("created", 0), bounds)
    ]
    limit = params.get("limit", DEFAULT_LIMIT)
    if "ending_before" in params:
        end = _position(matching, params["ending_before"], "ending_before")
        return objects.page(url, matching[max(end - limit, 0) : end], has_more=end > limit)
    start = _position(matching, params["starting_after"], "starting_after") + 1 if "starting_after" in params else 0
    return objects.page(url, matching[start : start + limit], has_more=len(matching) > start + limit)


def _position(matching: list[Json], id: str, param: str) -> int:
    for position, obj in enumerate(matching):
        if obj["id"] == id:
            return position
    raise missing("object", id, param=param)


def expansion(value: Any, name: str) -> list[str]:
    """Validate the paths of `expand`. It is a parameter reader, so a wrong path is refused before execution."""
    paths = list_of(text)(value, name)
    for path in paths:
        names = path.split(".")
        if len(names) > DEEPEST_EXPANSION:
            raise InvalidParameter(
                "You cannot expand more than 4 levels of a property.", code="property_too_deep", param=name
            )
        if not set(names) <= EXPANDABLE:
            raise InvalidParameter(f"This property cannot be expanded ({path}).", param=name)
    return paths


PAGE_FIELDS: Schema = {"limit": page_size, "starting_after": text, "ending_before": text, "expand": expansion}
LIST_FIELDS: Schema = {**PAGE_FIELDS, "created": instant_range}
SEARCH_FIELDS: Schema = {"query": text, "limit": page_size, "page": text, "expand": expansion}


def expand_ids(body: Json, paths: list[str], find: Callable[[str], Json | None]) -> Json:
    """Return the object with the ids at these paths replaced by their objects."""
    for path in paths:
        body = _expand(body, path.split("."), find)
    return body


def _expand(body: Json, names: list[str], find: Callable[[str], Json | None]) -> Json:
    name, *rest = names
    # The list of a charge's refunds is in no response that does not expand it (upgrades, 2022-11-15).
    value = f"{body.get('id')}/refunds" if name == "refunds" and body.get("object") == "charge" else body.get(name)
    if isinstance(value, list):
        return body | {name: [_expand(entry, rest, find) for entry in value]}
    target = find(value) if isinstance(value, str) else value
    if target is None:
        return body
    return body | {name: _expand(target, rest, find) if rest else target}


_CLAUSE = re.compile(
    r"""(?P<negated>-?)(?P<field>metadata\[(?:'[^']+'|"[^"]+")\]|[a-z_]+)\s*(?P<operator>:|>=|<=|>|<|~)\s*"""
    r"""(?P<value>'[^']*'|"[^"]*"|null|-?\d+)"""
)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    ":": lambda has, wanted: str(has).lower() == str(wanted).lower(),
    "~": lambda has, wanted: str(wanted).lower() in str(has).lower(),
    ">": lambda has, wanted: has > int(wanted),
    "<": lambda has, wanted: has < int(wanted),
    ">=": lambda has, wanted: has >= int(wanted),
    "<=": lambda has, wanted: has <= int(wanted),
}


def matcher(query: str) -> Callable[[Json], bool]:
    """Compile a search query: clauses joined by AND or by OR, not by both; `-` negates a clause.

    >>> is_match = matcher("metadata['order']:'7' AND -status:'canceled'")
    >>> is_match({"metadata": {"order": "7"}, "status": "succeeded"})
    True
    >>> matcher("amount>100 OR currency:'eur'")({"amount": 100, "currency": "usd", "metadata": {}})
    False
    """
    operators = set(re.findall(r"\s(AND|OR)\s", query, re.IGNORECASE))
    parts = re.split(r"\s+(?:AND|OR)\s+", query.strip(), flags=re.IGNORECASE)
    clauses = [_CLAUSE.fullmatch(part.strip()) for part in parts]
    if len({joint.upper() for joint in operators}) > 1 or not all(clauses):
        raise InvalidRequest("We were unable to parse your search query.", param="query")
    tests = [_test(clause) for clause in clauses if clause is not None]
    combine = any if {"OR"} == {joint.upper() for joint in operators} else all
    return lambda obj: combine(test(obj) for test in tests)


def _test(clause: re.Match[str]) -> Callable[[Json], bool]:
    field, operator, value = clause["field"], clause["operator"], clause["value"].strip("'\"")
    is_negated = clause["negated"] == "-"

    def holds(obj: Json) -> bool:
        has = obj["metadata"].get(field[10:-2]) if field.startswith("metadata[") else obj.get(field)
        if clause["value"] == "null":
            is_match = has is None
        else:
            is_match = has is not None and _COMPARE[operator](has, value)
        return is_match != is_negated

    return holds


def search_page(oldest_first: Iterable[Json], params: Mapping[str, Any], url: str) -> Json:
    """Return one page of search results, newest first; the parameter `page` is the number of results before it."""
    is_match = matcher(params["query"])
    limit, seen = params.get("limit", DEFAULT_LIMIT), int(params.get("page", "0"))
    matching = [obj for obj in reversed(list(oldest_first)) if is_match(obj)]
    data = list(islice(matching, seen, seen + limit))
    has_more = len(matching) > seen + limit
    return {
        "object": "search_result",
        "data": data,
        "has_more": has_more,
        "next_page": str(seen + limit) if has_more else None,
        "url": url,
    }


def fingerprint(method: str, path: str, params: Mapping[str, Any]) -> str:
    """Return the identity of a request under an idempotency key: endpoint and parameters, in any order."""
    return json.dumps([method, path, params], sort_keys=True)
