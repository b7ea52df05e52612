"""One-folder-a-word data sets, their splits and speakers."""

from __future__ import annotations

import hashlib

import pytest

from kws.errors import ConfigError
from training.datasets import folders
from training.datasets.folders import halves, speaker_of, split_of


def published_rule(name: str) -> str:
    """Speech Commands' rule by hand: SHA-1 of the speaker, modulo 2**27, as per cent."""
    speaker = name.split("_nohash_")[0]
    number = int.from_bytes(hashlib.sha1(speaker.encode()).digest(), "big") & (2**27 - 1)
    percent = number * 100 / (2**27 - 1)
    return "validation" if percent < 10 else "testing" if percent < 20 else "training"


def touch(root, *files: str) -> None:
    """Make empty audio files: a scan must not read them."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def split_names(root) -> dict[str, list[str]]:
    return {
        split: [f"{clip.label}/{clip.path.name}" for clip in clips]
        for split, clips in folders.scan(root).items()
    }


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # From the published validation_list.txt of Speech Commands 0.02 ...
        ("026290a7_nohash_0.wav", "validation"),
        ("060cd039_nohash_1.wav", "validation"),
        # ... and speakers that neither of its lists holds.
        ("004ae714_nohash_0.wav", "training"),
        ("00f0204f_nohash_0.wav", "training"),
        ("012c8314_nohash_3.wav", "training"),
    ],
)
def test_known_speakers_fall_where_the_published_lists_have_them(name, expected):
    """
    The rule is the data set's own: its speakers keep their split.
    """
    assert split_of(name) == expected


def test_the_hash_rule_is_the_published_one():
    """
    For any speaker the rule equals the published formula, worked out another way.
    """
    names = [f"{number:08x}_nohash_{number % 5}.wav" for number in range(0, 3_000_000, 1_009)]

    assert [split_of(name) for name in names] == [published_rule(name) for name in names]


def test_speakers_never_cross_splits(tmp_path):
    """
    All recordings of a speaker, of every word, fall into one split; each split has some.
    """
    speakers = [f"{number * 7_919:08x}" for number in range(60)]
    touch(
        tmp_path,
        *(
            f"{word}/{speaker}_nohash_{take}.wav"
            for word in ("yes", "no", "cat")
            for speaker in speakers
            for take in range(2)
        ),
    )
    clips = folders.scan(tmp_path)
    found = {
        split: {clip.path.name.split("_")[0] for clip in clips[split]} for split in folders.SPLITS
    }

    assert all(len(names) > 0 for names in found.values())
    assert sum(len(names) for names in found.values()) == len(speakers)
    assert set.union(*found.values()) == set(speakers)
    assert sum(len(part) for part in clips.values()) == 360


def test_list_files_decide_where_there_are_any(tmp_path):
    """
    What a list names is in its split; all the rest is training, whatever its hash.
    """
    touch(
        tmp_path,
        "yes/026290a7_nohash_0.wav",
        "yes/004ae714_nohash_0.wav",
        "no/004ae714_nohash_0.wav",
        "no/00f0204f_nohash_0.wav",
    )
    (tmp_path / "validation_list.txt").write_text("yes/004ae714_nohash_0.wav\n")
    (tmp_path / "testing_list.txt").write_text("no/00f0204f_nohash_0.wav\n\n")

    assert split_names(tmp_path) == {
        "training": ["no/004ae714_nohash_0.wav", "yes/026290a7_nohash_0.wav"],
        "validation": ["yes/004ae714_nohash_0.wav"],
        "testing": ["no/00f0204f_nohash_0.wav"],
    }


def test_names_in_lists_may_hold_blanks(tmp_path):
    """
    A line is a name: own recordings may be called "turn on/take 2.wav".
    """
    touch(tmp_path, "turn on/take 1.wav", "turn on/take 2.wav")
    (tmp_path / "validation_list.txt").write_text("turn on/take 2.wav\n")

    assert split_names(tmp_path)["validation"] == ["turn on/take 2.wav"]


def test_noise_hidden_folders_and_other_files_are_no_words(tmp_path):
    """
    Only audio one folder deep counts; every format that can be read does.
    """
    touch(
        tmp_path,
        "yes/a.wav",
        "yes/b.FLAC",
        "yes/c.ogg",
        "yes/d.mp3",
        "yes/notes.txt",
        "_background_noise_/hiss.wav",
        ".cache/x.wav",
        "stray.wav",
    )

    assert [path.relative_to(tmp_path).as_posix() for path in folders.audio_files(tmp_path)] == [
        "yes/a.wav",
        "yes/b.FLAC",
        "yes/c.ogg",
        "yes/d.mp3",
    ]


def test_a_folder_without_words_is_named(tmp_path):
    """
    No folder, and a folder without audio, are different errors.
    """
    with pytest.raises(ConfigError, match="expected a folder with one folder per word, found none"):
        folders.scan(tmp_path / "none")
    with pytest.raises(ConfigError, match="expected audio in one folder per word"):
        folders.scan(tmp_path)


@pytest.mark.parametrize(
    ("name", "speaker"),
    [
        ("1272-128104-0000.wav", "1272"),
        ("1272-003.wav", "1272"),
        ("0a7c2a8d_nohash_1.wav", "0a7c2a8d"),
        ("5-181766-A.wav", "181766"),
        ("5-181766-B-12.wav", "181766"),
        ("a-000.wav", "a"),
        ("kitchen.flac", "kitchen"),
    ],
)
def test_the_speaker_is_read_off_the_name(name, speaker):
    """
    LibriSpeech, Speech Commands and ESC-50 each name the speaker or source in their own place.
    """
    assert speaker == speaker_of(name)


def test_halves_share_nobody_and_leave_out_nobody():
    """
    Every other name, in order; a single speaker is in the first half.
    """
    names = ["84", "1272", "652", "1272", "2412"]

    assert (frozenset({"1272", "652"}), frozenset({"2412", "84"})) == halves(names)
    assert (frozenset({"84"}), frozenset()) == halves(["84"])


@pytest.mark.data
def test_the_real_lists_agree_with_the_rule(kws_data):
    """
    On Speech Commands itself the published lists and the hash rule give the same splits.
    """
    splits = folders.scan(kws_data / "speech_commands")
    wrong = [
        clip.path
        for split, clips in splits.items()
        for clip in clips
        if split_of(clip.path.name) != split
    ]

    assert len(splits["training"]) > 1_000
    assert len(splits["validation"]) > 100
    assert wrong == []
