"""Kills the process groups that its parent started, once the parent has ended, even if SIGKILL ended the parent.

Reads lines from standard input: `+group` adds a process group, `-group` removes it. Standard input closes when the
parent ends. Runs as a file with the standard library only, so that it starts in milliseconds.
"""

import contextlib
import os
import signal
import sys


def main() -> None:
    """Keep the list of the parent's process groups, and kill those that are left when the parent has ended."""
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
