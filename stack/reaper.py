"""Kills what its owner started, once the owner is gone; the only part that outlives a kill -9 of the owner.

Reads `+group` and `-group` lines until standard input ends, which it does with the owner, however that ends.
Run as a file, standard library only, so that it starts in milliseconds.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Follow the owner's process groups and kill those left at its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
