"""Start programs that obey Ctrl-C, also where the tests themselves ignore it (nohup, `make &`)."""

from __future__ import annotations

import signal


def obey_interrupts() -> None:
    """Restore the default of SIGINT: `preexec_fn` of a program that a test interrupts."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
