"""What the sandbox serves of Klarna; found by its name."""

from __future__ import annotations

from sandbox.klarna.api import Klarna

PROVIDERS = (Klarna,)
