"""What a process works with, whichever edge it serves: the `Runtime`, leases, and recording a provider's outcome."""

from runtime.runtime import Runtime

__all__ = ["Runtime"]
