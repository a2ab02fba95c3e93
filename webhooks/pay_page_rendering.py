"""Renders the page of a debt: language, headers, and a kind page for every refusal."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from typing import Any

from flask import Blueprint, g, make_response, render_template, request
from sqlalchemy.exc import DBAPIError, TimeoutError
from werkzeug.wrappers import Response

from domain.declines.wording import sentence
from domain.wording import day_text
from gateways.base import GatewayError
from gateways.capabilities import SavedMethod
from models.pay_page import Debt
from webhooks.pay_page_texts import LANGUAGES, TEXTS, amount_text, method_text

_log = logging.getLogger(__name__)

# What the provider's library loads, sends and shows (docs.stripe.com/security/guide, Content Security Policy).
_FRONT_END = (
    "script-src 'nonce-{nonce}' https://js.stripe.com https://*.js.stripe.com; "
    "frame-src https://js.stripe.com https://*.js.stripe.com https://hooks.stripe.com; "
    "connect-src https://api.stripe.com; img-src data: https://*.stripe.com; "
)
# The page's own icon is empty, so that no browser asks for one.
_ICON = "img-src data:; "
_POLICY = "default-src 'none'; style-src 'nonce-{nonce}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


class PageRefused(Exception):
    """The page shows only why nothing can be paid. `reason`: the name of its text. `again`: where to try again."""

    def __init__(self, reason: str, status: int, again: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.status, self.again = reason, status, again


def language() -> str:
    """Return the language of the page: of the address, else of the browser."""
    asked = request.args.get("lang")
    return asked if asked in LANGUAGES else request.accept_languages.best_match(LANGUAGES, next(iter(LANGUAGES)))


def amount(debt: Debt) -> str:
    """Return what is owed, as people write it."""
    return amount_text(language(), debt.position.outstanding, debt.position.currency)


def agreement() -> str:
    """Return the words by which a customer agrees that a method is kept."""
    return TEXTS[language()]["save"]


def card_agreement() -> str:
    """Return the words by which a customer agrees that a card is kept, and charged from then on."""
    return TEXTS[language()]["card_agreed"]


def render_expiry(about: Mapping[str, Any]) -> Response:
    """Return the page of a card that expires. `about`: its `card` and `expires`, as people read them."""
    texts = TEXTS[language()]
    message = texts["card_expires"].format(card=about.get("card") or "", expires=about.get("expires", ""))
    return _response("card", 200, title=texts["card_title"], message=" ".join(message.split()))


def render_card_form(**values: Any) -> Response:
    """Return the page on which a card is entered in the provider's front end."""
    g.has_front_end = not values.get("test_form")
    return _response("card_form", 200, title=TEXTS[language()]["card_title"], **values)


def describe(method: SavedMethod, name: str, *, is_first: bool) -> dict[str, Any]:
    """Return a saved method as the page shows it. `name`: by which the form names it. `is_first`: chosen already."""
    text = method_text(language(), method.kind, method.brand, method.last4, method.expires)
    return {"name": name, "text": text, "is_first": is_first}


def render(template: str, debt: Debt, status: int = 200, *, note: str | None = None, **values: Any) -> Response:
    """Return a page about what is owed. `note`: the name of the text that stands out."""
    texts = TEXTS[language()]
    g.has_front_end = bool(values.get("client_secret")) and not values.get("test_form")
    return _response(
        template,
        status,
        title=texts["title"].format(amount=amount(debt)),
        amount=amount(debt),
        description=debt.description,
        reference=texts["reference"].format(invoice=debt.invoice_id),
        due=debt.due_at and texts["due"].format(day=day_text(debt.due_at, language())),
        note=note and _note(note, debt),
        **values,
    )


def _note(name: str, debt: Debt) -> str:
    """Return the text that stands out. That of a refused payment says why, as mails and banners do."""
    text = TEXTS[language()][name]
    if name != "refused":
        return text
    why = TEXTS[language()]["choose_anew"] if debt.decline is None else sentence(debt.decline, language())
    return f"{text} {why}"


def say(
    title: str,
    status: int = 200,
    *,
    debt: Debt | None = None,
    text: str | None = None,
    link_text: str = "",
    **values: Any,
) -> Response:
    """Return a page of one message: the texts `title`_title and `text`. `link`, `refresh`: addresses to go on to."""
    texts = TEXTS[language()]
    message = texts[text or title].format(amount=amount(debt) if debt else "")
    values |= {"title": texts[f"{title}_title"], "message": message, "link_text": texts.get(link_text)}
    return _response("message", status, **values)


def _response(template: str, status: int, **values: Any) -> Response:
    g.nonce = secrets.token_urlsafe(16)
    texts = {"language": language(), "texts": TEXTS[language()], "languages": LANGUAGES}
    addresses = {code: f"?lang={code}" for code in LANGUAGES}
    page = render_template(f"pay/{template}.html", nonce=g.nonce, addresses=addresses, **texts, **values)
    return make_response(page, status)


def set_headers(response: Response) -> Response:
    """Keep the page out of caches, frames and search engines, and its address out of every other site's log."""
    policy = (_FRONT_END if g.get("has_front_end") else _ICON) + _POLICY
    response.headers["Content-Security-Policy"] = policy.format(nonce=g.get("nonce", ""))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def refuse_as_page(blueprint: Blueprint) -> None:
    """Respond to every exception of a blueprint with a page for people, instead of a problem for programs."""
    blueprint.register_error_handler(PageRefused, _refused)
    for failure in (GatewayError, DBAPIError, TimeoutError):
        blueprint.register_error_handler(failure, _unavailable)
    blueprint.register_error_handler(Exception, _unexpected)


def _refused(refusal: PageRefused) -> Response:
    return say(refusal.reason, refusal.status, link=refusal.again, link_text="open_again")


def _unavailable(failure: Exception) -> Response:
    _log.error("the pay page is unavailable: %s", type(failure).__name__)
    response = say("unavailable", 503, link=request.full_path.rstrip("?"), link_text="reload")
    response.headers["Retry-After"] = "30"
    return response


def _unexpected(failure: Exception) -> Response:
    # Its address is the customer's secret, so that the log names none.
    _log.error("unexpected error of the pay page", exc_info=failure)
    return say("unavailable", 500)
