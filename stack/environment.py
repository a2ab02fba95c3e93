"""Which environment variables the processes of the stack get, and the file with which a shell gets the same ones."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from kombu.utils.url import maybe_sanitize_url
from sqlalchemy import make_url

# The application's settings begin with one of these; a test compares the list with the settings themselves.
SETTING_PREFIXES = (
    *("ACH_", "ACTION_", "AFTERPAY_", "CELERIAC_", "CELERY_", "COINBASE_", "CRYPTO_", "DATABASE_"),
    *(
        "DUNNING_",
        "FRAUD_",
        "KLARNA_",
        "LINK_",
        "MAIL_",
        "MAX_PAYMENT_",
        "PAYMENT_VELOCITY_",
        "PAYPAL_",
        "PROVIDER_",
        "PUBLIC_",
        "ROUTING_",
        "SEPA_",
        "SMTP_",
        "STRIPE_",
    ),
    "WORKER_",
)
SHELL_FILE = """\
# Source this file in a shell: it sets the variables of docs/quickstart.md, and those with which
# `celery -A worker payments` works on the running stack.
export PATH={path}:"$PATH"
{exports}
"""


def is_setting(name: str) -> bool:
    """Tell whether a variable configures the application."""
    return name.startswith(SETTING_PREFIXES)


def without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that do not configure the application."""
    return {name: value for name, value in environment.items() if not is_setting(name)}


def setting_names(environment: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that configure the application and are not empty."""
    return sorted(name for name, value in environment.items() if value and is_setting(name))


def shell_file(environment: Mapping[str, str], root: Path, more: Mapping[str, str]) -> str:
    """Return the text of a file that a POSIX shell can source: the settings in `environment`, and `more`."""
    exported = {name: environment[name] for name in setting_names(environment)} | {"PYTHONPATH": str(root), **more}
    lines = [f"export {name}={shlex.quote(value)}" for name, value in exported.items()]
    return SHELL_FILE.format(path=shlex.quote(str(Path(sys.executable).parent)), exports="\n".join(lines))


def without_password(url: str) -> str:
    """Return the URL of a database or a broker with asterisks instead of its password.

    >>> without_password("postgresql://shop:secret@db/shop"), without_password("amqp://shop:secret@mq//")
    ('postgresql://shop:***@db/shop', 'amqp://shop:**@mq//')
    """
    if url.startswith(("postgresql", "sqlite")):
        return make_url(url).render_as_string(hide_password=True)
    return str(maybe_sanitize_url(url))
