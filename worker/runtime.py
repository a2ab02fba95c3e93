"""Builds the runtime of a process from its settings: engine, clock, gateways, router, publisher."""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import replace

from celery import Celery

from domain.routing import Router
from models.breakers import ProviderHealth
from models.clock import Clock
from models.provider_tokens import DatabaseTokens
from models.session import make_engine
from notifications.mail_service import MailService
from notifications.mailer import Mailer
from notifications.render import read_templates
from notifications.smtp_address import read_sender, read_smtp_url
from runtime import Runtime
from runtime.calendars import BankCalendar
from runtime.leases import LeaseKeeper
from worker.publisher import Publisher
from worker.sandbox_clock import SandboxClock
from worker.settings import ProcessSettings, Settings, load_settings

_log = logging.getLogger(__name__)
_runtime: Runtime | None = None
_lock = threading.Lock()


def make_runtime(app: Celery) -> Runtime:
    """Return the runtime of this process; the first call builds it."""
    global _runtime
    if _runtime is None:
        with _lock:
            if _runtime is None:
                _runtime = _build(app, load_settings())
    return _runtime


def _reset() -> None:
    global _runtime, _lock
    _runtime, _lock = None, threading.Lock()


# A child that used its parent's connections would mix its statements with the parent's on the same sockets.
os.register_at_fork(after_in_child=_reset)


def _build(app: Celery, settings: Settings) -> Runtime:
    process, stripe = settings.process, settings.stripe
    engine = make_engine(process.database_url)
    clock = Clock(engine, SandboxClock(stripe.stripe_api_base) if stripe.is_sandbox else None)
    gateways = settings.gateways(DatabaseTokens(engine))
    health = ProviderHealth(engine, clock, process.policy.breaker)
    return Runtime(
        engine=engine,
        clock=clock,
        gateways=gateways,
        router=Router(gateways, process.routing_rules, health.down, settings.disabled_methods),
        policy=replace(process.policy, calendar=BankCalendar()),
        leases=LeaseKeeper(engine, clock),
        publish=Publisher(app).publish,
        mail=_mail_service(process, clock),
        missing_for_mail=process.missing_for_mail,
        pay_links=process.pay_links,
        places=process.places,
    )


def _mail_service(process: ProcessSettings, clock: Clock) -> MailService | None:
    """Return what mail is sent with; None if mails are off, or a setting is missing, which the log says."""
    if not process.dunning_email_enabled:
        return None
    if process.missing_for_mail:
        _log.warning("no mail is sent: %s is missing", ", ".join(process.missing_for_mail))
        return None
    mailer = Mailer(read_smtp_url(process.smtp_url), read_sender(process.mail_from))
    links = process.pay_links

    def link(application: str, invoice_id: str | None) -> str:
        return links.make(application, invoice_id, clock.now())[0] if links and invoice_id else process.public_url

    def method(row_id: str) -> str:
        return links.make_method(row_id, clock.now()) if links else process.public_url

    unsubscribe = links.make_unsubscribe if links else None
    return MailService(mailer, read_templates(process.mail_templates_dir), link, unsubscribe, method)
