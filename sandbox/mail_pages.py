"""The mails that the sandbox's mail server has kept: a page at `/mail` for people, and the control routes for tests."""

from __future__ import annotations

from email.message import EmailMessage
from typing import Any

from flask import Blueprint, Flask, Response, abort, jsonify
from markupsafe import escape

from sandbox.control_request import choice, is_count, refuse, request_body
from sandbox.mail_server import STEPS, Mailbox

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 2rem auto; padding: 0 1rem }}
  h1 {{ font-size: 1.2rem }} li {{ margin: 0 0 .75rem }} small {{ color: #555 }}
  iframe {{ width: 100%; height: 36rem; border: 1px solid #ccc }}
  pre {{ white-space: pre-wrap; background: #f4f4f4; padding: 1rem }} div, pre {{ overflow-wrap: anywhere }}
</style>
<h1>{title}</h1>
{content}
"""
# A mail is shown as a mail program does: no script, nothing loaded from elsewhere.
_SAFE = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
# The page behind a link runs as outside of the frame, or its forms would not be sent.
_POPUPS = "allow-popups allow-popups-to-escape-sandbox"
_SHOWN_HEADERS = ("From", "To", "Subject", "Date", "Message-ID", "List-Unsubscribe", "List-Unsubscribe-Post")


def register(app: Flask, mailbox: Mailbox) -> None:
    """Add the pages and the control routes."""
    app.register_blueprint(_pages(mailbox))
    app.register_blueprint(_control(mailbox))


def _pages(mailbox: Mailbox) -> Blueprint:
    routes = Blueprint("mail", __name__)

    @routes.get("/mail")
    def list_mails() -> str:
        rows = [_row(number, mail) for number, mail in enumerate(mailbox.mails)]
        content = f"<ol reversed>{''.join(reversed(rows))}</ol>" if rows else "<p>No mail was sent so far.</p>"
        return _PAGE.format(title="Mails that were sent", content=content)

    @routes.get("/mail/<int:number>")
    def show_mail(number: int) -> str:
        mail = _find(mailbox, number)
        head = "".join(
            f"<div><small>{name}</small> {escape(mail[name])}</div>"
            for name in _SHOWN_HEADERS
            if mail[name] is not None
        )
        frame = f'<iframe src="/mail/{number}/html" sandbox="{_POPUPS}" title="HTML"></iframe>'
        text = f"<pre>{escape(part_of(mail, 'plain'))}</pre>"
        back = '<p><a href="/mail">All mails</a></p>'
        return _PAGE.format(
            title=escape(mail["Subject"] or ""), content=f"{head}<h2>HTML</h2>{frame}<h2>Text</h2>{text}{back}"
        )

    @routes.get("/mail/<int:number>/html")
    def show_html(number: int) -> Response:
        # A link opens a page of its own, as in a mail program: pages of the customer refuse to be shown in a frame.
        shown = part_of(_find(mailbox, number), "html").replace("<head>", '<head><base target="_blank">', 1)
        return Response(shown, content_type="text/html; charset=utf-8", headers=_SAFE)

    @routes.get("/mail/<int:number>/text")
    def show_text(number: int) -> Response:
        return Response(part_of(_find(mailbox, number), "plain"), content_type="text/plain; charset=utf-8")

    return routes


def _control(mailbox: Mailbox) -> Blueprint:
    routes = Blueprint("mail_control", __name__, url_prefix="/_sandbox/mail")

    @routes.get("")
    def read_mails() -> Response:
        """List the mails that were accepted, oldest first."""
        quit_after = mailbox.quit_after
        mails = [
            _view(mail) | {"quit_after_seconds": quit_after.get(number)} for number, mail in enumerate(mailbox.mails)
        ]
        return jsonify(mails=mails)

    @routes.post("/responses")
    def order_response() -> Response:
        """Let the mail server respond otherwise: `step`, `response` such as "550 5.1.1 no such mailbox", `times`."""
        body = request_body("step", "response", "times")
        step, response, times = choice(body, "step", STEPS), body.get("response"), body.get("times", 1)
        if not isinstance(response, str) or not response.isascii() or not response.isprintable() or not response:
            refuse('response must be a line such as "550 5.1.1 no such mailbox", or "hang up"')
        if not is_count(times):
            refuse("times must be a whole number from 1")
        mailbox.order(step, response, times)
        return jsonify(ordered=True)

    @routes.delete("/responses")
    def forget_responses() -> Response:
        """Let the mail server accept everything again."""
        mailbox.forget_orders()
        return jsonify(ordered=False)

    return routes


def part_of(mail: EmailMessage, kind: str) -> str:
    """Return the part of a mail that is plain text or HTML, empty if it has none."""
    part = mail.get_body((kind,))
    return str(part.get_content()) if part is not None else ""


def _find(mailbox: Mailbox, number: int) -> EmailMessage:
    mails = mailbox.mails
    if number >= len(mails):
        abort(404)
    return mails[number]


def _row(number: int, mail: EmailMessage) -> str:
    about = f"<small>{escape(mail['To'])}, {escape(mail['Date'])}</small>"
    return f'<li><a href="/mail/{number}">{escape(mail["Subject"] or "")}</a><br>{about}</li>'


def _view(mail: EmailMessage) -> dict[str, Any]:
    headers = {name.lower().replace("-", "_"): mail[name] and str(mail[name]) for name in _SHOWN_HEADERS}
    return headers | {"text": part_of(mail, "plain"), "html": part_of(mail, "html")}
