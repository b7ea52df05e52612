"""Calls that may hang, and C libraries that print: neither blocks the process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kws.audio.background_call import BackgroundCall
from kws.audio.portaudio_workarounds import StderrSilencer
from kws.errors import DeviceError


@pytest.fixture
def ready():
    return threading.Event()


def test_a_call_returns_its_result(ready):
    """
    The result is available once the call is done, and `ready` is set by then.
    """
    call = BackgroundCall(lambda: 41 + 1, ready)

    assert call.join(60)
    assert ready.wait(60)
    assert call.done
    assert call.result() == 42


@pytest.mark.parametrize("error", [DeviceError("gone"), SystemExit(3), KeyboardInterrupt()])
def test_a_call_raises_its_error(ready, error):
    """
    Any exception reaches the caller instead of stderr.
    """

    def fail() -> None:
        raise error

    call = BackgroundCall(fail, ready)

    assert call.join(60)
    assert ready.wait(60)
    with pytest.raises(type(error)) as caught:
        call.result()
    assert caught.value is error


def test_a_hanging_call_can_be_abandoned(ready):
    """
    Waiting for it ends without a result, and it may still finish later.
    """
    release = threading.Event()
    call = BackgroundCall(lambda: release.wait(60), ready)

    assert not call.join(0.01)
    assert not call.done
    assert not ready.is_set()
    with pytest.raises(AssertionError):
        call.result()
    release.set()
    assert ready.wait(60)
    assert call.result() is True


def test_a_hanging_call_does_not_block_the_exit():
    """
    The process ends with its main thread.
    """
    code = """
        import threading
        from kws.audio.background_call import BackgroundCall
        call = BackgroundCall(threading.Event().wait, threading.Event())
        print(call.join(0.01), flush=True)
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )

    assert (0, "False\n", "") == (ended.returncode, ended.stdout, ended.stderr)


@contextmanager
def stderr_to(path: Path) -> Iterator[None]:
    """Let file descriptor 2 be a file; not in a fixture, because pytest has it for itself then."""
    kept = os.dup(2)
    with open(path, "wb") as file:
        os.dup2(file.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def n_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_output_of_c_code_is_silenced(tmp_path):
    """
    Nothing written to descriptor 2 between silence and restore arrives; before and after it
    does.
    """
    quiet = StderrSilencer()
    with stderr_to(tmp_path / "stderr"):
        os.write(2, b"before ")
        quiet.silence()
        os.write(2, b"meanwhile ")
        quiet.restore()
        os.write(2, b"after")

    assert (tmp_path / "stderr").read_bytes() == b"before after"


def test_silence_and_restore_may_be_called_twice(tmp_path):
    """
    A second call keeps the original descriptor, and no descriptor is left open.
    """
    quiet = StderrSilencer()
    with stderr_to(tmp_path / "stderr"):
        quiet.restore()
        before = n_descriptors()
        for _ in range(10):
            quiet.silence()
            quiet.silence()
            quiet.restore()
            quiet.restore()
        after = n_descriptors()
        os.write(2, b"still here")

    assert (tmp_path / "stderr").read_bytes() == b"still here"
    assert after == before


def test_restore_may_come_from_another_thread(tmp_path):
    """
    The thread that silenced it may hang by then.
    """
    quiet = StderrSilencer()
    thread = threading.Thread(target=quiet.silence)
    with stderr_to(tmp_path / "stderr"):
        thread.start()
        thread.join(60)
        quiet.restore()
        os.write(2, b"back")

    assert (tmp_path / "stderr").read_bytes() == b"back"


def test_a_closed_standard_error_stays_closed():
    """
    With descriptor 2 closed nothing happens, and nothing is opened in its place.
    """
    code = """
        import os
        from kws.audio.portaudio_workarounds import StderrSilencer
        os.close(2)
        quiet = StderrSilencer()
        quiet.silence()
        quiet.restore()
        try:
            os.fstat(2)
        except OSError:
            print("closed")
    """
    ended = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60
    )

    assert (ended.returncode, ended.stdout) == (0, "closed\n")
