"""Which clips train, validate and test."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="splitting at random needs the extra [eval]")
from hypothesis import given
from hypothesis import strategies as st

from kws.errors import ConfigError
from training.config.data_sections import SourceConfig
from training.datasets import splits
from training.datasets.clips import Clip
from training.datasets.labelled_clips import Item
from training.datasets.splits import open_classes

ROOT = Path("data")


def make_tree(root: Path, **n_by_word: int) -> Path:
    """Make empty files, two of each speaker, as many as given for each word."""
    for word, n in n_by_word.items():
        (root / word).mkdir(parents=True)
        for number in range(n):
            (root / word / f"s{number // 2:03}_nohash_{number % 2}.wav").touch()
    return root


def make_items(counts: dict[tuple[str, str], int]) -> list[Item]:
    """Return so many clips for each (group, label)."""
    return [
        Item(Clip(ROOT / label / f"{group}_{number}.wav", label), group)
        for (group, label), n in counts.items()
        for number in range(n)
    ]


def names(data, split: str) -> list[str]:
    return [item.clip.path.as_posix() for item in data.items[split]]


def test_random_split_takes_the_same_share_of_every_class(tmp_path):
    """
    80/20 by default, of each class, however different their sizes; nothing is lost.
    """
    root = make_tree(tmp_path / "clips", yes=100, no=20)

    data = open_classes(SourceConfig(kind="folders"), root)

    assert {"yes": 20, "no": 4} == Counter(item.clip.label for item in data.items["validation"])
    assert {"yes": 80, "no": 16} == Counter(item.clip.label for item in data.items["training"])
    assert [] == data.items["testing"]


def test_group_split_tears_no_speaker(tmp_path):
    """
    No speaker is on two sides; at random nearly every one is.
    """
    root = make_tree(tmp_path / "clips", yes=100, no=100)
    overlaps = {}
    for rule in ("group", "random"):
        data = open_classes(SourceConfig(kind="folders", split=rule), root)
        trained = {item.group for item in data.items["training"]}
        overlaps[rule] = sum(item.group in trained for item in data.items["validation"])

        assert len(data.items["validation"]) == 40

    assert 0 == overlaps["group"]
    assert overlaps["random"] > 30


def test_group_split_wants_groups(tmp_path):
    """
    Where no clip is known to belong with another, a promise about speakers cannot be kept.
    """
    for name in ("lamp/a.wav", "lamp/b.wav", "door/c.wav", "door/d.wav"):
        (tmp_path / "clips" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "clips" / name).touch()
    archive = tmp_path / "audio.npz"
    np.savez(archive, wav_vals=np.zeros((4, 9), np.int16), label_vals=np.array(list("xxyy")))

    for kind, root in (("folders", tmp_path / "clips"), ("npz", archive)):
        with pytest.raises(ConfigError, match=r"split by group: .* got 4 that share none"):
            open_classes(SourceConfig(kind=kind, split="group", validation_share=0.5), root)


@pytest.mark.parametrize("rule", ["random", "group"])
def test_clips_listed_for_testing_stay_out(tmp_path, rule):
    """
    What the data set keeps for testing is in neither split; the validation list does not count.
    """
    root = make_tree(tmp_path / "clips", yes=20, no=20)
    kept_back = ["yes/s000_nohash_0.wav", "yes/s000_nohash_1.wav", "no/s000_nohash_0.wav"]
    (root / "testing_list.txt").write_text("\n".join(kept_back))
    (root / "validation_list.txt").write_text("yes/s001_nohash_0.wav\n")

    data = open_classes(SourceConfig(kind="folders", split=rule, testing_share=0.2), root)

    found = {path for split in data.items for path in names(data, split)}
    assert 37 == len(found)
    assert not {(root / name).as_posix() for name in kept_back} & found


@given(
    counts=st.dictionaries(
        st.tuples(st.integers(0, 40).map(str), st.sampled_from("abc")),
        st.integers(1, 4),
        min_size=20,
    ),
    seed=st.integers(0, 5),
)
def test_groups_stay_whole_and_shares_come_near(counts, seed):
    """
    Each group is in one split, and every split has its share but for the
    size of a group or two.
    """
    items = make_items(counts)
    config = SourceConfig(kind="folders", split="group", testing_share=0.2, seed=seed)

    chosen = splits._by_group(items, config, ROOT)

    by_group = {}
    for item, split in zip(items, chosen):
        assert by_group.setdefault(item.group, split) == split
    largest = max(Counter(item.group for item in items).values())
    for split, share in (("training", 0.6), ("validation", 0.2), ("testing", 0.2)):
        assert chosen.count(split) == pytest.approx(share * len(items), abs=2 * largest + 2)


def test_folds_split_as_set():
    """
    Folds 1 to 3 train, 4 validates, 5 tests; another assignment is free.
    """
    folds = list("1122334455")

    assert {
        "1": "training",
        "2": "training",
        "3": "training",
        "4": "validation",
        "5": "testing",
    } == (splits.fold_split(folds, SourceConfig(split="folds")))
    config = SourceConfig(split="folds", validation_folds=(1, 2), testing_folds=())
    assert ["validation"] * 2 + ["training"] * 3 == list(splits.fold_split(folds, config).values())


def test_five_turns_test_every_fold_once():
    """
    Cross-validation: over the turns each fold tests once and validates once, never both at once.
    """
    turns = [
        splits.fold_split(list("12345"), SourceConfig(split="folds", turn=turn))
        for turn in range(5)
    ]

    for split in ("validation", "testing"):
        chosen = [fold for turn in turns for fold in turn if turn[fold] == split]

        assert list("12345") == sorted(chosen)
    assert {("training", 3), ("validation", 1), ("testing", 1)} == {
        pair for turn in turns for pair in Counter(turn.values()).items()
    }


def test_a_fold_that_is_not_there_is_an_error():
    """
    The message lists the folds.
    """
    with pytest.raises(ConfigError, match=r"no clips in fold 5; there are 1, 2, 4"):
        splits.fold_split(list("124"), SourceConfig(split="folds"))


def test_lists_split_as_speech_commands_do(tmp_path):
    """
    The list files decide; what is in none of them trains.
    """
    root = make_tree(tmp_path / "clips", yes=4, no=2)
    (root / "validation_list.txt").write_text("yes/s000_nohash_0.wav\n")
    (root / "testing_list.txt").write_text("no/s000_nohash_1.wav\n")

    data = open_classes(SourceConfig(kind="folders", split="lists"), root)

    assert [4, 1, 1] == [len(items) for items in data.items.values()]
    assert "s000_nohash_0.wav" == data.items["validation"][0].clip.path.name


def test_class_filter_leaves_the_others_out(tmp_path):
    """
    Only the wanted classes are there, in the order wanted.
    """
    root = make_tree(tmp_path / "clips", yes=10, no=10, up=10)

    data = open_classes(SourceConfig(kind="folders"), root, ("up", "no"))

    assert ("up", "no") == data.labels
    assert {"up", "no"} == {clip.label for split in data.items for clip in data.clips(split)}


def test_limit_takes_whole_speakers(tmp_path):
    """
    At most so many clips a class, both of a speaker's, and the same ones for either split.
    """
    root = make_tree(tmp_path / "clips", yes=60, no=20)
    kept = []
    for rule in ("group", "random"):
        config = SourceConfig(kind="folders", split=rule, clips_per_class=30)
        data = open_classes(config, root)
        kept.append({item.clip.path for items in data.items.values() for item in items})

        labels = Counter(path.parent.name for path in kept[-1])
        assert {"yes": 30, "no": 20} == labels

    assert kept[0] == kept[1]
    speakers = Counter(path.name[:4] for path in kept[0] if path.parent.name == "yes")
    assert {2} == set(speakers.values())
