"""A real browser without a window: Chromium, driven by its own chromedriver over the WebDriver protocol.

https://www.w3.org/TR/webdriver2/. Requests say all that the tests need, so that no client library has to be kept."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from stack.process import free_port, wait_until
from stack.servers import find_chromium
from tests.patience import patient

_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
_POLL_SECONDS = 0.05
# A narrow phone.
PHONE = (360, 740)


class Browser:
    """A browser with one window of a phone's size."""

    def __init__(self, driver: str, browser: str, language: str) -> None:
        self._driver = driver
        switches = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        options = {"binary": browser, "args": [*switches, f"--window-size={PHONE[0]},{PHONE[1]}"]}
        options["mobileEmulation"] = {"deviceMetrics": {"width": PHONE[0], "height": PHONE[1], "pixelRatio": 2.0}}
        options["prefs"] = {"intl.accept_languages": language}
        # What the console says, such as a violation of the page's own policy.
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        self._session = f"/session/{self._call('POST', '/session', capabilities={'alwaysMatch': wanted})['sessionId']}"

    def open(self, url: str) -> None:
        """Open an address."""
        self._here("POST", "/url", url=url)

    def reload(self) -> None:
        """Load the page again, and send its form again if it came from one."""
        self._here("POST", "/refresh")

    def run(self, script: str, *given: Any) -> Any:
        """Run a script in the page; return its result."""
        return self._here("POST", "/execute/sync", script=script, args=list(given))

    @property
    def url(self) -> str:
        """The address of the page."""
        return str(self._here("GET", "/url"))

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return str(self.run("return document.body ? document.body.innerText : ''"))

    def click(self, words: str) -> None:
        """Click on a button, a link or a label with these words."""
        # A space that must not break a line is one to the reader.
        text = "translate(normalize-space(), '\u00a0', ' ')"
        path = f"//*[self::button or self::a or self::label][contains({text}, '{words}')]"
        found = self._here("POST", "/element", using="xpath", value=path)[_ELEMENT]
        self._here("POST", f"/element/{found}/click")

    def choose(self, words: str) -> None:
        """Choose from a list by the words of the option."""
        found = self._here("POST", "/element", using="xpath", value=f"//option[contains(., '{words}')]")[_ELEMENT]
        self._here("POST", f"/element/{found}/click")

    def wait_for(self, words: str) -> str:
        """Wait until the page has these words; return all that it says."""
        assert wait_until(lambda: words in self._calm_text(), patient(30), poll_seconds=_POLL_SECONDS), self.text
        return self.text

    def press_key(self, key: str) -> None:
        """Press a key, as somebody without a mouse does."""
        keys = [{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]
        self._here("POST", "/actions", actions=[{"type": "key", "id": "keyboard", "actions": keys}])

    def complaints(self, address: str) -> list[str]:
        """Return what the browser has complained about pages of an address: violations of a policy, failed loads."""
        entries = self._here("POST", "/se/log", type="browser")
        messages = [str(entry["message"]) for entry in entries if entry["level"] in ("SEVERE", "WARNING")]
        return [message for message in messages if address in message]

    def screenshot(self) -> bytes:
        """Return a picture of what is seen, as PNG."""
        return base64.b64decode(self._here("GET", "/screenshot"))

    def _calm_text(self) -> str:
        # While a page is replaced by the next one there is no text to read.
        try:
            return self.text
        except AssertionError:
            return ""

    def _here(self, method: str, path: str, **body: Any) -> Any:
        return self._call(method, self._session + path, **body)

    def _call(self, method: str, path: str, **body: Any) -> Any:
        sent = body if method == "POST" else None
        value = requests.request(method, self._driver + path, json=sent, timeout=patient(60)).json()["value"]
        assert not (isinstance(value, dict) and "error" in value), value
        return value

    def quit(self) -> None:
        """Close the window."""
        self._here("DELETE", "")


@contextmanager
def open_browser(language: str = "en") -> Iterator[Browser]:
    """Open a browser that asks for pages in a language."""
    found = find_chromium()
    assert found, "no Chromium is found: install the packages chromium and chromium-driver"
    port = free_port()
    process = subprocess.Popen([found[1], f"--port={port}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        assert wait_until(lambda: _is_ready(port), patient(30), poll_seconds=_POLL_SECONDS)
        browser = Browser(f"http://127.0.0.1:{port}", found[0], language)
        try:
            yield browser
        finally:
            browser.quit()
    finally:
        process.terminate()
        process.wait()


def _is_ready(port: int) -> bool:
    try:
        return bool(requests.get(f"http://127.0.0.1:{port}/status", timeout=1).json()["value"]["ready"])
    except requests.RequestException:
        return False
