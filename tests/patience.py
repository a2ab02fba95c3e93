"""How long the tests wait before they fail: one factor for every deadline and for every time-out of a test.

Waits poll a condition, so a larger factor costs a passing test nothing. `CELERIAC_TEST_PATIENCE=5` suits a
machine that is five times slower.
"""

from __future__ import annotations

import os

PATIENCE = float(os.environ.get("CELERIAC_TEST_PATIENCE", "1"))


def patient(seconds: float) -> float:
    """Return a deadline of a normal machine, in seconds, stretched for this one."""
    return seconds * PATIENCE
