"""Makes one reading of a provider's response fail, wherever the gateway reads: each place in turn.

Every gateway reads responses through `ProviderModel.parse`, so one hook there reaches all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from gateways.provider_model import ProviderModel

Read = Callable[[type[ProviderModel], Any], Any]
genuine_parse: Any = ProviderModel.__dict__["parse"].__func__


class PlantedFault:
    """Replaces the reading with the number `place`, counted from `arm` on. `model`: the model read there."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, read: Read) -> None:
        self._read = read
        self._place = 0
        self._count = 0
        self.model: type[ProviderModel] | None = None
        monkeypatch.setattr(ProviderModel, "parse", classmethod(self._parse))

    def places(self) -> Iterator[int]:
        """Yield the number of each place to prepare for, until one was not reached."""
        for place in count(1):
            self.disarm()
            yield place
            if self.model is None:
                return

    def arm(self, place: int) -> None:
        """Let the reading with this number fail."""
        self._place, self._count, self.model = place, 0, None

    def disarm(self) -> None:
        """Let every reading succeed."""
        self._place = 0

    def _parse(self, model: type[ProviderModel], value: Any) -> Any:
        self._count += 1
        if self._count != self._place:
            return genuine_parse(model, value)
        self.model = model
        return self._read(model, value)
