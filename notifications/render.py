"""Renders mails from templates: those that are shipped, or an operator's own in their place.

Templates cannot call anything (Jinja2's sandbox), HTML is escaped, and a variable that does not exist is an error."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    TemplateError,
    TemplateNotFound,
    TemplateSyntaxError,
    meta,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from domain.dunning.mail import Mail
from domain.wording import LANGUAGES
from notifications.mailer import Text

PARTS = ("subject.txt", "body.txt", "body.html")
_LAYOUT = "layout.html"
# What a template may use, each with a value to try it with. A text that is not known is None.
_OF_EVERY_MAIL: dict[str, Any] = {
    "language": "en",
    "sender": "The Shop",
    "name": "Ada Lovelace",
    "url": "https://pay.example.com/",
}
_OF_A_CASE = {
    "amount": "12.30 EUR",
    "invoice": "1001",
    "subscription": "sub-1",
    "next_attempt": "5 March 2026",
    "ends_on": "19 March 2026",
    "decline": "Your card has expired. Please enter the details of the new one.",
}
_OF_A_BACKUP = _OF_A_CASE | {"method": "Visa ending in 4242"}
_OF_A_CARD = {
    "card": "•••• 4242",
    "expires": "03/2026",
    "days": 14,
    "unsubscribe": "https://pay.example.com/unsubscribe",
}
_OF_ONE: dict[Mail, dict[str, Any]] = {Mail.CARD_EXPIRES_SOON: _OF_A_CARD, Mail.BACKUP_CHARGED: _OF_A_BACKUP}
VARIABLES: dict[Mail, dict[str, Any]] = {mail: _OF_EVERY_MAIL | _OF_ONE.get(mail, _OF_A_CASE) for mail in Mail}
# What may be None: the customer has given no name, or a date or the reason of a decline is not known.
_OPTIONAL = ("name", "subscription", "next_attempt", "ends_on", "decline", "card", "method", "unsubscribe")


class TemplatesInvalid(ValueError):
    """Templates that would fail when a mail is sent. Its text names file and line."""


class Templates:
    """The templates of all mails. `directory`: an operator's own, file by file in place of those that are shipped."""

    def __init__(self, directory: Path | None = None) -> None:
        shipped = PackageLoader("notifications", "templates")
        loaders: list[BaseLoader] = [FileSystemLoader(directory)] if directory is not None else []
        self._environment = ImmutableSandboxedEnvironment(
            loader=ChoiceLoader([*loaders, shipped]),
            undefined=StrictUndefined,
            autoescape=lambda name: bool(name and name.endswith(".html")),
        )

    def render(self, mail: Mail, language: str, variables: Mapping[str, Any]) -> Text:
        """Return what a mail says. `variables`: those of `VARIABLES`, with their values."""
        subject, body, html = (self._render(f"{mail}/{language}/{part}", variables) for part in PARTS)
        # A line end would begin another header.
        return Text(" ".join(subject.split()), body.strip() + "\n", html)

    def _render(self, name: str, variables: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render(variables)

    def check(self) -> None:
        """Try every mail in every language, with and without what may be missing. Raises TemplatesInvalid."""
        for name, variables in _files():
            self._check_file(name, variables)
            for missing in (dict[str, Any](), dict.fromkeys(_OPTIONAL)):
                known = {key: missing.get(key, value) for key, value in variables.items()}
                try:
                    self._render(name, known)
                except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError) as error:
                    raise TemplatesInvalid(f"{name}: {_one_line(error)}") from None

    def _check_file(self, name: str, variables: Mapping[str, Any]) -> None:
        """Look at every branch, also at those that no trial enters."""
        source = self._source(name)
        try:
            found = meta.find_undeclared_variables(self._environment.parse(source))
        except TemplateSyntaxError as error:
            raise TemplatesInvalid(f"{name}: line {error.lineno}: {_one_line(error)}") from None
        unknown = sorted(found - set(variables))
        if unknown:
            known = ", ".join(sorted(variables))
            raise TemplatesInvalid(f"{name}: unknown variable {unknown[0]}; known are {known}")

    def _source(self, name: str) -> str:
        loader = self._environment.loader
        if loader is None:
            raise AssertionError("bug: the environment was made without a loader")
        try:
            return loader.get_source(self._environment, name)[0]
        except UnicodeDecodeError:
            raise TemplatesInvalid(f"{name}: is not UTF-8") from None
        except TemplateNotFound:
            raise TemplatesInvalid(f"{name}: is missing") from None


def read_templates(directory: str) -> Templates:
    """Return the templates, an operator's directory first, and check all. Raises TemplatesInvalid."""
    if not directory:
        return Templates()
    path = Path(directory)
    if not path.is_dir():
        raise TemplatesInvalid("is no directory")
    known = {name for name, _ in _files()}
    own = {file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file()}
    unknown = sorted(name for name in own - known if not name.startswith("."))
    if unknown:
        raise TemplatesInvalid(f"{unknown[0]}: is the name of no template, such as {Mail.RECOVERED}/en/body.txt")
    templates = Templates(path)
    templates.check()
    return templates


def _files() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every template with what it may use."""
    yield _LAYOUT, _OF_EVERY_MAIL
    for mail, variables in VARIABLES.items():
        for language in LANGUAGES:
            for part in PARTS:
                yield f"{mail}/{language}/{part}", variables | {"language": language}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
