"""Where labelled clips come from: folders, tables, archives."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from support.sound_trees import SOUNDS, write_esc50, write_sound, write_table

from kws.errors import ConfigError
from training.datasets import labelled_clips as sources


def make_files(root: Path, *names: str) -> Path:
    """Make files that are no audio: nothing may read them before it is asked to."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"not audio")
    return root


def test_folders_give_their_names_as_labels(tmp_path):
    """
    Every folder is a class, whatever its name; hidden ones and background noise are none.
    """
    root = make_files(
        tmp_path, "lamp/a.wav", "door bell/b.flac", ".git/x.wav", "_background_noise_/hiss.wav"
    )

    items = sources.open_folders(root)

    assert {("lamp", "a.wav"), ("door bell", "b.flac")} == {
        (item.clip.label, item.clip.path.name) for item in items
    }


@pytest.mark.parametrize(
    ("opener", "suffix"), [(sources.open_folders, "wav"), (sources.open_pictures, "png")]
)
def test_the_group_is_the_speaker_or_recording_that_the_name_tells(tmp_path, opener, suffix):
    """
    Speech Commands' speakers, across words; ESC's recordings, not their folds; LibriSpeech's
    readers, not their chapters; other names are their own.
    """
    stems = (
        "yes/ab12_nohash_0", "yes/ab12_nohash_1", "no/ab12_nohash_0", "no/mine",
        "rain/1-17367-A", "rain/1-17367-B-10", "rain/1-99-A", "no/84-121123-0000", "no/84-7-0001",
    )  # fmt: skip
    root = make_files(tmp_path, *(f"{stem}.{suffix}" for stem in stems))

    groups = Counter(item.group for item in opener(root))

    assert {"ab12": 3, "mine": 1, "17367": 2, "99": 1, "84": 2} == groups


@pytest.mark.parametrize("text", [b"file,label\nca\xe9.wav,x\n", b'file,label\n"a\0.wav",x\n'])
def test_a_table_that_is_no_text_is_an_error(tmp_path, text):
    """
    Another encoding, or bytes that are no text, end in one line that names the table.
    """
    (tmp_path / "labels.csv").write_bytes(text)

    with pytest.raises(ConfigError, match=r"labels\.csv: "):
        sources.open_table(tmp_path)


def test_esc50_folder_is_read_as_it_is(tmp_path):
    """
    `audio/` and `meta/esc50.csv` with filename, fold, target, category, src_file.
    """
    items = sources.open_table(write_esc50(tmp_path, n_folds=2, sounds=("dog", "rain")))

    assert 8 == len(items)
    assert {"dog", "rain"} == {item.clip.label for item in items}
    assert {"1", "2"} == {item.fold for item in items}
    assert {"1000", "1010", "2000", "2010"} == {item.group for item in items}


def test_clips_of_any_rate_and_length_are_heard_at_16_khz(tmp_path):
    """
    Five seconds at 44.1 kHz come as 80,000 samples, to the resampler's edge.
    """
    item = sources.open_table(write_esc50(tmp_path, n_folds=1, per_fold=1))[0]

    samples = item.clip.read()

    assert np.int16 == samples.dtype
    assert len(samples) == pytest.approx(80_000, abs=2)
    assert 1_000 < np.abs(samples).max() < 8_000


def test_index_with_a_folder_a_label_is_read_too(tmp_path):
    """
    A table whose files are in folders named by their labels; the source is in the file's name.
    """
    make_files(tmp_path, "dog_bark/1-100032-A.wav", "dog_bark/1-100032-B.wav", "rain/2-17-A.wav")
    rows = [
        ("1-100032-A.wav", "dog_bark", 1, "x.opus", 0, 80_016),
        ("1-100032-B.wav", "dog_bark", 1, "x.opus", 80_336, 80_016),
        ("2-17-A.wav", "rain", 2, "x.opus", 0, 80_016),
    ]
    columns = ("file", "label", "fold", "shard", "start", "n_samples")
    write_table(tmp_path / "index.csv", columns, rows)

    items = sources.open_table(tmp_path)

    assert ["100032", "100032", "17"] == [item.group for item in items]
    # The first sample in the table is one of the shard, not of the clip.
    assert {(0, None)} == {(item.clip.start, item.clip.n_samples) for item in items}


@pytest.mark.parametrize(
    ("columns", "row", "message"),
    [
        (("name", "label"), ("a.wav", "x"), r"expected a column file or filename or path, got"),
        (("file", "kind"), ("a.wav", "x"), r"expected a column label or category"),
        (("file", "label"), ("b.wav", "x"), r"line 2: there is no b\.wav, nor x/b\.wav"),
        (("file", "label"), ("a.wav", ""), r"line 2: expected a file and a label"),
    ],
)
def test_table_that_does_not_fit_is_an_error(tmp_path, columns, row, message):
    """
    A missing column, file or label names the table and the line.
    """
    make_files(tmp_path, "a.wav")
    write_table(tmp_path / "labels.csv", columns, [row])

    with pytest.raises(ConfigError, match=message):
        sources.open_table(tmp_path)


def test_folder_without_a_table_is_an_error(tmp_path):
    """
    The message names the tables that are looked for.
    """
    with pytest.raises(ConfigError, match=r"index\.csv or meta/esc50\.csv"):
        sources.open_table(tmp_path)


def test_kind_is_told_by_what_lies_there(tmp_path):
    """
    An archive and a table by their suffix, a folder by the table in it.
    """
    write_table(tmp_path / "esc" / "meta" / "esc50.csv", ("filename",), [])

    assert "npz" == sources.detect(tmp_path / "a.npz")
    assert "csv" == sources.detect(tmp_path / "a.csv")
    assert "csv" == sources.detect(tmp_path / "esc")
    assert "folders" == sources.detect(tmp_path)


def test_labels_are_all_there_are_or_those_wanted(tmp_path):
    """
    Without a filter sorted, numbers as numbers; with one in the order of the filter.
    """
    named = sources.open_table(write_esc50(tmp_path, n_folds=1, per_fold=1))
    for number in (10, 2, 1):
        write_sound(tmp_path / "n" / str(number) / "a.wav", 0, seconds=0.1)
    numbered = sources.open_folders(tmp_path / "n")

    assert tuple(sorted(SOUNDS)) == sources.labels_of(named, (), tmp_path)
    assert ("siren", "dog") == sources.labels_of(named, ("siren", "dog"), tmp_path)
    assert ("1", "2", "10") == sources.labels_of(numbered, (), tmp_path)
    with pytest.raises(ConfigError, match=r"no clips of cat; there are dog, hen, rain, siren"):
        sources.labels_of(named, ("dog", "cat"), tmp_path)
    with pytest.raises(ConfigError, match=r"expected clips of two classes or more, got dog"):
        sources.labels_of(named, ("dog",), tmp_path)


@pytest.mark.data
def test_the_kits_esc10_has_ten_classes_of_forty(kws_data):
    """
    The real tree: 400 clips, 40 a class, 80 a fold, and a source in each file's name.
    """
    items = sources.open_table(kws_data / "esc10")

    assert {40} == set(Counter(item.clip.label for item in items).values())
    assert dict.fromkeys("12345", 80) == Counter(item.fold for item in items)
    assert all(item.group.isdecimal() for item in items)
