"""Parameters: decoding of forms into nested values, and a validating reader for each kind of value.

A schema names every parameter of an operation; any other is refused with `parameter_unknown`, as Stripe does. Encoding:
`metadata[a]=b`, `expand[]=x`, `expand[0]=x` (https://docs.stripe.com/api, and the requests of the SDK).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from sandbox.stripe.errors import InvalidParameter

Reader = Callable[[Any, str], Any]
Schema = Mapping[str, Reader]

_KEY_PART = re.compile(r"\[([^\]]*)\]")

# https://docs.stripe.com/metadata
MOST_METADATA_KEYS = 50
LONGEST_METADATA_KEY = 40
LONGEST_METADATA_VALUE = 500


def decode(encoded: str) -> dict[str, Any]:
    """Decode a form-encoded body or query string.

    >>> decode("amount=5&metadata[a]=b&expand[0]=x&expand[1]=y&types[]=card")
    {'amount': '5', 'metadata': {'a': 'b'}, 'expand': ['x', 'y'], 'types': ['card']}
    """
    tree: dict[str, Any] = {}
    for key, value in parse_qsl(encoded, keep_blank_values=True):
        _insert(tree, key, value)
    return {name: _lists(value) for name, value in tree.items()}


def _insert(tree: dict[str, Any], key: str, value: str) -> None:
    *parents, last = [key.partition("[")[0], *_KEY_PART.findall(key)]
    node = tree
    for part in parents:
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            raise InvalidParameter(f"Invalid parameter: {key}", param=part)
        node = child
    # `expand[]` has no index: the entry goes behind those that are already there.
    node[last or str(len(node))] = value


def _lists(node: Any) -> Any:
    if not isinstance(node, dict):
        return node
    if node and all(name.isdigit() for name in node):
        return [_lists(node[name]) for name in sorted(node, key=int)]
    return {name: _lists(value) for name, value in node.items()}


def read(schema: Schema, raw: Mapping[str, Any], *, required: tuple[str, ...] = (), parent: str = "") -> dict[str, Any]:
    """Validate the raw parameters of one operation and return their values; raise InvalidParameter."""
    _refuse_unknown([_full_name(parent, name) for name in raw if name not in schema])
    for name in required:
        if name not in raw:
            full = _full_name(parent, name)
            raise InvalidParameter(f"Missing required param: {full}.", code="parameter_missing", param=full)
    return {name: schema[name](value, _full_name(parent, name)) for name, value in raw.items()}


def _refuse_unknown(names: list[str]) -> None:
    if names:
        plural = "s" if len(names) > 1 else ""
        raise InvalidParameter(
            f"Received unknown parameter{plural}: {', '.join(names)}",
            code="parameter_unknown",
            param=names[0],
        )


def _full_name(parent: str, name: str) -> str:
    return f"{parent}[{name}]" if parent else name


def text(value: Any, name: str) -> str:
    """Read a string that must not be empty."""
    if not isinstance(value, str):
        raise InvalidParameter(f"Invalid string: {value}", param=name)
    if not value:
        raise InvalidParameter(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to "
            f"unset a parameter; however '{name}' cannot be unset.",
            code="parameter_invalid_empty",
            param=name,
        )
    return value


def unsettable_text(value: Any, name: str) -> str | None:
    """Read a string; an empty one unsets the field."""
    return None if value == "" else text(value, name)


def integer(value: Any, name: str) -> int:
    """Read a whole number."""
    if not isinstance(value, str) or not re.fullmatch(r"-?\d{1,18}", value):
        raise InvalidParameter(f"Invalid integer: {value}", code="parameter_invalid_integer", param=name)
    return int(value)


def positive(value: Any, name: str) -> int:
    """Read a whole number of at least one."""
    number = integer(value, name)
    if number < 1:
        raise InvalidParameter(
            "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param=name
        )
    return number


def page_size(value: Any, name: str) -> int:
    """Read how many objects a page holds, 1 to 100 (https://docs.stripe.com/api/pagination)."""
    number = integer(value, name)
    if not 1 <= number <= 100:
        raise InvalidParameter(
            f"Invalid {name}: must be between 1 and 100.", code="parameter_invalid_integer", param=name
        )
    return number


def boolean(value: Any, name: str) -> bool:
    """Read `true` or `false`."""
    if value not in ("true", "false"):
        raise InvalidParameter(f"Invalid boolean: {value}", param=name)
    return bool(value == "true")


def one_of(*allowed: str) -> Reader:
    """Return a reader of one of these words."""

    def read_word(value: Any, name: str) -> str:
        if value not in allowed:
            raise InvalidParameter(f"Invalid {name}: must be one of {', '.join(allowed)}", param=name)
        return str(value)

    return read_word


def list_of(item: Reader) -> Reader:
    """Return a reader of an array."""

    def read_list(value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise InvalidParameter("Invalid array", param=name)
        return [item(entry, f"{name}[{index}]") for index, entry in enumerate(value)]

    return read_list


def mapping(schema: Schema, *, required: tuple[str, ...] = ()) -> Reader:
    """Return a reader of a nested object."""

    def read_mapping(value: Any, name: str) -> dict[str, Any]:
        if value == "" or value == []:
            return {}
        if not isinstance(value, dict):
            raise InvalidParameter("Invalid object", param=name)
        return read(schema, value, required=required, parent=name)

    return read_mapping


def opaque(value: Any, name: str) -> Any:
    """Accept a value of any kind; the sandbox does not use it."""
    return value


def metadata(value: Any, name: str) -> dict[str, str]:
    """Read metadata. An empty value unsets a key; an empty `metadata` unsets them all, here `{"": ""}`."""
    if value == "":
        return {"": ""}
    entries = {str(index): entry for index, entry in enumerate(value)} if isinstance(value, list) else value
    if not isinstance(entries, dict) or not all(isinstance(entry, str) for entry in entries.values()):
        raise InvalidParameter("Invalid metadata: metadata must be a set of key-value pairs", param=name)
    if len(entries) > MOST_METADATA_KEYS:
        raise InvalidParameter("Metadata can have up to 50 keys", param=name)
    for key, entry in entries.items():
        if len(key) > LONGEST_METADATA_KEY or len(entry) > LONGEST_METADATA_VALUE:
            raise InvalidParameter(
                f"Metadata keys can have up to 40 characters and values up to 500: {key}", param=name
            )
    return entries


def merge_metadata(old: dict[str, str], new: dict[str, str]) -> dict[str, str]:
    """Return the old metadata with the new entries; an empty value removes an entry.

    >>> merge_metadata({"a": "1", "b": "2"}, {"a": "", "c": "3"})
    {'b': '2', 'c': '3'}
    >>> merge_metadata({"a": "1"}, {"": ""})
    {}
    """
    if new == {"": ""}:
        return {}
    return {key: value for key, value in (old | new).items() if value}


def instant_range(value: Any, name: str) -> dict[str, int]:
    """Read `created=n` or `created[gte]=n` into bounds."""
    if isinstance(value, str):
        exact = integer(value, name)
        return {"gte": exact, "lte": exact}
    bound = integer
    return dict(mapping({"gt": bound, "gte": bound, "lt": bound, "lte": bound})(value, name))


def is_within(instant: int, bounds: Mapping[str, int]) -> bool:
    """Tell whether an instant lies within the bounds.

    >>> is_within(5, {"gte": 5, "lt": 6}), is_within(6, {"gte": 5, "lt": 6})
    (True, False)
    """
    tests: dict[str, Callable[[int, int], bool]] = {
        "gt": int.__gt__,
        "gte": int.__ge__,
        "lt": int.__lt__,
        "lte": int.__le__,
    }
    return all(tests[bound](instant, limit) for bound, limit in bounds.items())
