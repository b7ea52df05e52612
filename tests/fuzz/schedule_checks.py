"""What must hold for live listening in every schedule."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
from support.fake_audio import RATE

from fuzz.checks import expect
from kws.audio.reconnect import LONGEST_RETRY_S, POLL_S
from kws.audio.source import CLOSE_TIMEOUT_S
from kws.live.reports import REPORT_S

# Tolerance for rounding and delays.
LEEWAY_S = 0.05
# Audio that a resampler may hold back.
HELD_BACK_S = 0.12
THREADS_TIMEOUT_S = 30


def n_heard(trial: Any) -> int:
    """Return how many samples the spotter got."""
    return sum(len(piece) for piece in trial.tape if isinstance(piece, np.ndarray))


def check_wait(trial: Any, wait_s: float, took_s: float) -> None:
    """A wait ends in time, and polls several times a second."""
    if trial.schedule.callback == "closing":
        # Then simulated time advances in two threads at once.
        return
    # After a gap the samples held back by the resampler come too: twice the work.
    busy_s = 2 * trial.schedule.busy[1]
    expect(took_s <= wait_s + busy_s + LEEWAY_S, f"a wait of {wait_s} s", took_s)
    polls_s = [time_s for time_s in trial.polls_s if time_s >= trial.audio.time.now_s - took_s]
    longest_s = max((b - a for a, b in zip(polls_s, polls_s[1:])), default=0.0)
    expect(longest_s <= POLL_S + busy_s + LEEWAY_S, "a poll several times a second", longest_s)


def check_samples(trial: Any) -> None:
    """Samples delivered are those processed, dropped and unread, exactly."""
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
    """Stream time equals elapsed time, except for losses of unknown length."""
    if not trial.audio.streams:
        return
    schedule, streams = trial.schedule, trial.audio.streams
    statistics = trial.listener.statistics
    elapsed_s = trial.audio.time.now_s - streams[0].opened_s
    behind_s = elapsed_s - statistics.audio_s - _not_heard_yet_s(trial)
    # The start and end of a gap are known to within a block and a delay.
    moment_s = trial.longest_block_s + schedule.jitter_s + schedule.starting_s + LEEWAY_S
    about_s = (statistics.losses + len(schedule.waits_s)) * moment_s
    about_s += abs(schedule.clock_error) * elapsed_s + HELD_BACK_S + LEEWAY_S
    # Input that the device lost without reporting how much.
    missed_s = sum(stream.n_missed / stream.rate for stream in streams)
    # A device with a late first block seems to have been away for longer.
    late_s = sum(stream.first_late_s for stream in streams[1:])
    expect(
        -about_s - late_s <= behind_s <= about_s + missed_s,
        f"audio time within {-late_s:.3f}..{missed_s:.3f} s, give or take {about_s:.3f}",
        f"{behind_s:.4f} s behind {elapsed_s:.3f}",
    )


def _not_heard_yet_s(trial: Any) -> float:
    """Return the time that was captured, or passed in a silent device, and was not read."""
    source = trial.listener.microphone
    if source is None:
        return 0.0
    stream, buffer = trial.audio.streams[-1], source.buffer
    unread_s = len(buffer) / source.rate
    if len(trial.audio.streams) > 1 and not buffer.n_read and not buffer.dropped_samples:
        # It is back; time before its first block counts as gap already.
        return unread_s
    overwritten = stream.n_delivered - buffer.n_read - buffer.dropped_samples - len(buffer)
    unread_s += overwritten / source.rate
    return float(trial.audio.time.now_s - stream.heard_s + unread_s)


def check_recovery(trial: Any) -> None:
    """A device that is present, without a hanging call, is found again."""
    schedule, audio = trial.schedule, trial.audio
    quiet_s = audio.time.now_s - trial.undisturbed_since_s
    # A busy machine, late calls and the first block take time.
    enough_s = LONGEST_RETRY_S + 2 * schedule.busy[1] + 3 * schedule.starting_s + 2 * LEEWAY_S
    if any(step.what in ("mute", "stall") for step in schedule.steps):
        # The loss is only noticed after the stall time.
        enough_s += schedule.stall_s
    if trial.longest_block_s + schedule.jitter_s >= schedule.stall_s or quiet_s <= enough_s:
        return
    if audio.plugged_in and audio.calls[-1].done and schedule.reconnect:
        expect(trial.listener.microphone is not None, "a device that is found again", quiet_s)


def check_close(took_s: float) -> None:
    """Close returns although a call hangs."""
    expect(took_s <= 2 * CLOSE_TIMEOUT_S + LEEWAY_S, "a close within a second", took_s)


def check_devices(trial: Any) -> None:
    """Every opened device is closed, at the latest when a hanging call ends."""
    left = [stream for stream in trial.audio.streams if not stream.closed]
    expect(not left, "all devices closed", len(left))


def check_events(trial: Any) -> None:
    """Loss and return are reported alternately, overload at most once a second."""
    kinds = [event.kind for _, event in trial.events if event.kind in ("lost", "returned")]
    expected = list(itertools.islice(itertools.cycle(("lost", "returned")), len(kinds)))
    expect(kinds == expected, "lost and returned in turn", kinds)
    statistics = trial.listener.statistics
    # A loss that ends the waiting is an error, not an event.
    n_reported = statistics.losses if trial.schedule.reconnect else 0
    expect(kinds.count("lost") == n_reported, f"{n_reported} losses reported", kinds)
    expect(trial.schedule.reconnect or statistics.losses <= 1, "one loss", statistics.losses)
    reported_s = [time_s for time_s, event in trial.events if event.kind == "overload"]
    expect(
        min(np.diff(reported_s), default=REPORT_S) >= REPORT_S - 1e-6,
        "a second between",
        reported_s,
    )
    audio_s = [event.time_s for _, event in trial.events]
    expect(audio_s == sorted(audio_s), "events in order of time", audio_s)
    n_overflows = sum(source.overflows for _, source in trial.opened())
    expect(statistics.overflows <= n_overflows, f"{n_overflows} overflows", statistics.overflows)


def check_callbacks(trial: Any) -> None:
    """Every detection reaches its callback, or counts as dropped."""
    statistics = trial.listener.statistics
    n = len(trial.detections)
    # Detections found while an exception ended the waiting are not yielded.
    expect(n <= statistics.detections, f"{n} detections at least", statistics.detections)
    if trial.schedule.callback == "none":
        return
    reached = trial.n_called + statistics.dropped_callbacks
    expect(reached == statistics.detections, f"{statistics.detections} detections", reached)


def check_detections(trial: Any) -> None:
    """Another spotter detects the same from the same samples and gaps."""
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
    """No thread is left."""
    for thread in set(threading.enumerate()) - before:
        thread.join(THREADS_TIMEOUT_S)
    left = [thread.name for thread in set(threading.enumerate()) - before]
    expect(not left, "no thread left", left)
