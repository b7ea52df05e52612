"""The energy gate skips quiet hops and changes nothing in the others."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.gated import (
    SECOND,
    Hops,
    cuts,
    floor,
    in_turn,
    listen,
    stretches,
    with_gate,
    without_context,
)
from test_promises_kinds import FRONTENDS
from test_promises_kinds import make as make_kind

from kws import KeywordSpotter
from kws.decision.policy import Detection


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
    return without_context("tiny", mode=request.param)


@pytest.fixture(scope="module")
def expected(plain, spaced_words) -> tuple[list[Detection], Hops]:
    """Return detections and hops without a gate."""
    plain.reset()
    return listen(plain, spaced_words)


@pytest.fixture(scope="module")
def gated(plain, expected) -> KeywordSpotter:
    return with_gate(plain)


def test_detections_are_those_without_a_gate(gated, expected, spaced_words):
    """
    Detections are the same, and each hop that ran has the same posterior and scores to the last
    bit. Many hops were skipped.
    """
    gated.reset()
    detections, hops = listen(gated, spaced_words)

    assert len(expected[0]) >= 4
    assert expected[0] == detections
    assert {time_s: expected[1][time_s] for time_s in hops} == hops
    assert len(expected[1]) - len(hops) == gated.gated_hops
    assert 0.2 * len(expected[1]) < gated.gated_hops < 0.8 * len(expected[1])


@pytest.mark.parametrize("name", ["default", "tiny", "large"])
def test_skipped_hops_count_as_quiet_for_the_speech_context(name, spaced_words):
    """
    With an active speech context a gated spotter detects the same words, at most two hops earlier,
    because skipped hops count as quiet.
    """
    plain = KeywordSpotter.from_model(name)
    assert plain.context.is_active
    expected, _ = listen(plain, spaced_words)
    gated = with_gate(plain)
    plain.reset()
    detections, _ = listen(gated, spaced_words)
    sooner = [one.time_s - other.time_s for one, other in zip(expected, detections)]

    assert len(expected) >= 4
    assert [one.keyword for one in expected] == [one.keyword for one in detections]
    assert -1e-9 <= min(sooner) <= max(sooner) <= 0.2 + 1e-9
    assert gated.gated_hops > 20


def test_the_speech_context_decays_in_skipped_hops(demo_audio):
    """
    During skipped hops the speech context decays as during quiet ones.
    """
    gated = with_gate(KeywordSpotter.from_model("default"))
    hops = gated.process(demo_audio[: 8 * SECOND])
    before = gated.context.push(np.zeros(12, dtype=np.float32))
    gated.process(floor(6 * SECOND))
    faded = np.exp(-0.1 * gated.gated_hops / 2.0)
    after = gated.context.push(np.zeros(12, dtype=np.float32))

    assert hops
    assert gated.gated_hops >= 40
    assert 0.05 < before
    # The half second that is counted late still comes in after the pause has begun.
    assert after <= (before + 0.25) * faded + 0.02


@pytest.mark.parametrize("mode", ["stream", "window"])
def test_detections_in_the_demo_are_those_without_a_gate(demo_audio, mode):
    """
    The demo recording as it is, whatever the level of the gate below its words; the model's
    arithmetic spelt out by the reference kernels.
    """
    audio = demo_audio[: 6 * SECOND]
    plain = without_context("default", mode=mode, kernels="reference")
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
    For every block size the same hops are skipped, and the others give the same results.
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
    After reset, with the gate open or closed, the spotter equals a new one.
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
    After a gap the detections are those without a gate.
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
    With short, odd and long hops, hops that ran are the same and quiet ones are skipped.
    """
    plain = without_context("tiny", hop_ms=hop_ms, mode=mode)
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


@pytest.mark.data
def test_detections_in_real_speech_are_those_without_a_gate(kws_data):
    """
    Recorded words of many speakers with pauses of many lengths: the gate changes no detection.
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
    plain = without_context("default")
    expected, hops = listen(plain, audio)
    gated = with_gate(plain)
    plain.reset()
    detections, ran = listen(gated, audio)

    assert len(expected) > 15
    assert expected == detections
    assert {time_s: hops[time_s] for time_s in ran} == ran
    assert gated.gated_hops > 0.1 * len(hops)
