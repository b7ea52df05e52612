"""The one call into the sound server that goes on: begun, watched, waited for, left behind."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from kws.audio.audio_system import AudioSystem
from kws.audio.background_call import PatientCall
from kws.audio.wake_event import WakeEvent

logger = logging.getLogger(__name__)
CLOSE_TIMEOUT_S = 0.4


class DeviceCalls:
    """Make one call at a time that may hang, beside the thread that listens.

    Used by one thread.

    Parameters
    ----------
    system : AudioSystem
        Makes the calls, and has the time.
    ready : WakeEvent
        Set at the end of each.
    """

    def __init__(self, system: AudioSystem, ready: WakeEvent) -> None:
        self._system = system
        self._ready = ready
        self._beginning = False
        self._began_at = 0.0
        self.call: PatientCall[Any] | None = None
        """The one that goes on, or whose result nobody has taken yet."""

    @property
    def age_s(self) -> float:
        """Return how long the last one has gone on by now."""
        return self._system.now() - self._began_at

    def begin(self, function: Callable[[], Any]) -> PatientCall[Any]:
        """Start a call that may hang, and keep it."""
        self._began_at = self._system.now()
        self._beginning = True
        call = self.call = self._system.call(function, self._ready)
        self._beginning = False
        return call

    def wait(self, call: PatientCall[Any], timeout_s: float) -> bool:
        """Wait for the end of a call, or for whoever sets `ready`; return whether it is over."""
        if not call.done:
            self._system.wait(self._ready, timeout_s)
            self._ready.clear()
        return call.done

    def take(self, call: PatientCall[Any]) -> Any:
        """Return what a call that is over returned, or raise what it raised; it is forgotten."""
        self.call = None
        return call.result()

    def finish(self) -> PatientCall[Any] | None:
        """Wait a moment for the call, and forget it; one that hangs is left behind.

        Returns
        -------
        call : PatientCall or None
            The call if it is over.
        """
        call, self.call = self.call, None
        if call is None:
            if self._beginning:
                # An interrupt came between its start and the moment at which it was kept.
                self._system.give_up()
            return None
        over = False
        try:
            over = call.join(CLOSE_TIMEOUT_S)
        finally:
            # Also where a second interrupt ends the wait.
            if not over:
                self._system.give_up()
        if over:
            return call
        logger.warning("the sound server does not answer; its stream is left behind")
        return None
