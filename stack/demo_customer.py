"""A customer of the demo who has got a mail about a debt, and pays from its link as their browser would."""

from __future__ import annotations

import html
import re

import requests

from stack.client import REQUEST_SECONDS, Provider, UnexpectedResult
from stack.process import wait_until

MAIL_SECONDS = 30
_POLL_SECONDS = 0.2
_LINK = re.compile(r"https?://\S+/pay/\S+")
_FORM = re.compile(r'name="form" value="([^"]+)"')
_TEST_FORM = re.compile(r'class="button" href="([^"]+)"')


def wait_for_link(provider: Provider, address: str) -> str:
    """Wait for a mail to the address that has a link to the page of a debt; return the link of the newest one."""
    links: list[str] = []

    def has_come() -> bool:
        texts = [mail["text"] for mail in provider.mails() if address in mail["to"]]
        links[:] = [found[0] for text in texts if (found := _LINK.search(text))]
        return bool(links)

    if not wait_until(has_come, MAIL_SECONDS, _POLL_SECONDS):
        raise UnexpectedResult(f"{address} got no mail with a link within {MAIL_SECONDS} seconds")
    return links[-1]


def pay_by_new_card(link: str) -> None:
    """Open the page of a debt, and pay by a card that the customer enters there and lets it keep."""
    with requests.Session() as session:
        form = _found(_FORM, session.get(link, timeout=REQUEST_SECONDS))
        chosen = {"form": form, "action": "add", "save": "1"}
        page = session.post(link, data=chosen, timeout=REQUEST_SECONDS)
        paid = session.post(_found(_TEST_FORM, page), data={"card": "visa"}, timeout=REQUEST_SECONDS)
        if not paid.ok:
            raise UnexpectedResult(f"the page of the debt ended with {paid.status_code}: {paid.text[:300]}")


def _found(wanted: re.Pattern[str], page: requests.Response) -> str:
    found = wanted.search(page.text)
    if not page.ok or found is None:
        raise UnexpectedResult(f"the page of a debt lets nobody pay ({page.status_code}): {page.text[:300]}")
    return html.unescape(found[1])
