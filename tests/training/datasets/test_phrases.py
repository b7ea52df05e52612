"""Phrases with transcripts: split by speaker, and chosen by the words that they lack."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws.errors import ConfigError
from training.datasets import phrases
from training.datasets.aligned_speech import SpeechWindows
from training.datasets.folders import split_of
from training.datasets.phrases import read_phrases, without_words

ROWS = [("u1", "anna", "ONE TWO"), ("u2", "anna", "GO"), ("u3", "bert", "RUBOUT G M")]


def write_tree(root) -> None:
    for utterance, speaker, _ in ROWS:
        (root / speaker).mkdir(exist_ok=True)
        soundfile.write(str(root / speaker / f"{utterance}.wav"), np.zeros(12_000), 16_000)
    lines = [",".join(row) for row in [("utterance", "speaker", "transcript"), *ROWS]]
    (root / "index.csv").write_text("\n".join(lines) + "\n")


def test_phrases_without_a_keyword_become_running_speech(tmp_path):
    """
    A phrase with a keyword is left out, and each speaker belongs to one split.
    """
    write_tree(tmp_path)
    found = {
        split: without_words(tmp_path, split, frozenset({"go"}))
        for split in ("training", "validation", "testing")
    }
    names = {path.stem: split for split, paths in found.items() for path, _ in paths}

    assert names == {"u1": split_of("anna"), "u3": split_of("bert")}
    assert next(phrase.words for phrase in read_phrases(tmp_path)) == ("one", "two")
    windows = SpeechWindows(()).with_whole(found[split_of("anna")])
    cut = windows.draw(np.random.default_rng(1))
    assert (cut.start, cut.n_samples) == (0, 12_000)
    assert without_words(None, "training", frozenset()) == []


def test_a_table_without_a_column_is_refused(tmp_path):
    """
    The message names what is missing.
    """
    with pytest.raises(ConfigError, match="expected a table of phrases, found none"):
        read_phrases(tmp_path)
    (tmp_path / "index.csv").write_text("utterance,speaker\nu1,anna\n")
    with pytest.raises(ConfigError, match="expected the columns transcript"):
        read_phrases(tmp_path)
    assert phrases.COLUMNS == ("utterance", "speaker", "transcript")
