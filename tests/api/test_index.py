"""The page at `/`, which needs neither an API key nor a database."""

from __future__ import annotations

from typing import cast

import pytest
from flask.testing import FlaskClient

from runtime import Runtime
from webhooks.app import create_app
from webhooks.context import PREFIX, WebContext

PATHS = {"/healthz", "/readyz", PREFIX}


@pytest.fixture
def client() -> FlaskClient:
    """The HTTP application without a runtime: a page that used one would fail."""
    context = WebContext(
        cast(Runtime, None), lambda: None, publishable_key="pk_test_canary", public_url="https://canary"
    )
    return create_app(context).test_client()


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/html;q=0.5"])
def test_a_program_gets_json_with_every_path(client: FlaskClient, accept: str) -> None:
    response = client.get("/", headers={"Accept": accept})
    assert (response.status_code, response.content_type) == (200, "application/json")
    assert set(response.json["paths"]) == PATHS
    assert response.headers["Vary"] == "Accept"


def test_a_browser_gets_a_page_with_a_link_to_every_path(client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8")
    assert all(f'<a href="{path}">' in response.text for path in PATHS)
    assert "Bearer &lt;API key&gt;" in response.text


@pytest.mark.parametrize("accept", ["*/*", "text/html"])
def test_the_page_shows_no_configuration(client: FlaskClient, accept: str) -> None:
    assert "canary" not in client.get("/", headers={"Accept": accept}).text


def test_the_page_can_only_be_read(client: FlaskClient) -> None:
    assert client.post("/").status_code == 405
