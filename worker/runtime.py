"""Builds the runtime of a process from its settings: engine, clock, gateways, router, publisher."""

from __future__ import annotations

import os
import threading

from celery import Celery

from domain.routing import Router
from models.breakers import ProviderHealth
from models.clock import Clock
from models.provider_tokens import DatabaseTokens
from models.session import make_engine
from runtime import Runtime
from runtime.leases import LeaseKeeper
from worker.publisher import Publisher
from worker.sandbox_clock import SandboxClock
from worker.settings import Settings, load_settings

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
        policy=process.policy,
        leases=LeaseKeeper(engine, clock),
        publish=Publisher(app).publish,
        pay_links=process.pay_links,
    )
