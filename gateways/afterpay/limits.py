"""The account's limits: how little and how much one Afterpay order may be, read once a day."""

from __future__ import annotations

import time

from gateways.afterpay.client import AfterpayClient
from gateways.afterpay.errors import ErrorResponse
from gateways.afterpay.responses import minor_units
from gateways.base import GatewayError
from gateways.failures import CallFailed, MalformedResponse

# The limits seldom change; Afterpay asks for one call a day (docs: get configuration).
_VALID_SECONDS = 86_400


class Limits:
    """The limits of one account, in minor units of its currency. Safe to share between threads."""

    def __init__(self, client: AfterpayClient, currency: str) -> None:
        self._client = client
        self._currency = currency
        self._cached: tuple[float, tuple[int, int]] | None = None

    def cached(self) -> tuple[int, int]:
        """Return the least and the most, as read within the last day. Raises GatewayError."""
        cached, now = self._cached, time.monotonic()
        if cached is None or cached[0] <= now:
            cached = self._cached = (now + _VALID_SECONDS, self.read())
        return cached[1]

    def read(self) -> tuple[int, int]:
        """Read the least and the most from Afterpay. Raises GatewayError."""
        try:
            limits = self._client.read_configuration()
            least = minor_units(limits.minimum_amount, self._currency) if limits.minimum_amount else 1
            return least, minor_units(limits.maximum_amount, self._currency)
        except ErrorResponse as error:
            raise GatewayError(f"Afterpay refuses the request ({error.reason}); check AFTERPAY_MERCHANT_ID") from None
        except MalformedResponse:
            raise GatewayError(f"Afterpay shows no limits in {self._currency}; check AFTERPAY_REGION") from None
        except CallFailed as failure:
            raise GatewayError(f"Afterpay does not respond ({failure.reason})") from None
