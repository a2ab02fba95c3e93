"""What a process works with, whichever edge it serves: the `Runtime`, and leases on attempts in flight."""

from runtime.runtime import Runtime

__all__ = ["Runtime"]
