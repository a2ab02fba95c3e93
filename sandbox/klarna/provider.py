"""The Klarna classes that the sandbox serves; `sandbox.server` imports this module by its name."""

from __future__ import annotations

from sandbox.klarna.api import Klarna

PROVIDERS = (Klarna,)
