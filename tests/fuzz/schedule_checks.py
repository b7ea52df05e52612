"""What must hold of live listening, whatever happens to it."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
from support.fake_audio import RATE

from fuzz.checks import expect
from kws.audio.reconnect import CLOSE_TIMEOUT_S, LONGEST_RETRY_S
from kws.live.listener import REPORT_S, TICK_S

# What somebody else on the machine may add to a moment, and what rounding does.
LEEWAY_S = 0.05
# What a resampler may hold back.
HELD_BACK_S = 0.12
THREADS_TIMEOUT_S = 30


def n_heard(trial: Any) -> int:
    """Return how many samples the spotter was given."""
    return sum(len(piece) for piece in trial.tape if isinstance(piece, np.ndarray))


def check_wait(trial: Any, wait_s: float, took_s: float) -> None:
    """A wait ends when it should, and comes round several times a second."""
    if trial.schedule.callback == "closing":
        # Then time goes on in two threads at once.
        return
    # Behind a gap what the resampler held back is heard too: twice the work.
    busy_s = 2 * trial.schedule.busy[1]
    expect(took_s <= wait_s + busy_s + LEEWAY_S, f"a wait of {wait_s} s", took_s)
    ticks_s = [time_s for time_s in trial.ticks_s if time_s >= trial.audio.time.now_s - took_s]
    longest_s = max((b - a for a, b in zip(ticks_s, ticks_s[1:])), default=0.0)
    expect(longest_s <= TICK_S + busy_s + LEEWAY_S, "a tick several times a second", longest_s)


def check_samples(trial: Any) -> None:
    """What went in is what was heard, what was dropped, and what lies unread: to the sample."""
    statistics = trial.listener.statistics
    gaps = sum(piece for piece in trial.tape if not isinstance(piece, np.ndarray))
    expect(gaps == statistics.lost_samples, f"{statistics.lost_samples} lost samples", gaps)
    expect(
        round(statistics.audio_s * RATE) == n_heard(trial) + gaps,
        f"audio of {n_heard(trial)} heard and {gaps} lost samples",
        statistics.audio_s * RATE,
    )
    n_read = dropped = 0.0
    for stream, source in trial.opened():
        buffer = source.buffer
        unread = stream.n_delivered - buffer.n_read - buffer.dropped_samples
        expect(buffer.n_written == stream.n_delivered, "all that was delivered", buffer.n_written)
        expect(min(unread, buffer.capacity) == len(buffer), f"{unread} unread", len(buffer))
        n_read += buffer.n_read * RATE / source.rate
        dropped += buffer.dropped_samples * RATE / source.rate
    held_back = n_read - n_heard(trial)
    n_cuts = len(trial.tape)
    if {source.rate for _, source in trial.opened()} <= {RATE}:
        expect(held_back == 0, f"{n_read} samples heard", n_heard(trial))
    expect(-n_cuts <= held_back <= HELD_BACK_S * RATE + n_cuts, "no more held back", held_back)
    expect(gaps >= dropped - n_cuts, f"at least the dropped {dropped} samples lost", gaps)


def check_time(trial: Any) -> None:
    """Audio time is the time that went by, but for what nobody could know of."""
    if not trial.audio.streams:
        return
    schedule, streams = trial.schedule, trial.audio.streams
    statistics = trial.listener.statistics
    elapsed_s = trial.audio.time.now_s - streams[0].opened_s
    behind_s = elapsed_s - statistics.audio_s - _not_heard_yet_s(trial)
    # Where a gap begins and ends is known to a block and a delay.
    moment_s = trial.longest_block_s + schedule.jitter_s + schedule.starting_s + LEEWAY_S
    about_s = (statistics.losses + len(schedule.waits_s)) * moment_s
    about_s += abs(schedule.clock_error) * elapsed_s + HELD_BACK_S + LEEWAY_S
    # Input that the device lost without a word about how much.
    missed_s = sum(stream.n_missed / stream.rate for stream in streams)
    # A device that hands its first block over late seems to have been away for longer.
    late_s = sum(stream.first_late_s for stream in streams[1:])
    expect(
        -about_s - late_s <= behind_s <= about_s + missed_s,
        f"audio time within {-late_s:.3f}..{missed_s:.3f} s, give or take {about_s:.3f}",
        f"{behind_s:.4f} s behind {elapsed_s:.3f}",
    )


def _not_heard_yet_s(trial: Any) -> float:
    """Return the time that was captured, or went by in a silent device, and was not read."""
    source = trial.listener.microphone
    if source is None:
        return 0.0
    stream, buffer = trial.audio.streams[-1], source.buffer
    unread_s = len(buffer) / source.rate
    if len(trial.audio.streams) > 1 and not buffer.n_read and not buffer.dropped_samples:
        # It is back, and all before its first block counts as gap already.
        return unread_s
    overwritten = stream.n_delivered - buffer.n_read - buffer.dropped_samples - len(buffer)
    unread_s += overwritten / source.rate
    return float(trial.audio.time.now_s - stream.heard_s + unread_s)


def check_recovery(trial: Any) -> None:
    """A device that is there, and that no call hangs on, is not left lost."""
    schedule, audio = trial.schedule, trial.audio
    quiet_s = audio.time.now_s - trial.undisturbed_since_s
    # A machine that is busy, calls that start late, and a first block may come before that.
    enough_s = LONGEST_RETRY_S + 2 * schedule.busy[1] + 3 * schedule.starting_s + 2 * LEEWAY_S
    if any(step.what in ("mute", "stall") for step in schedule.steps):
        # Nobody says that it is gone.
        enough_s += schedule.stall_s
    if trial.longest_block_s + schedule.jitter_s >= schedule.stall_s or quiet_s <= enough_s:
        return
    if audio.plugged_in and audio.calls[-1].done and schedule.reconnect:
        expect(trial.listener.microphone is not None, "a device that is found again", quiet_s)


def check_close(took_s: float) -> None:
    """Close comes back whatever hangs."""
    expect(took_s <= 2 * CLOSE_TIMEOUT_S + LEEWAY_S, "a close within a second", took_s)


def check_devices(trial: Any) -> None:
    """Every device that was opened was closed, at the latest when a call that hung came back."""
    left = [stream for stream in trial.audio.streams if not stream.closed]
    expect(not left, "all devices closed", len(left))


def check_events(trial: Any) -> None:
    """Loss and return are told in turn, once each; overload at most once a second."""
    kinds = [event.kind for _, event in trial.events if event.kind in ("lost", "returned")]
    expected = list(itertools.islice(itertools.cycle(("lost", "returned")), len(kinds)))
    expect(kinds == expected, "lost and returned in turn", kinds)
    statistics = trial.listener.statistics
    # One that ends the waiting is an error, and no event.
    n_told = statistics.losses if trial.schedule.reconnect else 0
    expect(kinds.count("lost") == n_told, f"{n_told} losses told", kinds)
    expect(trial.schedule.reconnect or statistics.losses <= 1, "one loss", statistics.losses)
    told_s = [time_s for time_s, event in trial.events if event.kind == "overload"]
    expect(min(np.diff(told_s), default=REPORT_S) >= REPORT_S - 1e-6, "a second between", told_s)
    audio_s = [event.time_s for _, event in trial.events]
    expect(audio_s == sorted(audio_s), "events in order of time", audio_s)
    n_overflows = sum(source.overflows for _, source in trial.opened())
    expect(statistics.overflows <= n_overflows, f"{n_overflows} overflows", statistics.overflows)


def check_callbacks(trial: Any) -> None:
    """Every detection reached its callback, or is counted as one that did not."""
    statistics = trial.listener.statistics
    n = len(trial.detections)
    # Found in what was heard while an exception ended the waiting: not handed out any more.
    expect(n <= statistics.detections, f"{n} detections at least", statistics.detections)
    if trial.schedule.callback == "none":
        return
    reached = trial.n_called + statistics.dropped_callbacks
    expect(reached == statistics.detections, f"{statistics.detections} detections", reached)


def check_detections(trial: Any) -> None:
    """Another spotter, given the same samples and gaps, detects the same."""
    other = trial.world.spotter(trial.schedule.hop_ms, 1)
    other.reset()
    expected = []
    for piece in trial.tape:
        if isinstance(piece, np.ndarray):
            expected += other.process(piece)
        else:
            other.skip(piece)
    n = trial.listener.statistics.detections
    expect(n == len(expected), f"{len(expected)} detections", n)
    expect(set(trial.detections) <= set(expected), "the same detections", trial.detections)


def check_threads(before: set[threading.Thread]) -> None:
    """No thread is left behind."""
    for thread in set(threading.enumerate()) - before:
        thread.join(THREADS_TIMEOUT_S)
    left = [thread.name for thread in set(threading.enumerate()) - before]
    expect(not left, "no thread left", left)
