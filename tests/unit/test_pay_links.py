"""Links to the pay page: signed, ending, with secrets that rotate, and without a person's name."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from runtime.pay_links import LinkUnreadable, PayLinks

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
OLD, NEW = "o" * 32, "n" * 32


def links(*secrets: str) -> PayLinks:
    return PayLinks(secrets, "https://pay.example", timedelta(days=30))


def token_of(made_by: PayLinks, invoice: str = "inv-1") -> str:
    return made_by.make("shop", invoice, NOW)[0].rpartition("/")[2]


def test_a_link_names_the_invoice_and_its_end() -> None:
    link = links(NEW).read(token_of(links(NEW)))
    assert (link.application, link.invoice_id, link.expires_at) == ("shop", "inv-1", NOW + timedelta(days=30))


@pytest.mark.parametrize("name", ["inv/../1", "Rechnung Nº 7 €", "x" * 200])
def test_any_name_of_an_invoice_comes_back_from_an_address(name: str) -> None:
    token = token_of(links(NEW), name)
    assert links(NEW).read(token).invoice_id == name
    assert set(token) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def test_the_first_secret_signs_and_all_verify() -> None:
    rotating = links(NEW, OLD)
    assert rotating.read(token_of(links(OLD))) == rotating.read(token_of(rotating))
    assert links(NEW).read(token_of(rotating)).invoice_id == "inv-1"
    with pytest.raises(LinkUnreadable):
        links(OLD).read(token_of(rotating))
    with pytest.raises(LinkUnreadable):
        links(NEW).read(token_of(links(OLD)))


def test_every_changed_character_breaks_a_link() -> None:
    token = token_of(links(NEW))
    for place, letter in enumerate(token):
        changed = token[:place] + ("A" if letter != "A" else "B") + token[place + 1 :]
        # The last letter of a base64 text has bits that stand for nothing.
        if changed[:-1] != token[:-1]:
            with pytest.raises(LinkUnreadable):
                links(NEW).read(changed)


@pytest.mark.parametrize("token", ["", "pl_", "pl_x", "pl_.x.y", "pl_\x00", "é", "pl_é.é", "x" * 5000])
def test_what_is_no_token_is_unreadable(token: str) -> None:
    with pytest.raises(LinkUnreadable):
        links(NEW).read(token)


def test_a_form_belongs_to_its_link_and_is_no_link() -> None:
    mine, other = token_of(links(NEW)), token_of(links(NEW), "inv-2")
    form = links(NEW).sign_form(mine, [1230, "EUR", 1])
    assert links(NEW).read_form(mine, form) == [1230, "EUR", 1]
    for token, text in ((other, form), (mine, mine.removeprefix("pl_")), (mine, "")):
        with pytest.raises(LinkUnreadable):
            links(NEW).read_form(token, text)
    with pytest.raises(LinkUnreadable):
        links(NEW).read(f"pl_{form}")


def test_a_link_holds_nothing_but_names_and_an_end() -> None:
    payload = token_of(links(NEW)).removeprefix("pl_").partition(".")[0]
    text = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)).decode()
    assert text == f'["shop","inv-1",{int((NOW + timedelta(days=30)).timestamp())}]'


def test_a_links_secrets_are_not_shown() -> None:
    assert NEW not in repr(links(NEW))
