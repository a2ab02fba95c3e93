"""The configuration of payments by invoice: there is none, and they are always on."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel

from gateways.base import GatewayContext
from gateways.manual.gateway import ManualGateway


class ManualSettings(BaseModel):
    """No variables: an operator's record needs none."""

    needs_public_address: ClassVar[bool] = False

    @property
    def is_on(self) -> bool:
        """Whether payments by invoice are served: always."""
        return True

    @property
    def is_live(self) -> bool:
        """Whether credentials move real money: there are none, and no call is made."""
        return False

    def problems(self) -> list[str]:
        """Return no problems."""
        return []

    def make(self, context: GatewayContext) -> ManualGateway:
        """Return the gateway."""
        return ManualGateway()
