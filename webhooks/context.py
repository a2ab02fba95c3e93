"""What the HTTP edge works with: the process's runtime, and what only HTTP needs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from flask import current_app, request

from runtime import Runtime

PREFIX = "/api/v1/payments"


@dataclass(frozen=True, slots=True)
class WebContext:
    """`check_broker`: raises when the broker does not respond. `publishable_key`: the key that a front end may see.
    `public_url`: our address as providers and customers reach it; empty: the host that a request names.
    `test_front_end`: where a sandbox has the form that stands for its provider's front end; empty with a real one."""

    runtime: Runtime
    check_broker: Callable[[], None]
    publishable_key: str | None = None
    public_url: str = ""
    test_front_end: str = ""

    def test_address(
        self, reference: str, client_secret: str, return_url: str, cancel_url: str, *, is_setup: bool = False
    ) -> str:
        """Return the address of the sandbox's form for an intent, or a setup. Only test money has its secret in an
        address."""
        place = f"setups/{reference}" if is_setup else reference
        query = {"client_secret": client_secret, "return_url": return_url, "cancel_url": cancel_url}
        return f"{self.test_front_end}/{place}?{urlencode(query)}"


def context() -> WebContext:
    """Return the context of the application that handles this request."""
    found: WebContext = current_app.extensions["celeriac"]
    return found


def runtime() -> Runtime:
    """Return the runtime of the process that handles this request."""
    return context().runtime


def own_address() -> str:
    """Return our address as the outside reaches it, without a path."""
    return context().public_url.rstrip("/") or request.host_url.rstrip("/")
