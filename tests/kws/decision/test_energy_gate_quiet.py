"""The energy gate: which hops it passes over, at which level, and what becomes of the quiet."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.gated import GATE_DB, SECOND, ModelFrames, floor, in_turn, listen, stretches, with_gate

from kws import KeywordSpotter
from kws.decision.energy_gate import EnergyGate
from kws.errors import ConfigError


@settings(max_examples=40)
@given(lengths=stretches, loud_first=st.booleans())
@example(lengths=[20_800] * 6, loud_first=False)
def test_hops_with_quiet_audio_only_are_skipped(loud_spotter, lengths, loud_first):
    """
    A hop is skipped if and only if no loud block ends in its window or in one that is averaged
    with it. The model never runs more often than without a gate.
    """
    audio = in_turn(lengths, loud_first=loud_first)
    frames = ModelFrames()
    gated = with_gate(loud_spotter(smoothing_ms=300), timers=frames)
    _, hops = listen(gated, audio)
    ends = list(range(15_920, len(audio) + 1, 1_600))
    blocks = np.split(audio, ends)[: len(ends)]
    levels = [np.abs(block).max(initial=0) for block in blocks]
    loud_ends = [end for end, level in zip(ends, levels) if level > 300]
    ran = [end for end in ends if any(end - 15_920 - 3_200 < loud <= end for loud in loud_ends)]

    assert [end / SECOND for end in ran] == list(hops)
    assert frames.n <= 98 + 10 * (len(ends) - 1)


@pytest.mark.parametrize("noise", ["digital silence", "floor"])
def test_quiet_runs_nothing(noise):
    """
    In digital silence and in noise below the gate level every hop is skipped.
    """
    audio = np.zeros(20 * SECOND, dtype=np.int16) if noise != "floor" else floor(20 * SECOND)
    frames = ModelFrames()
    spotter = KeywordSpotter.from_model("default", gate_db=GATE_DB, timers=frames)

    assert ([], {}) == listen(spotter, audio)
    assert 0 == frames.n
    assert 1 + (len(audio) - 15_920) // 1_600 == spotter.gated_hops
    assert len(audio) / SECOND == spotter.time_s


def test_quiet_keeps_no_memory():
    """
    However long it stays quiet, the gate keeps no more than the next scores can see.
    """
    spotter = KeywordSpotter.from_model("default", gate_db=GATE_DB)
    audio = floor(10 * SECOND)
    spotter.process(audio)
    tracemalloc.start()
    try:
        for _ in range(3):
            spotter.process(audio)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            spotter.process(audio)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert after - before < 2_000


def test_quiet_time_goes_on_while_the_gate_is_closed(loud_spotter, bursts):
    """
    A word fires once, and again after a silence in which no hop ran.
    """
    audio = bursts([(1.5, 3.5), (9.0, 9.4), (9.9, 10.3)], length_s=14)
    expected = loud_spotter(smoothing_ms=100, suppression_ms=700).process(audio)
    gated = with_gate(loud_spotter(smoothing_ms=100, suppression_ms=700))

    assert 2 == len(expected)
    assert expected == gated.process(audio)
    assert gated.gated_hops > 60


@pytest.mark.parametrize("span", [(0.0, 0.9), (0.2, 0.98), (0.6, 0.7)])
@pytest.mark.parametrize("smoothing_ms", [100, 500])
def test_short_audio_is_heard_at_its_end(loud_spotter, bursts, span, smoothing_ms):
    """
    For audio shorter than a window `flush` gives the same detections as without a gate.
    """
    audio = bursts([span], length_s=span[1])
    plain = loud_spotter(smoothing_ms=smoothing_ms)
    gated = with_gate(loud_spotter(smoothing_ms=smoothing_ms))

    for _ in range(2):
        assert plain.process(audio) + plain.flush() == gated.process(audio) + gated.flush()
        assert (0, 0) == (gated.time_s, gated.gated_hops)


def test_a_word_at_the_very_end_is_heard_by_flush(loud_spotter, bursts):
    """
    A word that begins in the last, unfinished hop of a quiet recording opens the gate.
    """
    audio = bursts([(4.91, 4.99)], length_s=4.99)
    plain = loud_spotter(smoothing_ms=100)
    gated = with_gate(plain)

    assert [] == gated.process(audio)
    assert gated.gated_hops > 30

    found = gated.flush()
    plain.reset()

    assert 1 == len(found)
    assert plain.process(audio) + plain.flush() == found


def test_words_below_the_gate_are_lost(loud_spotter, bursts):
    """
    What a level above the words costs: they are not heard.
    """
    audio = bursts([(1.5, 2.5)], length_s=5)

    assert 1 == len(loud_spotter().process(audio))
    assert 1 == len(with_gate(loud_spotter(), -16).process(audio))
    assert [] == with_gate(loud_spotter(), -15).process(audio)


@pytest.mark.parametrize(("amplitude", "passed_over"), [(327, True), (328, False)])
def test_the_level_is_rms_below_full_scale(amplitude, passed_over):
    """
    -40 dB is a hundredth of full scale, 327.68; a sign that changes does not change it.
    """
    gate = EnergyGate(
        -40, sample_rate=SECOND, window_samples=15_920, hop_samples=1_600, lead_samples=0
    )
    block = np.resize(np.array([amplitude, -amplitude], dtype=np.int16), 15_920)

    assert passed_over == (gate.push(block) is None)


@pytest.mark.parametrize("hop_ms", [100, 1_000, 2_000])
def test_the_loudest_tenth_of_a_second_counts(hop_ms):
    """
    A short sound is as loud in a long hop, and in the first window, as in a short hop.
    """
    hop = 16 * hop_ms
    gate = EnergyGate(
        -40, sample_rate=SECOND, window_samples=16_000, hop_samples=hop, lead_samples=0
    )
    first, later = np.zeros(16_000, dtype=np.int16), np.zeros(hop, dtype=np.int16)
    first[4_800:6_400] = later[-1_600:] = 400

    assert gate.push(first) is not None

    gate.reset()
    gate.push(np.zeros(16_000, dtype=np.int16))

    assert gate.push(later) is not None


@pytest.mark.parametrize("gate_db", [-120.5, 0.5, 60, float("nan"), float("-inf")])
def test_levels_that_make_no_sense_are_refused(gate_db):
    """
    A level outside -120..0 dB is an error that names the range.
    """
    with pytest.raises(ConfigError, match=r"^gate_db: expected -120 to 0, got [-\w.]+$"):
        KeywordSpotter.from_model("default", gate_db=gate_db)
