"""Teaching a word at the (virtual) microphone, from end to end."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.skips import without_audio_server

pytest.importorskip("sklearn", reason="kws-enroll needs its extra")
pytest.importorskip("ai_edge_litert.schema_py_generated", reason="needs the schema of TFLite")

from kws.audio.files import read_file
from kws.spotter import KeywordSpotter

pytestmark = pytest.mark.slow

N_RECORDINGS = 4


def spoken(word: str, n: int, folder: Path) -> Path:
    """Write a recording of a word spoken `n` times, louder and softer."""
    from training.datasets.synthetic_speech import say, voices

    rng = np.random.default_rng(11)
    voice = next(voices(rng))
    parts = []
    for _ in range(n):
        parts += [rng.uniform(0.2, 0.6) * say(voice, word), np.zeros(20_000)]
    samples = np.concatenate(parts)
    path = folder / f"{word}.wav"
    soundfile.write(path, (samples + rng.normal(0, 8, len(samples))).astype(np.int16), 16_000)
    return path


def test_a_word_recorded_at_the_microphone_is_enrolled_and_detected(virtual_microphone, tmp_path):
    """
    Recorded four times, kept as four files, enrolled, and detected by the resulting model.
    """
    if not shutil.which("espeak-ng"):
        without_audio_server("no espeak-ng: apt install espeak-ng")
    said = spoken("computer", N_RECORDINGS + 2, tmp_path)
    out = tmp_path / "my"
    program = subprocess.Popen(
        [
            *(sys.executable, "-m", "training.cli.enroll", "computer", "--record"),
            *(str(N_RECORDINGS), "--yes", "--json", "--copies", "20", "--voices", "0"),
            *("--out", str(out)),
        ],
        env=virtual_microphone.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stderr is not None
        first = program.stderr.readline()
        assert first.startswith(f"1 of {N_RECORDINGS}: say 'computer'"), first
        virtual_microphone.play(said)
        result, told = program.communicate(timeout=90)
    finally:
        program.kill()

    assert program.returncode == 0, told
    files = sorted(path.name for path in (out / "recordings" / "computer").iterdir())
    assert [f"computer-{n:03d}.wav" for n in range(1, N_RECORDINGS + 1)] == files
    model = json.loads(result)["model"]
    spotter = KeywordSpotter.from_model(model)
    found = [hit.keyword for block in read_file(said) for hit in spotter.process(block)]
    assert len(found) >= N_RECORDINGS
    assert {"computer"} == set(found)
