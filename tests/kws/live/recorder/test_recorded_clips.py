"""`--record`: clips with exactly the right samples."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from support.clip_files import CLIP_BYTES, RATE, clips

from kws import KeywordSpotter, models
from kws.audio.files import read_file
from kws.decision.policy import Detection
from kws.live.recorder import DetectionRecorder

DEMO = models.FIRMWARE_MODELS / "demo.wav"


@pytest.mark.parametrize("chunk_samples", [1_600, 441, 16_000, 160_000])
def test_a_clip_holds_the_two_seconds_around_the_detection(record, folder, audio, chunk_samples):
    """
    1.5 s before and 0.5 s after, to the sample, for any chunk length; the name has date, stream
    time, keyword and score.
    """
    recorder = record()
    told = False
    for start in range(0, len(audio), chunk_samples):
        recorder.samples(audio[start : start + chunk_samples])
        if start + chunk_samples >= 4.1 * RATE and not told:
            recorder.detection(Detection("yes", 0.971, 4.1))
            told = True
    recorder.close()

    ((name, samples),) = clips(folder).items()
    assert name == "20261122T032501-0004.100s-yes-0.97.wav"
    np.testing.assert_array_equal(samples, audio[round(2.6 * RATE) : round(4.6 * RATE)])
    assert recorder.n_clips == 1


def test_a_clip_is_written_as_soon_as_it_is_complete(record, folder, audio):
    """
    With the sample that completes it, not before.
    """
    recorder = record()
    recorder.samples(audio[: 4 * RATE])
    recorder.detection(Detection("yes", 0.9, 4.0))
    recorder.samples(audio[4 * RATE : 4 * RATE + RATE // 2 - 1])
    before = clips(folder)
    recorder.samples(audio[:1])

    assert before == {}
    assert len(clips(folder)) == 1


def test_detections_close_to_each_other_get_a_clip_each(record, folder, audio):
    """
    Three within half a second: three complete clips that overlap.
    """
    recorder = record()
    times = (3.0, 3.1, 3.4)
    for start, time_s in zip((0, *times), times):
        recorder.samples(audio[round(start * RATE) : round(time_s * RATE)])
        recorder.detection(Detection("yes", 0.9, time_s))
    recorder.samples(audio[round(times[-1] * RATE) :])

    found = list(clips(folder).values())
    assert len(found) == 3
    for time_s, samples in zip(times, found):
        end = round((time_s + 0.5) * RATE)
        np.testing.assert_array_equal(samples, audio[end - 2 * RATE : end])


def test_clips_at_the_start_and_the_end_are_shorter(record, folder, audio):
    """
    They hold what there is; a detection in the silence after the end counts too.
    """
    recorder = record()
    recorder.samples(audio[:RATE])
    recorder.detection(Detection("no", 0.8, 1.0))
    recorder.samples(audio[RATE : 4 * RATE])
    recorder.detection(Detection("yes", 0.9, 4.3))
    recorder.detection(Detection("up", 0.9, 99.0))
    recorder.close()
    recorder.close()

    no, yes = clips(folder).values()
    np.testing.assert_array_equal(no, audio[: round(1.5 * RATE)])
    np.testing.assert_array_equal(yes, audio[round(2.8 * RATE) : 4 * RATE])


@pytest.mark.parametrize("n_lost", [0, 5_000])
def test_a_clip_never_spans_a_gap(record, folder, audio, n_lost):
    """
    It ends at the gap on either side; after it, time is ahead by the lost samples.
    """
    recorder = record()
    gap = 4 * RATE
    recorder.samples(audio[:gap])
    recorder.detection(Detection("yes", 0.9, 3.9))
    recorder.gap(n_lost)
    at_the_gap = len(clips(folder))
    recorder.samples(audio[gap : gap + RATE])
    recorder.detection(Detection("no", 0.9, (gap + n_lost + RATE) / RATE))
    recorder.samples(audio[gap + RATE : gap + 2 * RATE])

    before, after = clips(folder).values()
    assert at_the_gap == 1
    np.testing.assert_array_equal(before, audio[round(2.4 * RATE) : gap])
    np.testing.assert_array_equal(after, audio[gap : gap + RATE + RATE // 2])


def test_memory_does_not_grow(record, audio):
    """
    For any length of audio, blocks and detections.
    """
    recorder = record()

    def push(n_blocks: int) -> None:
        for number in range(n_blocks):
            recorder.samples(audio[: 1 + 73 * (number % 9)])
            if number % 1_000 == 0:
                recorder.detection(Detection("yes", 0.9, 0.0))

    push(1_000)
    tracemalloc.start()
    try:
        push(5_000)
        bytes_more = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    # A minute and a half of audio is 3 MB.
    assert bytes_more < 3 * CLIP_BYTES


def test_samples_are_copied(record, folder, audio):
    """
    The caller may reuse its memory.
    """
    recorder = record()
    block = audio[: 2 * RATE].copy()
    recorder.samples(block)
    block[:] = 0
    recorder.detection(Detection("yes", 0.9, 1.5))

    np.testing.assert_array_equal(*clips(folder).values(), audio[: 2 * RATE])


def test_the_clips_of_the_demo_contain_its_words(folder):
    """
    Each of the ten words is detected in its clip alone.
    """
    spotter = KeywordSpotter.from_model("default")
    recorder = DetectionRecorder(folder, sample_rate=spotter.sample_rate)
    heard = []
    for chunk in read_file(DEMO):
        recorder.samples(chunk)
        for detection in spotter.process(chunk):
            heard.append(detection.keyword)
            recorder.detection(detection)
    recorder.close()

    again = {
        name.split("-")[2]: {
            found.keyword for found in (*spotter.process(samples), *spotter.flush())
        }
        for name, samples in clips(folder).items()
    }
    assert len(heard) == recorder.n_clips == 10
    assert again == {keyword: {keyword} for keyword in heard}
