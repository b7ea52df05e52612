"""`--record`: clips that hold what was heard, private, capped, and never in the way."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import tracemalloc
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kws import KeywordSpotter, models
from kws.audio_file import read_file
from kws.decision import Detection
from kws.errors import KwsError
from kws.recorder import DetectionRecorder

RATE = 16_000
DEMO = models.FIRMWARE_MODELS / "demo.wav"
WAV_HEADER_BYTES = 44
CLIP_BYTES = WAV_HEADER_BYTES + 2 * 2 * RATE
NOON = datetime(2026, 11, 22, 3, 25, 1)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "clips"


@pytest.fixture
def record(folder):
    """Make a recorder into `folder`, at a fixed time of day."""

    def make(**options) -> DetectionRecorder:
        return DetectionRecorder(folder, sample_rate=RATE, now=lambda: NOON, **options)

    return make


@pytest.fixture
def audio(rng):
    """Ten seconds of noise: each stretch of it is found in one place only."""
    return rng.integers(-30_000, 30_000, 10 * RATE, dtype=np.int16)


def clips(folder: Path) -> dict[str, np.ndarray]:
    """Return the clips by name; all are mono 16-bit WAV at 16 kHz, and nothing else is there."""
    found = {}
    for path in sorted(folder.iterdir()):
        info = soundfile.info(path)
        assert (info.format, info.subtype) == ("WAV", "PCM_16")
        assert (info.channels, info.samplerate) == (1, RATE)
        found[path.name] = soundfile.read(path, dtype="int16")[0]
    return found


def messages(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("chunk_samples", [1_600, 441, 16_000, 160_000])
def test_a_clip_holds_the_two_seconds_around_the_detection(record, folder, audio, chunk_samples):
    """
    A second and a half before it and half a second after, to the sample, however the audio is
    cut; the name tells date, stream time, keyword and score.
    """
    recorder = record()
    told = False
    for start in range(0, len(audio), chunk_samples):
        recorder.push(audio[start : start + chunk_samples])
        if start + chunk_samples >= 4.1 * RATE and not told:
            recorder.keep(Detection("yes", 0.971, 4.1))
            told = True
    recorder.flush()

    ((name, samples),) = clips(folder).items()
    assert name == "20261122T032501-0004.100s-yes-0.97.wav"
    np.testing.assert_array_equal(samples, audio[round(2.6 * RATE) : round(4.6 * RATE)])
    assert recorder.n_clips == 1


def test_a_clip_is_written_as_soon_as_it_is_whole(record, folder, audio):
    """
    With the sample that completes it, not before, and whatever becomes of the program later.
    """
    recorder = record()
    recorder.push(audio[: 4 * RATE])
    recorder.keep(Detection("yes", 0.9, 4.0))
    recorder.push(audio[4 * RATE : 4 * RATE + RATE // 2 - 1])
    before = clips(folder)
    recorder.push(audio[:1])

    assert before == {}
    assert len(clips(folder)) == 1


def test_detections_close_to_each_other_get_a_clip_each(record, folder, audio):
    """
    Three within half a second: three whole clips that overlap.
    """
    recorder = record()
    times = (3.0, 3.1, 3.4)
    for start, time_s in zip((0, *times), times):
        recorder.push(audio[round(start * RATE) : round(time_s * RATE)])
        recorder.keep(Detection("yes", 0.9, time_s))
    recorder.push(audio[round(times[-1] * RATE) :])

    found = list(clips(folder).values())
    assert len(found) == 3
    for time_s, samples in zip(times, found):
        end = round((time_s + 0.5) * RATE)
        np.testing.assert_array_equal(samples, audio[end - 2 * RATE : end])


def test_the_start_and_the_end_are_shorter(record, folder, audio):
    """
    Where there is no second and a half before, or no half second after, the clip has what
    there is; a detection in the silence that is fed after the end counts too.
    """
    recorder = record()
    recorder.push(audio[:RATE])
    recorder.keep(Detection("no", 0.8, 1.0))
    recorder.push(audio[RATE : 4 * RATE])
    recorder.keep(Detection("yes", 0.9, 4.3))
    recorder.keep(Detection("up", 0.9, 99.0))
    recorder.flush()
    recorder.flush()

    no, yes = clips(folder).values()
    np.testing.assert_array_equal(no, audio[: round(1.5 * RATE)])
    np.testing.assert_array_equal(yes, audio[round(2.8 * RATE) : 4 * RATE])


@pytest.mark.parametrize("n_lost", [0, 5_000])
def test_a_clip_never_spans_a_gap(record, folder, audio, n_lost):
    """
    It is cut at the gap, on either side; after it, time is ahead by what was lost.
    """
    recorder = record()
    gap = 4 * RATE
    recorder.push(audio[:gap])
    recorder.keep(Detection("yes", 0.9, 3.9))
    recorder.lost(n_lost)
    at_the_gap = len(clips(folder))
    recorder.push(audio[gap : gap + RATE])
    recorder.keep(Detection("no", 0.9, (gap + n_lost + RATE) / RATE))
    recorder.push(audio[gap + RATE : gap + 2 * RATE])

    before, after = clips(folder).values()
    assert at_the_gap == 1
    np.testing.assert_array_equal(before, audio[round(2.4 * RATE) : gap])
    np.testing.assert_array_equal(after, audio[gap : gap + RATE + RATE // 2])


def test_memory_does_not_grow(record, audio):
    """
    However long the audio, in whatever blocks, and with whatever detections.
    """
    recorder = record()

    def push(n_blocks: int) -> None:
        for number in range(n_blocks):
            recorder.push(audio[: 1 + 73 * (number % 9)])
            if number % 1_000 == 0:
                recorder.keep(Detection("yes", 0.9, 0.0))

    push(1_000)
    tracemalloc.start()
    try:
        push(5_000)
        bytes_more = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()

    # A minute and a half of audio is 3 MB.
    assert bytes_more < 3 * CLIP_BYTES


def test_what_is_kept_is_a_copy(record, folder, audio):
    """
    The caller may use its memory again.
    """
    recorder = record()
    block = audio[: 2 * RATE].copy()
    recorder.push(block)
    block[:] = 0
    recorder.keep(Detection("yes", 0.9, 1.5))

    np.testing.assert_array_equal(*clips(folder).values(), audio[: 2 * RATE])


def test_voices_are_private(record, folder, audio):
    """
    Only the owner may look into the folder and the files, whatever the umask allows.
    """
    before = os.umask(0)
    try:
        recorder = record()
        recorder.push(audio[: 2 * RATE])
        recorder.keep(Detection("yes", 0.9, 1.0))
    finally:
        os.umask(before)

    (path,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_recording_is_said_loudly(record, folder, caplog):
    """
    One warning at the start: what is kept, where, and up to how much.
    """
    record()

    assert messages(caplog) == [
        f"RECORDING IS ON: 2 s of audio around each detection are kept in {folder}, up to "
        "100 MB (0 MB there already)"
    ]


def test_nothing_is_overwritten(record, folder, audio):
    """
    A name that is taken, by a file or a dangling link, gets a number; several recorders at once
    lose nothing either.
    """
    folder.mkdir()
    (folder / "20261122T032501-0001.000s-yes-0.90.wav").symlink_to(folder / "nowhere")
    recorders = [record() for _ in range(8)]

    def work(recorder: DetectionRecorder) -> None:
        recorder.push(audio[: 2 * RATE])
        for _ in range(5):
            recorder.keep(Detection("yes", 0.9, 1.0))

    threads = [threading.Thread(target=work, args=[recorder]) for recorder in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    link, *rest = sorted(folder.iterdir(), key=lambda path: not path.is_symlink())
    assert link.is_symlink()
    assert len(rest) == 40
    assert {path.stat().st_size for path in rest} == {WAV_HEADER_BYTES + 3 * RATE}
    assert {int(path.stem.rpartition("0.90-")[2]) for path in rest} == set(range(2, 42))


def test_the_cap_counts_what_is_there_already(record, folder, audio, caplog):
    """
    With the clip that would go over it recording stops, once and for all, and says so once.
    """
    folder.mkdir()
    (folder / "old.wav").write_bytes(bytes(CLIP_BYTES))
    (folder / "notes.txt").write_bytes(bytes(1_000_000))
    recorder = record(max_bytes=3 * CLIP_BYTES)
    for second in range(8):
        recorder.push(audio[second * RATE : (second + 1) * RATE])
        recorder.keep(Detection("yes", 0.9, second + 1))
    recorder.flush()

    sizes = [path.stat().st_size for path in folder.glob("*.wav")]
    assert sum(sizes) <= 3 * CLIP_BYTES
    assert len(sizes) == 1 + recorder.n_clips == 3
    assert not recorder.recording
    assert messages(caplog)[1:] == [
        "recording has stopped, listening goes on: "
        f"{folder} is full: its WAV files may take 0.1921 MB"
    ]


def test_a_folder_that_goes_away_is_one_warning(record, folder, audio, caplog):
    """
    A disk that fails while listening stops the recording and nothing else.
    """
    recorder = record()
    recorder.push(audio[: 2 * RATE])
    recorder.keep(Detection("yes", 0.9, 1.0))
    next(folder.iterdir()).unlink()
    folder.rmdir()
    recorder.keep(Detection("yes", 0.9, 1.0))
    recorder.keep(Detection("yes", 0.9, 1.0))
    recorder.push(audio[: 2 * RATE])
    recorder.flush()

    assert not recorder.recording
    assert recorder.n_clips == 1
    assert messages(caplog)[1:] == [
        f"recording has stopped, listening goes on: {folder}: No such file or directory"
    ]


def test_a_disk_that_is_full_leaves_no_half_file(folder):
    """
    A clip that the disk has no room for is gone without a trace; the one before it is whole.
    """
    # The limit on the size of files fails writes as a full disk does; it is the process' own.
    code = (
        "import resource, sys, numpy\n"
        "from kws.decision import Detection\n"
        "from kws.recorder import DetectionRecorder\n"
        f"recorder = DetectionRecorder(sys.argv[1], sample_rate={RATE})\n"
        f"recorder.push(numpy.ones(2 * {RATE}, numpy.int16))\n"
        "recorder.keep(Detection('yes', 0.9, 1.0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "recorder.keep(Detection('no', 0.9, 1.0))\n"
        f"recorder.push(numpy.ones(2 * {RATE}, numpy.int16))\n"
        "recorder.keep(Detection('no', 0.9, 1.0))\n"
        "print(recorder.recording, recorder.n_clips)\n"
    )
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", code, str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    ((name, samples),) = clips(folder).items()
    assert "-yes-" in name
    assert len(samples) == round(1.5 * RATE)
    assert done.stdout == "False 1\n"
    assert done.stderr.splitlines()[1:] == [
        f"recording has stopped, listening goes on: {folder}: File too large"
    ]


@pytest.mark.parametrize("below", ["", "/clips"])
def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, below):
    """
    A file in the place of the folder or above it is a clear error at the start.
    """
    (tmp_path / "file").write_text("not a folder")
    wanted = f"{tmp_path}/file{below}"

    with pytest.raises(KwsError, match=f"^{wanted}: expected a folder to record to, .*[a-z]$"):
        DetectionRecorder(wanted, sample_rate=RATE)


def test_a_folder_without_permission_is_refused_at_the_start(tmp_path):
    """
    A folder that is there but may not be written to is an error at the start, not at night.
    """
    folder = Path("/proc")
    if not folder.is_dir():
        pytest.skip("no folder here that nobody may write to")

    with pytest.raises(KwsError, match="/proc: expected a folder to record to"):
        DetectionRecorder(folder, sample_rate=RATE)


@pytest.mark.parametrize(
    "options",
    [{"before_s": -1}, {"after_s": -0.1}, {"before_s": 0, "after_s": 0}, {"max_bytes": 0}],
)
def test_settings_without_sense_are_refused(record, folder, options):
    """
    Negative times, clips of no length or no room at all: a clear error, and no folder is made.
    """
    with pytest.raises(KwsError, match="recording: expected"):
        record(**options)

    assert not folder.exists()


@pytest.mark.parametrize(
    ("keyword", "part"),
    [
        ("hey lamp", "hey_lamp"),
        ("../../etc/passwd", "_etc_passwd"),
        ("an/aus", "an_aus"),
        ("да", "да"),
        ("x" * 300, "x" * 40),
    ],
)
def test_a_keyword_makes_no_path(record, folder, audio, keyword, part):
    """
    Labels are anybody's: in a name they are letters, digits, hyphens and underscores, not many.
    """
    recorder = record()
    recorder.push(audio[: 2 * RATE])
    recorder.keep(Detection(keyword, 0.9, 1.0))

    (name,) = clips(folder)
    assert re.fullmatch(rf"20261122T032501-0001\.000s-{part}-0\.90\.wav", name)


def test_the_clips_of_the_demo_hold_its_words(folder):
    """
    Each of the ten words is heard again in its clip alone.
    """
    spotter = KeywordSpotter.from_model("default")
    recorder = DetectionRecorder(folder, sample_rate=spotter.sample_rate)
    heard = []
    for chunk in read_file(DEMO):
        recorder.push(chunk)
        for detection in spotter.process(chunk):
            heard.append(detection.keyword)
            recorder.keep(detection)
    recorder.flush()

    again = {
        name.split("-")[2]: {
            found.keyword for found in (*spotter.process(samples), *spotter.flush())
        }
        for name, samples in clips(folder).items()
    }
    assert len(heard) == recorder.n_clips == 10
    assert again == {keyword: {keyword} for keyword in heard}
