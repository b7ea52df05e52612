"""Time from the return of a device, and from the start of the process, to the first block.

A virtual microphone is unplugged and plugged in again, and then its server is killed and started
again, ten times each, after half a second to three seconds. Time counts from the moment before the
command that brings the device back (the command's own time, some 20 ms, is part of it). The start
counts from before the process, start of Python included.

    PYTHONPATH=tests python bench/live/recovery.py
"""

from __future__ import annotations

import argparse
import os
import random
import threading
import time
from typing import Any

import numpy as np
import rig
from support.pulse_server import PulseServer

from kws import KeywordSpotter, Listener
from kws.live.reports import ListenerEvent
from kws.live.sinks import Sink

TIMEOUT_S = 30.0
EVERY_S = 0.1


class Watch(Sink):
    """A listener in its own thread, and when audio and events came."""

    def __init__(self, environment: dict[str, str]) -> None:
        # PortAudio's libraries read them.
        os.environ.update(environment)
        self.came: dict[str, float] = {}
        self._all_came = threading.Event()
        spotter = KeywordSpotter.from_model("default")
        spotter.on_posterior = lambda *_: self._note("posterior")
        self._listener = Listener(spotter, "pulse", sinks=[self])
        self._listener.open()
        self._thread = threading.Thread(target=self._listener.wait, daemon=True)
        self._thread.start()

    def expect(self) -> None:
        """Forget what has come."""
        self.came.clear()
        self._all_came.clear()

    def wait(self, *kinds: str) -> dict[str, float]:
        """Return when each of these came for the first time since `expect`."""
        deadline = time.monotonic() + TIMEOUT_S
        while not set(kinds) <= set(self.came):
            if time.monotonic() > deadline:
                raise TimeoutError(f"only {sorted(self.came)} came")
            self._all_came.wait(0.1)
            self._all_came.clear()
        return dict(self.came)

    def samples(self, samples: np.ndarray) -> None:
        """Note a block."""
        self._note("block")

    def status(self, event: ListenerEvent) -> None:
        """Note an event."""
        self._note(event.kind)

    def end(self) -> None:
        """End the listener and its thread."""
        self._listener.stop()
        self._thread.join(5)
        self._listener.close()

    def _note(self, kind: str) -> None:
        if kind not in self.came:
            self.came[kind] = time.monotonic()
            self._all_came.set()


def returns(watch: Watch, server: PulseServer, how: str, *, rounds: int, seed: int) -> Any:
    """Lose the device `rounds` times; return the times to block and posterior."""
    rng = random.Random(seed)
    blocks, posteriors = [], []
    for _ in range(rounds):
        watch.expect()
        if how == "device":
            server.unplug()
        else:
            server.kill()
        watch.wait("lost")
        time.sleep(rng.uniform(0.5, 3.0))
        if how == "server":
            server.start(plugged_in=False)
        watch.expect()
        began = time.monotonic()
        server.plug_in()
        came = watch.wait("block", "posterior", "returned")
        blocks.append(came["block"] - began)
        posteriors.append(came["posterior"] - began)
        time.sleep(1.0)
    return {"to_block_s": rig.spread(blocks), "to_posterior_s": rig.spread(posteriors)}


def starts(server: PulseServer, rounds: int) -> dict[str, Any]:
    """Start `kws-listen` `rounds` times."""
    opened, first = [], []
    for _ in range(rounds):
        began = time.monotonic()
        listening = rig.Listening(
            server.environment, "--device", "pulse", "--status-every", str(EVERY_S)
        )
        listening.until(event="listening")
        opened.append(time.monotonic() - began)
        while not any(record.get("audio_s", 0) > 0 for record in listening.records):
            time.sleep(0.005)
        first.append(time.monotonic() - began)
        listening.end()
    return {"to_open_s": rig.spread(opened), "to_block_s": rig.spread(first)}


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    rounds, seed = arguments.rounds, arguments.seed
    with rig.virtual_microphone() as server:
        figures: dict[str, Any] = {"start": starts(server, rounds)}
        watch = Watch(server.environment)
        watch.wait("posterior")
        for how in ("device", "server"):
            figures[how] = returns(watch, server, how, rounds=rounds, seed=seed)
        watch.end()
    device, restart = figures["device"]["to_block_s"], figures["server"]["to_block_s"]
    start = figures["start"]["to_block_s"]
    rig.report(
        figures,
        f"First block {device['median']:.2f} s after the device's return (worst of {rounds}: "
        f"{device['worst']:.2f} s), {restart['median']:.2f} s after that of a restarted server "
        f"(worst {restart['worst']:.2f} s), {start['median']:.2f} s after the start of the process "
        f"(worst {start['worst']:.2f} s)",
    )


if __name__ == "__main__":
    main()
