"""Archives with `wav_vals` and `label_vals`: safe, and at any rate."""

from __future__ import annotations

import zipfile

import numpy as np
import pytest

from kws.errors import AudioError, ConfigError
from training.datasets import labelled_clips as sources

TONE = (0.5 * np.sin(2 * np.pi * 440 * np.arange(8_000) / 8_000)).astype(np.float32)
TWO = {"wav_vals": np.zeros((2, 5), np.int16), "label_vals": np.array(["a", "b"])}


@pytest.fixture
def write(tmp_path):
    """Write an archive of arrays by name and return its path."""

    def make(*, compressed: bool = False, **arrays):
        path = tmp_path / "audio.npz"
        (np.savez_compressed if compressed else np.savez)(path, **arrays)
        return path

    return make


@pytest.mark.parametrize("compressed", [False, True])
def test_clips_and_labels_come_out_as_stored(write, rng, compressed):
    """
    int16 rows come back to the sample, with their labels, compressed or not.
    """
    waves = rng.integers(-3_000, 3_000, (3, 16_000)).astype(np.int16)
    path = write(wav_vals=waves, label_vals=np.array(["no", "yes", "no"]), compressed=compressed)

    items = sources.open_npz(path)

    assert ["no", "yes", "no"] == [item.clip.label for item in items]
    assert [f"audio.npz/{i}" for i in range(3)] == [
        item.clip.path.relative_to(path.parent).as_posix() for item in items
    ]
    np.testing.assert_array_equal([item.clip.read() for item in items], waves)


def test_floats_of_another_rate_are_resampled(write):
    """
    Floats of -1..1 at 8 kHz come as int16 at 16 kHz: twice as many samples, the same level.
    """
    path = write(wav_vals=np.stack([TONE, -TONE])[..., None], label_vals=np.array([1, 2]))

    items = sources.open_npz(path, sample_rate=8_000)
    samples = items[0].clip.read()

    assert ["1", "2"] == [item.clip.label for item in items]
    assert (16_000, np.int16) == (len(samples), samples.dtype)
    assert np.abs(samples).max() == pytest.approx(16_384, rel=0.03)


def test_archive_may_tell_rate_groups_and_folds(write):
    """
    `sample_rate` wins over the recipe's; `group_vals` and `fold_vals` are a value a clip.
    """
    path = write(
        wav_vals=np.stack([TONE, TONE]),
        label_vals=np.array(["a", "b"]),
        sample_rate=8_000,
        group_vals=np.array(["ann", "bob"]),
        fold_vals=np.array([1, 2]),
    )

    items = sources.open_npz(path, sample_rate=16_000)

    assert [("ann", "1"), ("bob", "2")] == [(item.group, item.fold) for item in items]
    assert 16_000 == len(items[0].clip.read())


def test_pickled_labels_are_refused(write):
    """
    Objects are never unpickled: they could run code. The message names the remedy.
    """
    labels = np.array(["yes", "no"], dtype=object)
    path = write(wav_vals=np.zeros((2, 10), np.int16), label_vals=labels)

    with pytest.raises(ConfigError, match=r"label_vals: Object arrays.*astype\(str\)"):
        sources.open_npz(path)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"label_vals": np.array(["a"])}, r"expected wav_vals in it, got label_vals"),
        ({"wav_vals": np.zeros((1, 5), np.int16)}, r"expected label_vals in it, got wav_vals"),
        (
            {"wav_vals": np.zeros((2, 5), np.int16), "label_vals": np.array(["a"])},
            r"2 rows of wav_vals, 1 of label_vals",
        ),
        (
            {"wav_vals": np.zeros(5, np.int16), "label_vals": np.array(["a"])},
            r"expected \(n_clips, n_samples\), got \(5,\)",
        ),
        (
            {"wav_vals": np.zeros((2, 5), np.int16), "label_vals": np.eye(2)},
            r"label_vals: expected one value a clip, got \(2, 2\)",
        ),
        ({**TWO, "sample_rate": "fast"}, r"sample_rate: expected one rate in Hz .* got fast"),
        ({**TWO, "sample_rate": np.inf}, r"sample_rate: expected one rate in Hz .* got inf"),
        ({**TWO, "sample_rate": 0}, r"sample_rate: expected one rate in Hz .* got 0"),
        ({**TWO, "sample_rate": np.array([16_000, 8_000])}, r"expected one rate .* 16000, 8000"),
        ({**TWO, "label_vals": np.array([b"a", b"\xe9"])}, r"label_vals: .*decode"),
    ],
)
def test_archive_that_does_not_fit_is_an_error(write, arrays, message):
    """
    What is missing or of the wrong shape is named.
    """
    with pytest.raises(ConfigError, match=message):
        sources.open_npz(write(**arrays))


def test_other_files_are_no_archives(tmp_path):
    """
    A file of another kind, a cut one and a missing one are one clear error each.
    """
    np.savez(tmp_path / "cut.npz", wav_vals=np.zeros((9, 99), np.int16), label_vals=np.arange(9))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "cut.npz").read_bytes()[:500])
    (tmp_path / "text.npz").write_text("hello")

    for name in ("cut.npz", "text.npz", "none.npz"):
        with pytest.raises(ConfigError, match=rf"{name}: expected an \.npz archive"):
            sources.open_npz(tmp_path / name)


@pytest.mark.parametrize("name", ["wav_vals", "label_vals"])
def test_damaged_archive_is_an_error(write, rng, name):
    """
    Bytes that do not unpack end in one line that names the file and the array.
    """
    path = write(
        wav_vals=rng.integers(-3_000, 3_000, (2, 9_000)).astype(np.int16),
        label_vals=np.array([rng.bytes(3_000).hex(), "b"]),
        compressed=True,
    )
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo(f"{name}.npy")
    stored = bytearray(path.read_bytes())
    middle = entry.header_offset + entry.compress_size // 2
    stored[middle : middle + 400] = b"\xff" * 400
    path.write_bytes(stored)

    with pytest.raises(ConfigError, match=rf"audio\.npz: {name}: "):
        sources.open_npz(path)


def test_integers_stored_as_floats_are_told_from_audio(write):
    """
    Floats far beyond -1..1 would come out as clipped noise: reading is an error instead.
    """
    path = write(wav_vals=np.full((2, 10), 12_000.0), label_vals=np.array(["a", "b"]))

    with pytest.raises(AudioError, match=r"audio\.npz/0: expected floats of -1\.\.1, got up to 12"):
        sources.open_npz(path)[0].clip.read()
