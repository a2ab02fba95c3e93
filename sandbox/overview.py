"""The overview at `/`: the simulated providers, their base URLs, and every control route with its purpose."""

from __future__ import annotations

import json
from collections.abc import Iterator

from flask import Flask, Response, request

from sandbox.control import PREFIX
from sandbox.state import Sandbox


def register(app: Flask, sandbox: Sandbox) -> None:
    """Add the route `/`. Call last: it lists the routes that exist then."""
    control_routes = list(_control_routes(app))

    @app.get("/")
    def show_overview() -> Response:
        base = request.host_url.rstrip("/")
        overview = {
            "about": "A sandbox that simulates payment providers. No money moves.",
            "providers": {provider.provider: base + provider.prefix for provider in sandbox.providers},
            "operations": f"{base}/_sandbox/operations",
            "mail": f"{base}/mail",
            "control": control_routes,
        }
        # Indented, because people read it.
        return Response(json.dumps(overview, indent=2) + "\n", content_type="application/json")


def _control_routes(app: Flask) -> Iterator[dict[str, str]]:
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.rule.startswith(PREFIX):
            purpose = (app.view_functions[rule.endpoint].__doc__ or "").strip().partition("\n")[0]
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                yield {"method": method, "path": rule.rule, "purpose": purpose}
