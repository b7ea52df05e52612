"""The energy gate: what it passes over, and that nothing else is heard otherwise for it."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_promises_kinds import FRONTENDS
from test_promises_kinds import make as make_kind

from kws import KeywordSpotter
from kws.decision import Detection
from kws.errors import ConfigError
from kws.gate import EnergyGate

SECOND = 16_000
# Between the floor that these tests make and anything that they let sound.
GATE_DB = -56.0
FLOOR_RMS = 16.4
Hops = dict[float, tuple[bytes, Any]]

stretches = st.lists(st.integers(1, 60_000), min_size=1, max_size=6)
cuts = st.lists(
    st.one_of(
        st.sampled_from([1, 159, 1_599, 1_600, 1_601, 15_920, 160_000]), st.integers(1, 40_000)
    ),
    min_size=1,
    max_size=6,
)


def listen(
    spotter: KeywordSpotter, audio: np.ndarray, sizes: list[int] | None = None
) -> tuple[list[Detection], Hops]:
    """Return detections, and posterior and scores of each hop by its time; audio cut by `sizes`."""
    hops: Hops = {}

    def note(time_s: float, posterior: np.ndarray, scores: np.ndarray | None) -> None:
        hops[time_s] = (posterior.tobytes(), None if scores is None else scores.tobytes())

    spotter.on_posterior = note
    detections: list[Detection] = []
    at = n = 0
    sizes = sizes or [max(1, len(audio))]
    while at < len(audio):
        detections += spotter.process(audio[at : at + sizes[n % len(sizes)]])
        at += sizes[n % len(sizes)]
        n += 1
    spotter.on_posterior = None
    return detections, hops


def with_gate(spotter: KeywordSpotter, gate_db: float = GATE_DB) -> KeywordSpotter:
    """Return a spotter with a gate round the same model, for use in turn."""
    return KeywordSpotter(
        spotter.manifest, spotter.model, thresholds=spotter.thresholds, gate_db=gate_db
    )


def floor(n_samples: int) -> np.ndarray:
    """Return noise at -66 dB below full scale."""
    return np.random.default_rng(3).normal(0, FLOOR_RMS, n_samples).round().astype(np.int16)


def in_turn(lengths: list[int], *, loud_first: bool) -> np.ndarray:
    """Return stretches of floor and of loud noise in turn."""
    rng = np.random.default_rng(5)
    pieces = [
        rng.normal(0, 3_000, n).astype(np.int16) if loud_first == (index % 2 == 0) else floor(n)
        for index, n in enumerate(lengths)
    ]
    return np.concatenate(pieces)


@pytest.fixture(scope="module")
def spaced_words(demo_audio) -> np.ndarray:
    """Words over a low floor, with pauses that close the gate for no time, a little, and long."""
    pauses_s = (3.2, 0.35, 1.33, 1.47, 2.05, 3.61, 6.0)
    pieces = []
    for number, pause_s in enumerate(pauses_s):
        start = round((0.9 + 1.7 * number) * SECOND)
        pieces += [floor(round(pause_s * SECOND)), demo_audio[start : start + SECOND]]
    return np.concatenate([*pieces, floor(5 * SECOND)])


@pytest.fixture(scope="module", params=["stream", "window"])
def plain(request) -> KeywordSpotter:
    """A model that ships, without a gate."""
    return KeywordSpotter.from_model("tiny", mode=request.param)


@pytest.fixture(scope="module")
def expected(plain, spaced_words) -> tuple[list[Detection], Hops]:
    """What is heard without a gate."""
    plain.reset()
    return listen(plain, spaced_words)


@pytest.fixture(scope="module")
def gated(plain, expected) -> KeywordSpotter:
    return with_gate(plain)


def test_words_over_a_low_floor_are_heard_as_without_a_gate(gated, expected, spaced_words):
    """
    Detections are the same; each hop that ran has the same posterior and scores to the last bit;
    the others were passed over, and there were many.
    """
    gated.reset()
    detections, hops = listen(gated, spaced_words)

    assert len(expected[0]) >= 4
    assert expected[0] == detections
    assert {time_s: expected[1][time_s] for time_s in hops} == hops
    assert len(expected[1]) - len(hops) == gated.gated_hops
    assert 0.2 * len(expected[1]) < gated.gated_hops < 0.8 * len(expected[1])


@pytest.mark.parametrize("mode", ["stream", "window"])
def test_the_demo_is_heard_as_without_a_gate(demo_audio, mode):
    """
    The demo recording as it is, whatever the level of the gate below its words; the model's
    arithmetic spelt out by the reference kernels.
    """
    audio = demo_audio[: 6 * SECOND]
    plain = KeywordSpotter.from_model("default", mode=mode, kernels="reference")
    detections, hops = listen(plain, audio)

    for gate_db in (-60, -40):
        gated = with_gate(plain, gate_db)
        heard, ran = listen(gated, audio)

        assert detections == heard
        assert {time_s: hops[time_s] for time_s in ran} == ran
        assert len(hops) - len(ran) == gated.gated_hops

    assert gated.gated_hops > 0


@settings(max_examples=12)
@given(sizes=cuts)
@example(sizes=[1])
@example(sizes=[1_600])
def test_1_chunking_does_not_matter(gated, expected, spaced_words, sizes):
    """
    However the audio is cut, the same hops are passed over and the same is heard in the others.
    """
    audio = spaced_words[: 9 * SECOND]
    gated.reset()
    whole = listen(gated, audio)
    n_gated = gated.gated_hops
    gated.reset()

    assert n_gated > 20
    assert whole == listen(gated, audio, sizes)
    assert n_gated == gated.gated_hops


@pytest.mark.parametrize("n_before", [0, 1_000, 15_920, 3 * SECOND, 5 * SECOND, 90_000])
def test_3_reset_equals_new(gated, expected, spaced_words, n_before):
    """
    After reset, with the gate open, closed, or never tried, all is as with a new spotter.
    """
    gated.reset()
    gated.process(spaced_words[:n_before])
    gated.reset()
    detections, hops = listen(gated, spaced_words)

    assert expected[0] == detections
    assert {time_s: expected[1][time_s] for time_s in hops} == hops

    gated.flush()

    assert 0 == gated.gated_hops
    assert (detections, hops) == listen(gated, spaced_words)


@pytest.mark.parametrize("n_before", [1_000, 3 * SECOND, 5 * SECOND, 90_000])
def test_2_lost_samples_reset_the_gate_too(plain, gated, spaced_words, n_before):
    """
    After a gap everything is heard as without a gate, at the time of the gap.
    """
    audio = spaced_words[2 * SECOND :]
    plain.reset()
    plain.process(spaced_words[:n_before])
    plain.skip(777)
    detections, hops = listen(plain, audio)
    gated.reset()
    gated.process(spaced_words[:n_before])
    gated.skip(777)
    heard, ran = listen(gated, audio)

    assert len(detections) >= 4
    assert detections == heard
    assert {time_s: hops[time_s] for time_s in ran} == ran
    assert len(ran) < len(hops)


@pytest.mark.parametrize("hop_ms", [20, 50, 130, 1_000, 2_000])
@pytest.mark.parametrize("mode", ["auto", "window"])
def test_other_hops_are_right_too(spaced_words, hop_ms, mode):
    """
    Hops shorter, odd, or longer than the window: what ran is the same, quiet was passed over.
    """
    plain = KeywordSpotter.from_model("tiny", hop_ms=hop_ms, mode=mode)
    gated = with_gate(plain)
    audio = np.concatenate((spaced_words[-20 * SECOND :], floor(4 * SECOND), spaced_words))
    expected = listen(plain, audio)
    plain.reset()
    detections, hops = listen(gated, audio)

    assert expected[0] == detections
    assert {time_s: expected[1][time_s] for time_s in hops} == hops
    assert 0 < len(hops) == len(expected[1]) - gated.gated_hops < len(expected[1])


@settings(max_examples=12)
@given(lengths=stretches, loud_first=st.booleans(), sizes=cuts)
@example(lengths=[60_000] * 6, loud_first=False, sizes=[160_000])
@example(lengths=[20_000, 21_000] * 3, loud_first=True, sizes=[1_600])
@pytest.mark.parametrize("name", sorted(FRONTENDS))
def test_every_front_end_catches_up_exactly(name, lengths, loud_first, sizes):
    """
    Waveforms and spectrograms, at 16 kHz and behind the filter to 8 kHz: a posterior made of every
    value of its window is the same with a gate, as are the scores.
    """
    audio = in_turn(lengths, loud_first=loud_first)
    _, expected = listen(make_kind(name), audio)
    gated = with_gate(make_kind(name))
    _, hops = listen(gated, audio, sizes)

    assert {time_s: expected[time_s] for time_s in hops} == hops
    assert len(expected) - len(hops) == gated.gated_hops


@settings(max_examples=40)
@given(lengths=stretches, loud_first=st.booleans())
@example(lengths=[20_800] * 6, loud_first=False)
def test_those_hops_are_passed_over_that_saw_quiet_alone(loud_spotter, lengths, loud_first):
    """
    A hop is passed over if, and only if, no loud block ends in its window or in one that is
    averaged with it. The model is never asked for more than without a gate.
    """
    audio = in_turn(lengths, loud_first=loud_first)
    gated = with_gate(loud_spotter(smoothing_ms=300))
    frames: list[int] = []
    push = gated.model.push
    gated.model.push = lambda new: (frames.append(len(new)), push(new))[1]
    _, hops = listen(gated, audio)
    ends = list(range(15_920, len(audio) + 1, 1_600))
    blocks = np.split(audio, ends)[: len(ends)]
    levels = [np.abs(block).max(initial=0) for block in blocks]
    loud_ends = [end for end, level in zip(ends, levels) if level > 300]
    ran = [end for end in ends if any(end - 15_920 - 3_200 < loud <= end for loud in loud_ends)]

    assert [end / SECOND for end in ran] == list(hops)
    assert sum(frames) <= 98 + 10 * (len(ends) - 1)


@pytest.mark.parametrize("noise", ["digital silence", "floor"])
def test_quiet_runs_nothing(noise):
    """
    In digital silence, and in noise below the gate, every hop is passed over from the start.
    """
    audio = np.zeros(20 * SECOND, dtype=np.int16) if noise != "floor" else floor(20 * SECOND)
    spotter = KeywordSpotter.from_model("default", gate_db=GATE_DB)
    spotter.model.push = lambda frames: pytest.fail("the model was run")

    assert ([], {}) == listen(spotter, audio)
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
    A word fires once; said again after a silence in which nothing ran, it fires again.
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
    Flush hears in audio shorter than a window what it hears without a gate.
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
    The gate's level lies in -120..0 dB below full scale; the message says so in one line.
    """
    with pytest.raises(ConfigError, match=r"^gate_db: expected -120 to 0 dB, got [-\w.]+$"):
        KeywordSpotter.from_model("default", gate_db=gate_db)


@pytest.mark.data
def test_real_speech_is_heard_as_without_a_gate(kws_data):
    """
    Recorded words of many speakers over a low floor, with pauses of many lengths: nothing is
    heard otherwise for the gate.
    """
    clips = kws_data / "speech_commands"
    words = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
    names = [
        name for name in sorted((clips / "validation_list.txt").read_text().split()) if "/" in name
    ]
    pieces = []
    for number, word in enumerate(3 * words):
        name = [name for name in names if name.startswith(f"{word}/")][number // len(words)]
        samples, _ = soundfile.read(str(clips / name), dtype="int16")
        pieces += [floor(round((0.5 + 0.31 * (number % 13)) * SECOND)), samples]
    audio = np.concatenate([*pieces, floor(3 * SECOND)])
    plain = KeywordSpotter.from_model("default")
    expected, hops = listen(plain, audio)
    gated = with_gate(plain)
    plain.reset()
    detections, ran = listen(gated, audio)

    assert len(expected) > 15
    assert expected == detections
    assert {time_s: hops[time_s] for time_s in ran} == ran
    assert gated.gated_hops > 0.1 * len(hops)
