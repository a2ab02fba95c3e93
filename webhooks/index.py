"""The page at `/`: what this process is, and which paths it has. Needs no API key and shows no configuration."""

from __future__ import annotations

from flask import Blueprint, Response, jsonify, request
from markupsafe import Markup

from webhooks.context import PREFIX

blueprint = Blueprint("index", __name__)

_ABOUT = "Celeriac, a payment processing system: the HTTP API, and the receiver of the providers' webhooks."
_DOCUMENTATION = "README.md and the folder docs/ of the source code"
_PATHS = {
    "/healthz": "whether the process is alive",
    "/readyz": "whether the database and the broker respond, and which providers are on",
    PREFIX: "the API; send the header Authorization: Bearer <API key>",
}
_PAGE = Markup("""\
<!doctype html>
<html lang="en">
<title>Celeriac</title>
<p>{about}</p>
<ul>
{items}
</ul>
<p>Documentation: {documentation}</p>
</html>
""")
_ITEM = Markup('<li><a href="{path}">{path}</a>: {purpose}</li>')


@blueprint.get("/")
def show_index() -> Response:
    """Show the page as HTML to a browser, as JSON to everything else."""
    if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
        items = Markup("\n").join(_ITEM.format(path=path, purpose=purpose) for path, purpose in _PATHS.items())
        page = _PAGE.format(about=_ABOUT, items=items, documentation=_DOCUMENTATION)
        response = Response(page, content_type="text/html; charset=utf-8")
    else:
        response = jsonify({"about": _ABOUT, "paths": _PATHS, "documentation": _DOCUMENTATION})
    # Without it a shared cache could give a browser the JSON, and a program the page.
    response.headers["Vary"] = "Accept"
    return response
