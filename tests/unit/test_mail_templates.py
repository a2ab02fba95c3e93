"""The templates of the mails: all are there, escape what customers write, and an operator's own are checked."""

from __future__ import annotations

import html
import re
from itertools import product
from pathlib import Path

import pytest

from domain.dunning.mail import REMINDERS, Mail
from domain.wording import LANGUAGES
from notifications.render import PARTS, VARIABLES, Templates, TemplatesInvalid, read_templates

EVERY = list(product(Mail, LANGUAGES))


def test_the_shipped_templates_are_whole() -> None:
    Templates().check()


@pytest.mark.parametrize(("mail", "language"), EVERY)
def test_a_mail_says_the_same_as_text_and_as_html(mail: Mail, language: str) -> None:
    text = Templates().render(mail, language, VARIABLES[mail] | {"language": language})
    assert 10 < len(text.subject) < 90
    shown = html.unescape(re.sub(r"<[^>]+>", "", text.html))
    lines = [line.removesuffix(":") for line in text.body.splitlines() if not line.startswith(("https://", "--"))]
    assert [line for line in lines if line not in shown] == []
    assert ("https://" in text.body) == ("https://" in text.html)
    assert f'lang="{language}"' in text.html
    assert "None" not in text.body + text.html


@pytest.mark.parametrize(("mail", "language"), EVERY)
def test_a_name_cannot_write_html_or_a_header(mail: Mail, language: str) -> None:
    evil = VARIABLES[mail] | {"language": language, "name": "<script>x</script>", "amount": "1\r\nBcc: eve@example.com"}
    text = Templates().render(mail, language, evil)
    assert "<script>" not in text.html
    assert "\n" not in text.subject


def test_only_reminders_speak_of_unsubscribing() -> None:
    for mail in Mail:
        text = Templates().render(mail, "en", VARIABLES[mail])
        assert ("unsubscribe" in text.body) == (mail in REMINDERS)


def write(directory: Path, name: str, text: str) -> None:
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    (directory / name).write_text(text, encoding="utf-8")


def test_an_operators_file_takes_the_place_of_ours(tmp_path: Path) -> None:
    write(tmp_path, "recovered/en/subject.txt", "Paid: {{ amount }}")
    text = read_templates(str(tmp_path)).render(Mail.RECOVERED, "en", VARIABLES[Mail.RECOVERED])
    assert text.subject == "Paid: 12.30 EUR"
    assert "Thank you" in text.body


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("recovered/en/body.txt", "{{ amout }}", "unknown variable amout"),
        ("recovered/en/body.txt", "{% if name == 'x' %}{{ never }}{% endif %}", "unknown variable never"),
        ("recovered/en/body.txt", "{% if %}", "line 1"),
        ("recovered/en/body.txt", "{{ amount|money }}", "No filter named 'money'"),
        ("recovered/en/body.txt", "{{ amount.__class__.__mro__ }}", "unsafe"),
        ("recovered/en/body.txt", "{{ name.upper() }}", "None"),
        ("recovered/en/body.txt", "{% include 'secrets.txt' %}", "secrets.txt"),
        ("card_expires_soon/de/body.html", "{{ amount }}", "unknown variable amount"),
        ("layout.html", "{{ amount }}", "unknown variable amount"),
        ("recoverd/en/body.txt", "x", "is the name of no template"),
        ("recovered/fr/body.txt", "x", "is the name of no template"),
    ],
)
def test_a_template_that_would_fail_later_is_refused_at_start(
    tmp_path: Path, name: str, text: str, problem: str
) -> None:
    write(tmp_path, name, text)
    with pytest.raises(TemplatesInvalid) as refusal:
        read_templates(str(tmp_path))
    line = str(refusal.value)
    assert name in line
    assert problem in line
    assert "\n" not in line


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TemplatesInvalid):
        read_templates(str(tmp_path / "nowhere"))


def test_every_mail_has_every_part() -> None:
    folder = Path(__file__).parents[2] / "notifications" / "templates"
    found = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    assert found == {"layout.html", *(f"{mail}/{language}/{part}" for (mail, language) in EVERY for part in PARTS)}
