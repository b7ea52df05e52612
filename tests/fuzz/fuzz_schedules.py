"""Fuzz live listening with random schedules of events, in simulated time.

    PYTHONPATH=tests python -m fuzz.fuzz_schedules --schedules 10000
    PYTHONPATH=tests python -m fuzz.fuzz_schedules --schedules 1 --first 4711   # that one again

Devices, time and calls are simulated (`fake_audio`, `fake_portaudio`). `Listener`,
`ReconnectingMicrophone`, `Conditioner`, `RingBuffer`, callbacks, spotter and model are real, and in
three of ten schedules `Microphone` is too. The seed of a schedule that breaks a promise is printed.
"""

from __future__ import annotations

import argparse
import collections
import faulthandler
import json
import logging
import random
import sys
import threading
import time
import traceback
from contextlib import ExitStack
from typing import Any

import numpy as np
from support.fake_audio import FakeAudio, Room
from support.fake_portaudio import FakePortAudioSystem

from fuzz import schedule_checks as checks
from fuzz.checks import expect
from fuzz.schedules import Schedule, Step, draw
from kws import KeywordSpotter, models
from kws.audio.capture_config import CaptureConfig
from kws.audio.files import read_file
from kws.audio.reconnect import OPEN_TIMEOUT_S
from kws.decision.policy import Detection
from kws.errors import DeviceError, SoundServerGoneError
from kws.live.listener import Listener, ListenerEvent
from kws.live.sinks import Sink

MODEL = "tiny"
# Low enough that words fire at any position in a hop of a second, and some noise too.
THRESHOLD = 0.3
SLOW_CALLBACK_S = 0.002
REAL_TIMEOUT_S = 120
REPORT_EVERY = 500


class World:
    """What all schedules share: the sound and the spotters."""

    def __init__(self) -> None:
        demo = np.concatenate(list(read_file(models.FIRMWARE_MODELS / "demo.wav")))
        self.room = Room(demo)
        self._spotters: dict[tuple[int, int], KeywordSpotter] = {}

    def spotter(self, hop_ms: int, number: int = 0) -> KeywordSpotter:
        """Return a spotter; the model is loaded once."""
        key = hop_ms, number
        if key not in self._spotters:
            self._spotters[key] = KeywordSpotter.from_model(
                MODEL, hop_ms=hop_ms, thresholds=THRESHOLD
            )
        return self._spotters[key]


class Trial(Sink):
    """A run of one schedule, and the checks of all promises."""

    def __init__(self, world: World, schedule: Schedule) -> None:
        self.schedule = schedule
        self.audio = _audio(world, schedule)
        self.longest_block_s = schedule.longest_block_s
        self.world = world
        self.spotter = world.spotter(schedule.hop_ms)
        self.listener = Listener(
            self.spotter,
            config=CaptureConfig(
                channel=schedule.channel,
                gain_db=schedule.gain_db,
                block_ms=schedule.block_ms,
                stall_s=schedule.stall_s,
                reconnect=schedule.reconnect,
            ),
            sinks=[self],
            system=self.audio,
        )
        self.tape: list[np.ndarray | int] = []
        self.events: list[tuple[float, ListenerEvent]] = []
        self.polls_s: list[float] = []
        self.detections: list[Detection] = []
        self.n_called = 0
        self.undisturbed_since_s = 0.0
        """Time of the last event of the device, or of the start of a wait."""

        self.outcome = ""
        self._gate = threading.Event()
        self._before = set(threading.enumerate())
        self._busy = random.Random(schedule.seed + 2)
        if schedule.callback != "none":
            self.listener.on_any(self._callback)

    def gap(self, n_samples: int) -> None:
        self.tape.append(n_samples)

    def status(self, event: ListenerEvent) -> None:
        self.events.append((self.audio.time.now_s, event))

    def poll(self) -> None:
        self.polls_s.append(self.audio.time.now_s)

    def samples(self, samples: np.ndarray) -> None:
        self.tape.append(samples)
        likely, longest_s = self.schedule.busy
        if self._busy.random() < likely:
            self.audio.time.take(self._busy.uniform(0, longest_s))

    def _callback(self, detection: Detection) -> None:
        self.n_called += 1
        kind = self.schedule.callback
        if kind == "slow":
            self._gate.wait(SLOW_CALLBACK_S)
        elif kind == "blocked":
            self._gate.wait(REAL_TIMEOUT_S)
        elif kind == "stopping":
            self.listener.stop()
        elif kind == "closing":
            self.listener.close()
        elif kind == "raising":
            raise RuntimeError("error of a callback")

    def opened(self) -> list[tuple[Any, Any]]:
        """Return each stream and its microphone."""
        return list(zip(self.audio.streams, self.audio.sources))

    def run(self) -> None:
        """Run the schedule and check all promises."""
        audio, listener = self.audio, self.listener
        for step in sorted(self.schedule.steps, key=lambda step: step.time_s):
            if step.time_s > 0:
                audio.at(step.time_s, lambda step=step: self._do(step))
            else:
                self._do(step)
        try:
            with ExitStack() as stack:
                if isinstance(audio, FakePortAudioSystem):
                    stack.enter_context(audio.installed())
                if self._open():
                    self._listen()
                    checks.check_samples(self)
                    # A callback that closes ends the microphone early.
                    if self.schedule.callback != "closing":
                        checks.check_time(self)
                        checks.check_recovery(self)
                before_s = audio.time.now_s
                listener.close()
                checks.check_close(audio.time.now_s - before_s)
                # Abandoned calls end.
                audio.time.take(60.0)
        finally:
            self._gate.set()
            audio.end()
        checks.check_threads(self._before)
        checks.check_devices(self)
        checks.check_events(self)
        checks.check_callbacks(self)
        if self.schedule.hop_ms == 100:
            checks.check_detections(self)

    def _open(self) -> bool:
        try:
            self.listener.open()
        except (DeviceError, KeyboardInterrupt) as error:
            self.outcome = f"not opened: {type(error).__name__}"
            expect(self._may_fail(error), "a microphone that opens", error)
            return False
        return True

    def _listen(self) -> None:
        clock = self.audio.time
        try:
            for wait_s, away_s in self.schedule.waits_s:
                before_s = self.undisturbed_since_s = clock.now_s
                for detection in self.listener.detections(wait_s):
                    self.detections.append(detection)
                checks.check_wait(self, wait_s, clock.now_s - before_s)
                clock.take(away_s)
            self.outcome = "listened"
        except (DeviceError, KeyboardInterrupt) as error:
            self.outcome = f"ended: {type(error).__name__}"
            promised = not self.schedule.reconnect or self.schedule.callback == "closing"
            # A call hung for a minute.
            gone = isinstance(error, SoundServerGoneError) and not self.audio.calls[-1].done
            expect(promised or gone or isinstance(error, KeyboardInterrupt), "reconnection", error)

    def _may_fail(self, error: BaseException) -> bool:
        schedule = self.schedule
        if isinstance(error, KeyboardInterrupt):
            return any(step.what == "interrupt" for step in schedule.steps)
        unplugged = not self.audio.plugged_in or any(step.time_s < 20 for step in schedule.steps)
        no_channel = schedule.channel is not None and schedule.channel > max(schedule.counts)
        return unplugged or no_channel or self.audio.opening_s() >= OPEN_TIMEOUT_S / 2

    def _do(self, step: Step) -> None:
        audio, what, value = self.audio, step.what, step.value
        self.undisturbed_since_s = audio.time.now_s + (value[0] if what == "stall" else 0.0)
        live = [stream for stream in audio.streams[-1:] if not stream.mute]
        if what in ("unplug", "mute"):
            audio.unplug(quietly=what == "mute")
        elif what == "plug_in":
            audio.plug_in()
        elif what in ("open", "close"):
            setattr(audio, {"open": "opening_s", "close": "closing_s"}[what], lambda: value)
        elif what == "rate":
            audio.rate = value
        elif what == "stop":
            self.listener.stop()
        elif what == "interrupt":
            audio.interrupted = True
        elif live and what == "stall":
            live[0].stall(value[0], lossy=value[1])
        elif live and what == "overflow":
            live[0].overflow(value)


def _audio(world: World, schedule: Schedule) -> FakeAudio:
    """Return the machine of a schedule."""
    own = random.Random(schedule.seed + 3)
    audio: FakeAudio
    if schedule.portaudio:
        audio = FakePortAudioSystem(world.room)
        audio.rates, audio.counts = schedule.rates, schedule.counts
    else:
        audio = FakeAudio(world.room)
        audio.block_samples = schedule.block_samples
    audio.rate = schedule.rate
    audio.clock_error = schedule.clock_error
    if schedule.jitter_s:
        audio.delay_s = lambda: own.random() ** 3 * schedule.jitter_s
    if schedule.starting_s:
        audio.starting_s = lambda: own.random() * schedule.starting_s
    if schedule.disturbed:
        audio.disturbance = random.Random(schedule.seed + 4)
    return audio


class Tally:
    """Results of all schedules so far."""

    def __init__(self) -> None:
        self.counts: collections.Counter[str] = collections.Counter()
        self.outcomes: collections.Counter[str] = collections.Counter()
        self.broken: list[int] = []
        self._started = time.monotonic()

    def add(self, trial: Trial) -> None:
        """Count a schedule."""
        statistics = trial.listener.statistics
        self.outcomes[trial.outcome] += 1
        self.counts["schedules"] += 1
        self.counts["audio_s"] += round(statistics.audio_s)
        self.counts["steps"] += trial.audio.time.n_steps
        self.counts["openings"] += len(trial.audio.asked)
        self.counts["abandoned calls"] += trial.audio.n_abandoned
        for name in ("losses", "overflows", "detections", "dropped_callbacks", "lost_samples"):
            self.counts[name] += getattr(statistics, name)

    def __str__(self) -> str:
        seconds = time.monotonic() - self._started
        return json.dumps(
            {
                **self.counts,
                "outcomes": self.outcomes,
                "broken": self.broken,
                "schedules_per_s": round(self.counts["schedules"] / seconds, 1),
                "threads": threading.active_count(),
            }
        )


def run(first: int, n: int, *, keep_going: bool = True) -> Tally:
    """Run the schedules of `n` seeds; print those that break a promise, or raise."""
    world, tally = World(), Tally()
    for seed in range(first, first + n):
        faulthandler.dump_traceback_later(REAL_TIMEOUT_S, exit=keep_going)
        trial = Trial(world, draw(seed))
        try:
            trial.run()
        except Exception as error:
            if not keep_going:
                raise AssertionError(f"schedule {seed}: {error}") from error
            tally.broken.append(seed)
            _say(f"schedule {seed}:", traceback.format_exc())
        tally.add(trial)
        if keep_going and tally.counts["schedules"] % REPORT_EVERY == 0:
            _say(tally)
    faulthandler.cancel_dump_traceback_later()
    return tally


def _say(*parts: object) -> None:
    sys.stdout.write("\n".join(map(str, parts)) + "\n")
    sys.stdout.flush()


def main() -> int:
    """Parse the arguments and run."""
    made = argparse.ArgumentParser(prog="python -m fuzz.fuzz_schedules")
    made.add_argument("--schedules", type=int, default=10_000, help="how many (default: 10000)")
    made.add_argument("--first", type=int, default=1, help="seed of the first one (default: 1)")
    given = made.parse_args()
    logging.disable(logging.CRITICAL)
    tally = run(given.first, given.schedules)
    _say(tally)
    return int(bool(tally.broken))


if __name__ == "__main__":
    sys.exit(main())
