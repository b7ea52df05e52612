"""Call what may hang, such as a sound server that does not answer, without hanging with it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from kws.audio.microphone import AudioSystem

logger = logging.getLogger(__name__)
Result = TypeVar("Result")
CLOSE_TIMEOUT_S = 0.3


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


class PendingCall:
    """The one call into the sound server that is under way, if any; used by one thread.

    Parameters
    ----------
    system : AudioSystem
        Makes the calls and keeps the time.
    ready : Event
        Set at the end of each call.
    """

    def __init__(self, system: AudioSystem, ready: threading.Event) -> None:
        self._system = system
        self._ready = ready
        self._began_at = 0.0
        self.call: BackgroundCall[Any] | None = None
        """The call whose result has not been taken yet."""

    @property
    def age_s(self) -> float:
        """Seconds since the last call was started."""
        return self._system.now() - self._began_at

    def begin(self, function: Callable[[], Any]) -> BackgroundCall[Any]:
        """Start a call that may hang."""
        self._began_at = self._system.now()
        self.call = self._system.call(function, self._ready)
        return self.call

    def wait(self, call: BackgroundCall[Any], timeout_s: float) -> bool:
        """Wait for the call, or until `ready` is set; return whether the call is done."""
        if not call.done:
            self._system.wait(self._ready, timeout_s)
            self._ready.clear()
        return call.done

    def take(self, call: BackgroundCall[Any]) -> Any:
        """Forget a call that is done; return what it returned, or raise what it raised."""
        self.call = None
        return call.result()

    def finish(self) -> BackgroundCall[Any] | None:
        """Wait briefly for the call and forget it; abandon it if it hangs.

        Returns
        -------
        call : BackgroundCall or None
            The call if it is done.
        """
        call, self.call = self.call, None
        if call is None:
            return None
        done = False
        try:
            done = call.join(CLOSE_TIMEOUT_S)
        finally:
            # Also if an interrupt ends the wait: the call must not keep the process from ending.
            if not done:
                self._system.abandon()
        if done:
            return call
        logger.warning("the sound server does not answer; its stream is abandoned")
        return None
