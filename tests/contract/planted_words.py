"""Changes one word in a provider's response, wherever the gateway reads one: each in turn.

The words are found in the models: every field that is marked as one, of every object that a response holds."""

from __future__ import annotations

import copy
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, get_args

import pytest

import gateways
from gateways.provider_model import ProviderModel, WordMark

from .planted import genuine_parse

INVENTED = "INVENTED_TOMORROW"
_MISSING = object()


@dataclass(frozen=True)
class Spot:
    """One word of one response. `place`: the number of the reading, counted from 1. `path`: names on the wire, and
    positions in lists, to the object that has the word. `field`: the attribute of the model."""

    place: int
    path: tuple[str | int, ...]
    model: type[ProviderModel]
    field: str

    @property
    def name(self) -> str:
        """The name that the log has for the word."""
        return name_of(self.model, self.field)


class PlantedWord:
    """Notes the words of the responses that are read or, armed, replaces one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.spots: list[Spot] = []
        self.is_read = False
        self._spot: Spot | None = None
        self._word: str | None = None
        self._count = 0
        self._planted: Any = None
        monkeypatch.setattr(ProviderModel, "parse", classmethod(self._parse))
        planted = self

        def read(model: ProviderModel, name: str) -> Any:
            if planted._planted is model and planted._spot is not None and planted._spot.field == name:
                planted.is_read = True
            return object.__getattribute__(model, name)

        monkeypatch.setattr(ProviderModel, "__getattribute__", read, raising=False)

    def note(self) -> None:
        """Note the words that are read from now on, and change none."""
        self._reset(None, None)
        self.spots = []

    def arm(self, spot: Spot, word: str | None) -> None:
        """Let the provider say this word at the spot."""
        self._reset(spot, word)

    def disarm(self) -> None:
        """Let the provider say its own words."""
        self._reset(None, None)

    def _reset(self, spot: Spot | None, word: str | None) -> None:
        self._spot, self._word, self._count, self._planted, self.is_read = spot, word, 0, None, False

    def _parse(self, model: type[ProviderModel], value: Any) -> Any:
        self._count += 1
        if self._spot is None:
            self.spots += [Spot(self._count, *rest) for rest in words_in(model, value)]
        if self._spot is None or self._count != self._spot.place:
            return genuine_parse(model, value)
        changed = copy.deepcopy(value)
        holder = changed
        for step in self._spot.path:
            holder = holder[step]
        holder[_on_the_wire(self._spot.model, self._spot.field)] = self._word
        parsed = genuine_parse(model, changed)
        self._planted = _object_at(parsed, self._spot.path)
        return parsed


def name_of(model: type[ProviderModel], field: str) -> str:
    """Return the name that the log has for a field."""
    return f"{model.__name__}.{_on_the_wire(model, field)}"


def words_of(model: type[ProviderModel]) -> list[str]:
    """Return the attributes of a model that are marked as words."""
    fields = model.model_fields.items()
    return [name for name, field in fields if any(isinstance(mark, WordMark) for mark in field.metadata)]


def words_in(
    model: type[ProviderModel], value: Any, path: tuple[str | int, ...] = ()
) -> Iterator[tuple[tuple[str | int, ...], type[ProviderModel], str]]:
    """Yield path, model and attribute of every word in a response."""
    if not isinstance(value, dict):
        return
    for name in words_of(model):
        yield path, model, name
    for name, field in model.model_fields.items():
        wire = _on_the_wire(model, name)
        inner = value.get(wire)
        for nested in models_in(field.annotation):
            for step, each in enumerate(inner) if isinstance(inner, list) else [(None, inner)]:
                yield from words_in(nested, each, (*path, wire) if step is None else (*path, wire, step))


def models_in(annotation: Any) -> Iterator[type[ProviderModel]]:
    """Yield the models in the type of a field."""
    if isinstance(annotation, type) and issubclass(annotation, ProviderModel):
        yield annotation
    for each in get_args(annotation):
        yield from models_in(each)


def models_of(provider: str = "") -> list[type[ProviderModel]]:
    """Return the models of a provider's package, or of all."""
    for module in pkgutil.walk_packages(gateways.__path__, "gateways."):
        importlib.import_module(module.name)
    package = f"gateways.{provider}." if provider else "gateways."
    return [model for model in _descendants(ProviderModel) if model.__module__.startswith(package)]


def _descendants(model: type[ProviderModel]) -> Iterator[type[ProviderModel]]:
    for each in model.__subclasses__():
        yield each
        yield from _descendants(each)


def _on_the_wire(model: type[ProviderModel], field: str) -> str:
    return model.model_fields[field].alias or field


def _object_at(parsed: ProviderModel, path: tuple[str | int, ...]) -> Any:
    found: Any = parsed
    for step in path:
        if isinstance(step, int):
            found = found[step]
            continue
        names = {_on_the_wire(type(found), name): name for name in type(found).model_fields}
        found = getattr(found, names[step])
    return found
