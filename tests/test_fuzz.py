"""What comes from outside is refused in one clear line or used: no traceback, hang or flood.

A short run of the fuzzers in `tests/fuzz`, the same in every run; `make fuzz` goes on for long.
"""

from __future__ import annotations

import copy
import io
import itertools
import json
import os
import random
import re
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import fuzz_audio, fuzz_manifest, fuzz_pcm, run
from fuzz.checks import BrokenPromiseError, check_message, watched_interpreter
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kws import models
from kws.audio.files import read_pcm
from kws.errors import AudioError, ManifestError
from kws.manifest import read_manifest
from kws.spotter import KeywordSpotter

TESTS = Path(__file__).parent
TARGETS = {"audio": fuzz_audio, "manifest": fuzz_manifest, "pcm": fuzz_pcm}
N_INPUTS = {"audio": 500, "manifest": 400, "pcm": 300}


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_of_each_fuzzer_finds_nothing(name, tmp_path):
    """
    Every real input and hundreds of mutated ones end in a result or a one-line error, and no
    model file reaches the interpreter.
    """
    target = TARGETS[name].Target(tmp_path)
    outcomes = [target(seed) for seed in target.seeds()]
    run.run_at_random(
        lambda data: outcomes.append(target(data)),
        target,
        target.seeds(),
        n_inputs=N_INPUTS[name],
        seed=5,
    )

    assert len(outcomes) == len(target.seeds()) + N_INPUTS[name]
    # Neither was all refused nor all taken.
    assert {"model", "samples"} & set(outcomes)
    assert {"AudioError", "ManifestError"} & set(outcomes)
    assert name != "manifest" or (target.n_opened > 20 and target.n_unconfirmed == 0)


@pytest.mark.slow
@pytest.mark.parametrize("name", TARGETS)
def test_a_short_guided_run_reaches_new_code_and_no_fault(name, tmp_path):
    """
    Guided by coverage, a fuzzer reaches code that the real inputs do not, and nothing breaks.
    """
    pytest.importorskip("atheris", reason="has wheels for Python 3.11 to 3.13 on x86_64 alone")

    done = subprocess.run(
        [sys.executable, "-m", "fuzz.run", name, "--inputs", "400", "--out", str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        capture_output=True,
        text=True,
        timeout=100,
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    found = re.search(r"new_units_added:\s+(\d+)", done.stderr)
    assert found
    assert int(found[1]) > 0
    assert not list((tmp_path / "out" / "finds").glob("*"))


def test_the_fuzzers_can_fail(tmp_path):
    """
    A broken promise is detected by the checks and by the watch on the interpreter.
    """
    with pytest.raises(BrokenPromiseError, match="one printable line"):
        check_message(ManifestError("two\nlines"))
    with pytest.raises(BrokenPromiseError, match="names there"):
        check_message(ManifestError("somewhere"), where="there")
    target = fuzz_manifest.Target(tmp_path)
    with pytest.raises(BrokenPromiseError, match="confirmed files only"):
        target._check_opened(["0" * 64], b"{}")


def test_a_find_is_kept_and_the_run_goes_on(tmp_path, monkeypatch):
    """
    The first input for each failing place is written with its traceback; a hang counts as one.
    """
    monkeypatch.setattr(run, "TIMEOUT_S", 0.05)

    def target(data: bytes) -> str:
        while data == b"hang":
            pass
        return str(json.loads(data))

    trials = run.Trials(target, tmp_path, alarm=True)
    for data in (b"1", b"", b"hang", b"[", b"2"):
        trials(data)
    kept = {path.read_bytes() for path in tmp_path.glob("finds/*.input")}

    assert {"1": 1, "2": 1, "find": 3} == dict(trials.outcomes)
    assert kept == {b"", b"hang"}
    assert all("Traceback" in path.read_text() for path in tmp_path.glob("finds/*.txt"))


def tampered(tampering: int, use: int) -> bytes:
    """Return the fuzzer's input of a good manifest with its model files changed."""
    table = json.loads(models.find(fuzz_manifest.MODEL).read_text(encoding="utf-8"))
    return bytes((tampering, 0, 100, 0, use)) + json.dumps(table).encode()


@pytest.mark.parametrize("use", range(3))
@pytest.mark.parametrize("tampering", range(len(fuzz_manifest.Target.TAMPERINGS)))
def test_only_a_confirmed_model_reaches_the_interpreter(tmp_path, tampering, use):
    """
    A file with the manifest's SHA-256 is opened, once; one flipped bit, a cut, another file with a
    model's mark, a folder, a pipe, an empty file or a link to another model never gets there.
    """
    target = fuzz_manifest.Target(tmp_path)
    outcome = target(tampered(tampering, use))

    expected = ("model", 1) if tampering == 0 else ("ManifestError", 0)
    assert expected == (outcome, target.n_opened)


@pytest.mark.parametrize("file", fuzz_manifest.OTHER_FILES)
def test_another_file_never_reaches_the_interpreter(tmp_path, file):
    """
    A manifest that names another file in its folder, a pipe or 32 GB of nothing, gives an error.
    """
    target = fuzz_manifest.Target(tmp_path)
    table = json.loads((models.FIRMWARE_MODELS / "tiny.json").read_text(encoding="utf-8"))
    table["window"]["file"] = file
    path = tmp_path / "tiny.json"
    path.write_text(json.dumps(table), encoding="utf-8")

    with watched_interpreter() as seen, pytest.raises(ManifestError, match=file):
        KeywordSpotter.from_model(path, mode="window")
    assert seen == []
    assert target.n_opened == 0


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
TABLE = {**json.loads(models.find("tiny").read_text(encoding="utf-8")), "metrics": {}}
TABLE["training"] = {}
PATHS = [
    *((key,) for key in TABLE),
    *((part, key) for part in ("frontend", "window", "decision", "stream") for key in TABLE[part]),
]


@pytest.mark.slow
@given(st.sampled_from(PATHS), JSON_VALUES)
@example(("frontend", "frame_length_ms"), float("inf"))
@example(("frontend", "std"), 10**400)
@example(("frontend", "low_hz"), 7_599.999_999_999_999)
@example(("window", "file"), "a\0b")
@example(("labels",), ["on", "a\nb"])
def test_any_value_in_a_manifest_is_accepted_or_refused(tmp_path_factory, path, value):
    """
    Any JSON value in place of a setting gives a one-line error or a manifest.
    """
    table = copy.deepcopy(TABLE)
    part: Any = table
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    file = tmp_path_factory.getbasetemp() / "any.json"
    file.write_text(json.dumps(table), encoding="utf-8")

    try:
        manifest = read_manifest(file)
    except ManifestError as error:
        check_message(error, where=str(file))
    else:
        assert manifest.path == file


@st.composite
def wav_files(draw: st.DrawFn) -> bytes:
    """Return a WAV with an arbitrary header."""
    edges = st.sampled_from((0, 1, 2, 8, 16, 24, 999, 16_000, 0xFFFF)) | st.integers(0, 0xFFFF)
    wide = st.sampled_from((0, 1, 999, 16_000, 2**31 - 1, 2**31, 4_000_000_000, 2**32 - 1))
    kind, channels, align, bits = draw(edges), draw(edges), draw(edges), draw(edges)
    data = draw(st.binary(max_size=200))
    form = struct.pack(
        "<HHIIHH",
        draw(st.sampled_from((1, 3, 6, 7, 0x11, 0xFFFE, kind))),
        *(draw(st.sampled_from((1, 2, 1_024, channels))), draw(wide), draw(wide)),
        *(align, draw(st.sampled_from((16, 32, bits)))),
    )
    size = draw(st.sampled_from((len(data), 2**32 - 1)) | wide)
    chunks = b"fmt " + struct.pack("<I", len(form)) + form + b"data" + struct.pack("<I", size)
    return b"RIFF" + struct.pack("<I", draw(wide)) + b"WAVE" + chunks + data


@given(wav_files() | st.binary(max_size=300))
def test_any_header_is_accepted_or_refused(tmp_path_factory, content):
    """
    Any header gives samples, or one line that names the file.
    """
    target = fuzz_audio.Target(tmp_path_factory.getbasetemp())

    assert target(content) in ("samples", "long", "AudioError")


@given(st.binary(max_size=400), st.lists(st.integers(1, 90), min_size=1), st.integers(1, 100))
@example(b"\x01", [1], 1)
@example(b"\x01\x02\x03\x04\x05", [4], 1)
def test_any_bytes_from_a_pipe_are_samples_or_refused(content, sizes, chunk_samples):
    """
    However a pipe cuts them, all complete samples come in order, in chunks as short as
    requested.
    """
    stream = io.BufferedReader(fuzz_pcm.Pipe(content, tuple(sizes)), buffer_size=16)
    try:
        pieces = list(read_pcm(stream, chunk_samples=chunk_samples))
    except AudioError as error:
        check_message(error, where="stdin")
        assert len(content) < 2 or content[:4] in fuzz_pcm.MARKS
        return
    expected = np.frombuffer(content[: len(content) // 2 * 2], dtype="<i2")

    assert max(len(piece) for piece in pieces) <= chunk_samples
    np.testing.assert_array_equal(np.concatenate(pieces), expected)


@given(
    st.lists(
        st.sampled_from((-32_768, -1, 0, 1, 32_767)) | st.integers(-32_768, 32_767), min_size=1
    ),
    st.lists(st.integers(1, 7_000), min_size=1),
)
@settings(max_examples=12)
def test_any_samples_give_valid_posteriors_and_times(watch, pattern, sizes):
    """
    Posteriors and scores lie in 0..1, never NaN; detections have a keyword, a score above its
    threshold and a time in the audio.
    """
    samples = np.resize(np.array(pattern, dtype=np.int16), 20_000)
    pieces = []
    start = 0
    for size in itertools.cycle(sizes):
        if start >= len(samples):
            break
        pieces.append(samples[start : start + size])
        start += size

    detections, posteriors = watch.detect([samples]), watch.posteriors
    assert detections == watch.detect(pieces)
    assert posteriors == watch.posteriors


@pytest.fixture(scope="module")
def watch() -> fuzz_pcm.Watch:
    """A spotter that checks whatever it gives."""
    return fuzz_pcm.Watch("stream")


class Endless(io.RawIOBase):
    """A pipe that never ends, with noise in it."""

    def __init__(self) -> None:
        self._noise = random.Random(0).randbytes(3_201)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        n = min(len(buffer), len(self._noise))
        buffer[:n] = self._noise[:n]
        return n


@pytest.mark.parametrize("chunk_samples", [1_600, 10**8])
def test_an_endless_pipe_takes_no_more_memory(watch, chunk_samples):
    """
    A minute of a pipe after the first ten seconds leaves nothing behind, and never takes more
    than 3 MB.
    """
    stream = io.BufferedReader(Endless())
    pieces = read_pcm(stream, chunk_samples=chunk_samples)
    spotter = watch._spotter
    spotter.reset()
    hook, spotter.on_posterior = spotter.on_posterior, None
    tracemalloc.start()
    try:
        while spotter.time_s < 10:
            spotter.process(next(pieces))
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        while spotter.time_s < 70:
            spotter.process(next(pieces))
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        spotter.on_posterior = hook

    assert after - before < 50_000
    assert peak - before < 3_000_000
