"""A microphone that is lost and comes back, on a real audio server."""

from __future__ import annotations

import json
import signal
import time

import pytest
from support.live_listening import listening, of_type, python, running, words

pytestmark = pytest.mark.live

# Half a second is promised; this is for a machine that is busy with other tests.
END_TIMEOUT_S = 5
# Tolerance for the blocks around each loss.
BLOCKS_S = 0.3
THREADS = """
import json, os, threading, time
from kws import KeywordSpotter, Listener
from kws.live.sinks import Sink

def n_native():
    return len(os.listdir("/proc/self/task"))

spotter = KeywordSpotter.from_model("default")
n_before = n_native()
for turn in range(3):
    class Report(Sink):
        listening = False

        def status(self, event):
            print(json.dumps(event.kind), flush=True)
            if event.kind == "returned":
                listener.stop()

        def samples(self, samples):
            if not self.listening:
                self.listening = True
                print(json.dumps("listening"), flush=True)

    with Listener(spotter, device="pulse", sinks=[Report()]) as listener:
        listener.wait(timeout_s=60)
    threads = [thread.name for thread in threading.enumerate()]
    # Threads of sound libraries may take a moment to end.
    deadline = time.monotonic() + 5
    while n_native() > n_before and time.monotonic() < deadline:
        time.sleep(0.01)
    n_left = n_native() - n_before
    print(json.dumps([threads, n_left, len(os.listdir("/proc/self/fd"))]), flush=True)
"""


@pytest.mark.slow
def test_ten_losses_and_returns(server, word_clips, tmp_path):
    """
    Each loss and return is reported once; a word right after each return is detected, and the time
    without a device counts as lost samples.
    """
    server.start()
    least_s = most_s = 0.0
    with listening(server.environment, errors=tmp_path / "errors") as lines:
        heard = []
        for clip in word_clips.values():
            before = time.monotonic()
            server.unplug()
            unplugged = time.monotonic()
            lines.until(event="lost")
            plugging = time.monotonic()
            server.plug_in()
            lines.until(event="returned")
            least_s += plugging - unplugged
            most_s += time.monotonic() - before + BLOCKS_S
            server.play(clip)
            heard.append(lines.until(type="detection")["keyword"])
        rest, code = lines.end(signal.SIGTERM)

    assert heard == list(word_clips)
    (summary,) = of_type("summary", rest)
    assert (summary["losses"], summary["detections"]) == (10, 10)
    assert least_s <= summary["lost_samples"] / 16_000 <= most_s
    assert of_type("status", rest) == []
    assert code == 130
    errors = (tmp_path / "errors").read_text().splitlines()
    assert 10 == sum("waiting for it to come back" in line for line in errors)
    assert 10 == sum("listening goes on" in line for line in errors)


def test_a_server_that_crashes_or_hangs_is_found_again(server, word_clips):
    """
    A restarted server, and one that hangs for a while, are each reported as lost and returned once;
    stream time goes on meanwhile, and words afterwards are detected.
    """
    server.start()
    arguments = ("--device", "pulse", "--status-every", "0.2")
    with listening(server.environment, *arguments) as lines:
        server.kill()
        lines.until(event="lost")
        away = [lines.until(event="running", listening=False) for _ in range(2)]
        server.start()
        lines.until(event="returned")
        server.play(word_clips["yes"])
        lines.until(type="detection", keyword="yes")

        server.freeze()
        lines.until(event="lost")
        server.thaw()
        lines.until(event="returned")
        server.play(word_clips["no"])
        lines.until(type="detection", keyword="no")
        rest, code = lines.end(signal.SIGTERM)

    assert [0, 0] == [record["detections"] for record in away]
    (summary,) = of_type("summary", rest)
    assert (summary["losses"], summary["detections"]) == (2, 2)
    # The hang is noticed after three seconds.
    assert summary["lost_samples"] >= 3 * 16_000
    assert code == 130


@pytest.mark.slow
def test_a_hanging_server_does_not_delay_the_end(server):
    """
    While the server hangs, noticed or not, Ctrl-C and SIGTERM end it with the summary and 130.
    """
    server.start()
    environment = server.environment
    with listening(environment) as first, listening(environment) as second:
        with listening(environment) as third:
            server.freeze()
            ends = [_end(third, signal.SIGTERM)]
        for lines, number in ((first, signal.SIGINT), (second, signal.SIGTERM)):
            lines.until(event="lost")
            ends.append(_end(lines, number))

    assert [130, 130, 130] == [code for _, code, _ in ends]
    assert [0, 1, 1] == [of_type("summary", rest)[0]["losses"] for rest, _, _ in ends]
    assert max(took_s for _, _, took_s in ends) < END_TIMEOUT_S


def test_without_reconnect_a_loss_ends_it(server, tmp_path):
    """
    With --no-reconnect a loss is one clear line, the summary, and exit code 1.
    """
    server.start()
    arguments = ("--device", "pulse", "--no-reconnect")
    with listening(server.environment, *arguments, errors=tmp_path / "errors") as lines:
        server.unplug()
        rest = lines.rest()
        code = lines.process.wait(10)

    assert code == 1
    assert [record["losses"] for record in of_type("summary", rest)] == [1]
    assert words(rest) == []
    errors = (tmp_path / "errors").read_text().splitlines()
    (line,) = [line for line in errors if line.startswith("kws-listen: error:")]
    assert "device pulse" in line
    assert "unplugged" in line


def test_nothing_is_left_after_closing(server):
    """
    After each close only the main thread is left, no new native thread, and no new open file.
    """
    server.start()
    left = []
    with running(python(THREADS), server.environment) as lines:
        for _ in range(3):
            assert json.loads(lines.next()) == "listening"
            server.unplug()
            assert json.loads(lines.next()) == "lost"
            server.plug_in()
            assert json.loads(lines.next()) == "returned"
            left.append(json.loads(lines.next()))
        code = lines.process.wait(10)

    assert [["MainThread"]] * 3 == [threads for threads, _, _ in left]
    assert [0, 0, 0] == [n_left for _, n_left, _ in left]
    assert [left[0][2]] * 3 == [n_files for *_, n_files in left]
    assert code == 0


def _end(lines, number: int) -> tuple[list[str], int, float]:
    started = time.monotonic()
    rest, code = lines.end(number)
    return rest, code, time.monotonic() - started
