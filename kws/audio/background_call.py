"""Call what may hang, such as a sound server that does not answer, without hanging with it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

Result = TypeVar("Result")


class BackgroundCall(Generic[Result]):
    """One call in a daemon thread of its own.

    A thread that hangs inside a library does not keep the process from ending.

    Parameters
    ----------
    function : callable
        What to call.
    ready : Event
        Set once the call has returned or raised.
    """

    def __init__(self, function: Callable[[], Result], ready: threading.Event) -> None:
        self._function = function
        self._ready = ready
        self._result: Result | None = None
        self._error: BaseException | None = None
        self.done = False
        """True once the call has returned or raised."""

        self._thread = threading.Thread(target=self._run, name="kws-device", daemon=True)
        self._thread.start()

    def result(self) -> Result:
        """Return what the call returned, or raise what it raised; only once `done`."""
        assert self.done
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]

    def join(self, timeout_s: float) -> bool:
        """Wait for the end of the call; return `done`."""
        self._thread.join(timeout_s)
        return self.done

    def _run(self) -> None:
        try:
            self._result = self._function()
        except BaseException as error:  # The caller gets it, whatever it is.
            self._error = error
        self.done = True
        self._ready.set()
