"""From settings to what a process works with: engine, clock, gateways, bell. Made once per process."""

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

_made: Runtime | None = None
_lock = threading.Lock()


def make_runtime(app: Celery) -> Runtime:
    """Return this process's runtime. Nothing of it is made before a fork, and nothing crosses one."""
    global _made
    if _made is None:
        with _lock:
            if _made is None:
                _made = _build(app, load_settings())
    return _made


def _forget() -> None:
    global _made, _lock
    _made, _lock = None, threading.Lock()


os.register_at_fork(after_in_child=_forget)


def _build(app: Celery, settings: Settings) -> Runtime:
    engine = make_engine(settings.database_url)
    clock = Clock(engine, SandboxClock(settings.stripe_api_base) if settings.is_sandbox else None)
    gateways = settings.gateways(DatabaseTokens(engine))
    health = ProviderHealth(engine, clock, settings.policy.breaker)
    return Runtime(
        engine=engine,
        clock=clock,
        gateways=gateways,
        router=Router(gateways, settings.rules, health.down, settings.disabled_methods),
        policy=settings.policy,
        leases=LeaseKeeper(engine, clock),
        publish=Publisher(app).publish,
    )
