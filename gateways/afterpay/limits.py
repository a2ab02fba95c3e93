"""How little and how much one Afterpay order may be: the account's own, read once a day."""

from __future__ import annotations

import time

from gateways.afterpay.client import AfterpayClient
from gateways.afterpay.responses import minor_units, reason_of
from gateways.base import GatewayError
from gateways.failures import CallFailed
from gateways.json_api import MALFORMED

# The limits seldom change; Afterpay asks to read them once a day (docs: get configuration).
_KEPT_SECONDS = 86_400


class Limits:
    """The limits of one account, in minor units of its currency. Safe to share between threads."""

    def __init__(self, api: AfterpayClient, currency: str) -> None:
        self._api = api
        self._currency = currency
        self._kept: tuple[float, tuple[int, int]] | None = None

    def kept(self) -> tuple[int, int]:
        """Return the least and the most, as read within the last day. Raises GatewayError."""
        kept, now = self._kept, time.monotonic()
        if kept is None or kept[0] <= now:
            kept = self._kept = (now + _KEPT_SECONDS, self.read())
        return kept[1]

    def read(self) -> tuple[int, int]:
        """Ask for the least and the most. Raises GatewayError."""
        try:
            response = self._api.get("/configuration")
        except CallFailed as failure:
            raise GatewayError(f"Afterpay does not answer ({failure.reason})") from None
        if response.status != 200:
            raise GatewayError(f"Afterpay refuses to be asked ({reason_of(response)}); check AFTERPAY_MERCHANT_ID")
        # An account without a minimum has none in its answer.
        least, most = response.fields.get("minimumAmount"), response.fields.get("maximumAmount")
        try:
            return minor_units(least, self._currency) if least else 1, minor_units(most, self._currency)
        except MALFORMED:
            raise GatewayError(f"Afterpay's limits are not in {self._currency}; check AFTERPAY_REGION") from None
