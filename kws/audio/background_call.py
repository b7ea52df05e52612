"""Call what may hang, such as a sound server that does not answer, without hanging with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from kws.audio.wake_event import WakeEvent

Result = TypeVar("Result")


class PatientCall(Generic[Result]):
    """One call in a daemon thread of its own.

    A thread that hangs inside a library can be waited for, or left behind; it keeps neither a
    signal from being handled nor the process from ending.

    Parameters
    ----------
    function : callable
        What to call.
    ready : WakeEvent
        Set once the call has returned or raised.
    """

    def __init__(self, function: Callable[[], Result], ready: WakeEvent) -> None:
        self._function = function
        self._ready = ready
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.done = False
        """True once `result` has something to say."""

        self._thread = threading.Thread(target=self._run, name="kws-device", daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """Return what the call returned, or raise what it raised; once `done`."""
        assert self.done
        # It has nothing left to do; whoever looks at the threads now shall not find it.
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the call; return whether it has come."""
        self._thread.join(timeout_s)
        return self.done

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # The caller gets it, whatever it is.
            self._error = error
        self.done = True
        self._ready.set()
