"""`--record`: a private folder with a size limit, whose failure does not stop the listening."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading

import pytest
from support.clip_files import CLIP_BYTES, RATE, WAV_HEADER_BYTES, clips
from support.logged import messages

from kws.decision.policy import Detection
from kws.errors import KwsError
from kws.live.recorder import DetectionRecorder


def test_clips_are_private(record, folder, audio):
    """
    Only the owner may read the folder and the files, whatever the umask.
    """
    before = os.umask(0)
    try:
        recorder = record()
        recorder.samples(audio[: 2 * RATE])
        recorder.detection(Detection("yes", 0.9, 1.0))
    finally:
        os.umask(before)

    (path,) = folder.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_recording_is_announced(record, folder, caplog):
    """
    One warning at the start: what is kept, where, and how much at most.
    """
    record()

    assert messages(caplog) == [
        f"RECORDING IS ON: 2 s of audio around each detection are kept in {folder}, up to "
        "100 MB (0 MB there already)"
    ]


def test_nothing_is_overwritten(record, folder, audio):
    """
    A name that is taken, by a file or a dangling link, gets a number; several recorders at once
    lose nothing.
    """
    folder.mkdir()
    (folder / "20261122T032501-0001.000s-yes-0.90.wav").symlink_to(folder / "nowhere")
    recorders = [record() for _ in range(8)]

    def work(recorder: DetectionRecorder) -> None:
        recorder.samples(audio[: 2 * RATE])
        for _ in range(5):
            recorder.detection(Detection("yes", 0.9, 1.0))

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


def test_the_limit_includes_existing_clips(record, folder, audio, caplog):
    """
    The clip that would exceed it stops the recording for good, with one warning.
    """
    folder.mkdir()
    (folder / "old.wav").write_bytes(bytes(CLIP_BYTES))
    (folder / "notes.txt").write_bytes(bytes(1_000_000))
    recorder = record(max_bytes=3 * CLIP_BYTES)
    for second in range(8):
        recorder.samples(audio[second * RATE : (second + 1) * RATE])
        recorder.detection(Detection("yes", 0.9, second + 1))
    recorder.close()

    sizes = [path.stat().st_size for path in folder.glob("*.wav")]
    assert sum(sizes) <= 3 * CLIP_BYTES
    assert len(sizes) == 1 + recorder.n_clips == 3
    assert not recorder.recording
    assert messages(caplog)[1:] == [
        "recording has stopped, listening goes on: "
        f"{folder} is full: its WAV files may take 0.1921 MB"
    ]


def test_a_missing_folder_stops_the_recording(record, folder, audio, caplog):
    """
    A disk that fails while listening is one warning, and affects nothing else.
    """
    recorder = record()
    recorder.samples(audio[: 2 * RATE])
    recorder.detection(Detection("yes", 0.9, 1.0))
    next(folder.iterdir()).unlink()
    folder.rmdir()
    recorder.detection(Detection("yes", 0.9, 1.0))
    recorder.detection(Detection("yes", 0.9, 1.0))
    recorder.samples(audio[: 2 * RATE])
    recorder.close()

    assert not recorder.recording
    assert recorder.n_clips == 1
    assert messages(caplog)[1:] == [
        f"recording has stopped, listening goes on: {folder}: No such file or directory"
    ]


def test_a_full_disk_leaves_no_partial_file(folder):
    """
    The clip that does not fit is removed; the one before it is complete.
    """
    # The limit on the size of files fails writes as a full disk does; it is the process' own.
    code = (
        "import resource, sys, numpy\n"
        "from kws.decision.policy import Detection\n"
        "from kws.live.recorder import DetectionRecorder\n"
        f"recorder = DetectionRecorder(sys.argv[1], sample_rate={RATE})\n"
        f"recorder.samples(numpy.ones(2 * {RATE}, numpy.int16))\n"
        "recorder.detection(Detection('yes', 0.9, 1.0))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "recorder.detection(Detection('no', 0.9, 1.0))\n"
        f"recorder.samples(numpy.ones(2 * {RATE}, numpy.int16))\n"
        "recorder.detection(Detection('no', 0.9, 1.0))\n"
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
def test_a_folder_that_cannot_be_created_is_one_line(tmp_path, below):
    """
    A file in its place or above it is an error at the start.
    """
    (tmp_path / "file").write_text("not a folder")
    wanted = f"{tmp_path}/file{below}"

    with pytest.raises(KwsError, match=f"^{wanted}: expected a folder to record to, .*[a-z]$"):
        DetectionRecorder(wanted, sample_rate=RATE)


def test_impossible_settings_are_refused(record, folder):
    """
    No room is an error, and no folder is created.
    """
    with pytest.raises(KwsError, match="max_bytes: expected at least 1, got 0"):
        record(max_bytes=0)

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
def test_a_keyword_is_made_safe_for_a_file_name(record, folder, audio, keyword, part):
    """
    Only letters, digits, hyphens and underscores remain, and not too many.
    """
    recorder = record()
    recorder.samples(audio[: 2 * RATE])
    recorder.detection(Detection(keyword, 0.9, 1.0))

    (name,) = clips(folder)
    assert re.fullmatch(rf"20261122T032501-0001\.000s-{part}-0\.90\.wav", name)
