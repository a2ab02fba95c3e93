"""A customer with a browser that knows no JavaScript: follows redirects, links and forms, ours and the sandbox's."""

from __future__ import annotations

from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import requests

from tests.patience import patient
from tests.system import OWN_URL, System

_MOST_REDIRECTS = 10


@dataclass
class Form:
    """A form of a page: where it posts to, the fields that it sends by itself, and its buttons by their text."""

    action: str = ""
    fields: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)
    buttons: dict[str, tuple[str | None, str]] = field(default_factory=dict)


class Page(HTMLParser):
    """What a page shows and offers."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html, self.text, self.refresh, self.language = html, "", None, ""
        self.forms: list[Form] = []
        self.links: dict[str, str] = {}
        self._inside: list[tuple[str, dict[str, Any]]] = []
        self._words = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag begins."""
        named = dict(attrs)
        match tag:
            case "html":
                self.language = named.get("lang") or ""
            case "meta" if named.get("http-equiv") == "refresh":
                self.refresh = str(named["content"]).partition("url=")[2]
            case "form":
                self.forms.append(Form(named.get("action") or ""))
            case "input" if named.get("type") == "radio":
                name, value = str(named["name"]), str(named["value"])
                self.forms[-1].choices.setdefault(name, []).append(value)
                if "checked" in named:
                    self.forms[-1].fields[name] = value
            case "input" if named.get("type") == "checkbox":
                self.forms[-1].choices.setdefault(str(named["name"]), []).append(str(named["value"]))
            case "input":
                self.forms[-1].fields[str(named["name"])] = named.get("value") or ""
            case "option":
                self.forms[-1].choices.setdefault("card", []).append(str(named["value"]))
            case "button" | "a":
                self._inside.append((tag, named))
                self._words = ""

    def handle_data(self, data: str) -> None:
        """Note what a person reads."""
        is_code = self.lasttag in ("style", "script")
        self.text += "" if is_code else data
        self._words += data

    def handle_endtag(self, tag: str) -> None:
        """Note the words on a button or a link."""
        if tag in ("button", "a"):
            _, named = self._inside.pop()
            words = " ".join(self._words.split())
            if tag == "a":
                self.links[words] = str(named["href"])
            else:
                self.forms[-1].buttons[words] = (named.get("name"), named.get("value") or "")


class Customer:
    """Somebody who opens a link. `page`, `status`, `headers`, `url`: of what they see now."""

    def __init__(self, system: System, **headers: str) -> None:
        self._client = system.client.application.test_client()
        self._provider = requests.Session()
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.url, self.status, self.headers, self.page = "", 0, {}, Page("")

    def open(self, url: str) -> Page:
        """Open an address as a click in a mail does, and follow redirects."""
        return self._go("GET", url, None)

    def follow(self, words: str) -> Page:
        """Click on a link."""
        return self._go("GET", self.page.links[words], None)

    def press(self, words: str, **fields: str) -> Page:
        """Fill a form in and press one of its buttons."""
        form, data = self.filled(words, **fields)
        return self._go("POST", form.action, data)

    def filled(self, words: str, **fields: str) -> tuple[Form, dict[str, str]]:
        """Return the form that has a button, and what pressing it sends."""
        [form] = [form for form in self.page.forms if words in form.buttons]
        name, value = form.buttons[words]
        return form, form.fields | fields | ({name: value} if name else {})

    def renew(self) -> Page:
        """Let the page renew itself, as it says."""
        assert self.page.refresh, self.page.text
        return self._go("GET", self.page.refresh, None)

    def _go(self, method: str, address: str, data: dict[str, str] | None) -> Page:
        target = urljoin(self.url, address)
        for _ in range(_MOST_REDIRECTS):
            status, headers, html = self._send(method, target, data)
            self.url, self.status, self.headers = target, status, headers
            if status not in (301, 302, 303, 307):
                self.page = Page(html)
                return self.page
            method, data, target = "GET", None, urljoin(target, headers["Location"])
        raise AssertionError(f"redirected without an end to {target}")

    def _send(self, method: str, url: str, data: dict[str, str] | None) -> tuple[int, dict[str, str], str]:
        own = url.replace("https://pay.example", OWN_URL)
        if own.startswith(OWN_URL):
            site = {"Sec-Fetch-Site": "same-origin"} if method == "POST" else {}
            path = own.removeprefix(OWN_URL)
            response = self._client.open(path, method=method, data=data, headers=self._headers | site)
            return response.status_code, dict(response.headers), response.text
        found = self._provider.request(method, url, data=data, allow_redirects=False, timeout=patient(10))
        return found.status_code, dict(found.headers), found.text
