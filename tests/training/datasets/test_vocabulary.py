"""Many words as classes: which are, whose clips train, whose validate, what is excluded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn", reason="training needs the extra [eval]")
from support.spoken_trees import RATE, write_speech

from kws.config import DecisionConfig, FrontendConfig
from kws.errors import ConfigError
from kws.manifest import ModelManifest, WindowForm
from training.batches.task import open_task
from training.config import recipe as recipes
from training.config.recipe import Recipe
from training.datasets.clips import Clip
from training.datasets.folders import speaker_of
from training.datasets.vocabulary import WordInWindow
from training.evaluation.clips import clips_to_score

SAID = ("hello", "there", "upon", "up", "yes", "ups", "their")


def make_recipe(clips: Path, speech: Path | str = "", **sections: Mapping[str, Any]) -> Recipe:
    """Return a recipe for the words of a tree and of made speech."""
    table: dict[str, dict[str, Any]] = {
        "data": {
            "clips": str(clips),
            "speech": str(speech),
            "speech_split": "part",
            "environment": "",
            "rooms": "",
        },
        "source": {"kind": "words", "split": "lists", "normalisation_clips": 0},
        "words": {"min_cuts": 4, "min_speakers": 2},
    }
    for name, section in sections.items():
        table[name] = {**table.get(name, {}), **section}
    return recipes.from_table({"name": "many", **table}, where="test")


@pytest.fixture(scope="module")
def clips(tmp_path_factory, write_tree) -> Path:
    """Three recorded words and noise."""
    counts = {word: {"training": 4, "validation": 2, "testing": 2} for word in ("yes", "up", "bed")}
    return write_tree(tmp_path_factory.mktemp("data") / "clips", counts, noise_s=20)


@pytest.fixture(scope="module")
def speech(tmp_path_factory) -> Path:
    """Four speakers of the same words, twice each; the first has a word of their own."""
    said = {f"{speaker}-1-{number:04}": SAID for speaker in (11, 22, 33, 44) for number in range(2)}
    said["11-2-0000"] = ("mine",) * 6
    return write_speech(tmp_path_factory.mktemp("data") / "speech", said)


def test_labels_are_recorded_words_and_frequent_ones(clips, speech):
    """
    Each folder is a class, and each frequent word of enough speakers; not one of
    a single speaker, nor a homophone of another class. Unknown and silence come last.
    """
    labels = open_task(make_recipe(clips, speech)).vocabulary.labels

    assert ("bed", "hello", "there", "up", "upon", "ups", "yes", "_unknown_", "_silence_") == labels


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"min_cuts": 7}, {"bed", "up", "yes"}),
        ({"min_speakers": 4}, {"bed", "up", "yes"}),
        ({"min_word_ms": 400}, {"bed", "up", "yes"}),
        ({"min_speakers": 1, "excluded": ["up"]}, {"bed", "hello", "there", "upon", "yes"}),
    ],
)
def test_settings_decide_what_is_frequent(clips, speech, words, expected):
    """
    Three training speakers have each word twice: higher limits leave fewer classes.
    """
    found = set(open_task(make_recipe(clips, speech, words=words)).vocabulary.words)

    assert expected == found - {"mine"}


def test_speakers_never_cross(clips, speech):
    """
    The recordings of the lists validate, and all speech of one of four speakers; nobody is on
    both sides, and what is listed for testing is on none.
    """
    data = open_task(make_recipe(clips, speech, source={"validation_share": 0.25})).vocabulary
    speakers = [
        {speaker_of(clip.path) for clip in part if speech in clip.path.parents}
        for part in (data.training, data.validation)
    ]
    files = [{clip.path.name[:2] for clip in data.recorded[word]} for word in data.recorded]

    assert [3, 1] == [len(found) for found in speakers]
    assert not speakers[0] & speakers[1]
    assert {path for path, _, _ in data.windows.spans} == {
        clip.path for clip in data.training if speech in clip.path.parents
    }
    assert [{"tr"}] * 3 == files
    assert {"va"} == {c.path.name[:2] for c in data.validation if c.label == "bed"}


def test_excluded_words_are_nowhere(clips, speech, tmp_path):
    """
    No clip, no cut, no synthesised one and no second of speech holds a word that is left out, an
    inflection or a homophone of it; an utterance without word times might.
    """
    for word in ("up", "yes"):
        (tmp_path / "synthetic" / word).mkdir(parents=True)
        soundfile.write(str(tmp_path / "synthetic" / word / "a.wav"), np.zeros(RATE), RATE)
    unknown = write_speech(tmp_path / "speech", {f"{n}-1-0": SAID for n in range(11, 19)})
    table = unknown / "part.words.csv"
    rows = [row for row in table.read_text().splitlines() if not row.startswith("11-")]
    table.write_text("\n".join(rows) + "\n")
    recipe = make_recipe(
        clips,
        unknown,
        data={"synthetic": str(tmp_path / "synthetic"), "synthetic_share": 0.5},
        words={"excluded": ["up"]},
    )

    data = open_task(recipe).vocabulary

    assert ("bed", "hello", "there", "upon", "yes", "_unknown_", "_silence_") == data.labels
    assert {"yes"} == set(data.synthetic)
    found = {clip.label for clip in (*data.training, *data.validation)}
    assert not {"up", "ups"} & found
    first, last = (round(RATE * t) for t in (0.1 + 3 * 0.4, 0.1 + 3 * 0.4 + 0.3))
    assert data.windows.spans
    assert all(end <= first or start >= last for _, start, end in data.windows.spans)
    assert not any(path.name.startswith("11-") for path, _, _ in data.windows.spans)


def test_classes_may_be_picked(clips, speech):
    """
    data.classes names fewer labels, in the order wanted; one without clips is an error.
    """
    recipe = make_recipe(clips, speech, data={"classes": ["yes", "hello"]})

    assert ("yes", "hello") == open_task(recipe).vocabulary.labels
    assert {"yes", "hello"} == {clip.label for clip in open_task(recipe).vocabulary.validation}
    with pytest.raises(ConfigError, match=r"data\.classes: no clips to train up, or excluded"):
        open_task(
            make_recipe(clips, speech, data={"classes": ["yes", "up"]}, words={"excluded": ["up"]})
        )


def test_validation_has_unknown_and_silence_in_their_shares(clips, speech):
    """
    Of all that validates a fifth is speech of the held-out speaker, and a fifth silence.
    """
    data = open_task(
        make_recipe(clips, speech, words={"unknown_share": 0.2, "silence_share": 0.2})
    ).vocabulary
    labels = [clip.label for clip in data.validation]
    splits = open_task(make_recipe(clips, speech)).class_data().items

    assert len(labels) / 5 == pytest.approx(labels.count("_unknown_"), abs=1)
    assert labels.count("_silence_") == labels.count("_unknown_")
    assert {"training", "validation", "testing"} == set(splits)
    assert [] == splits["testing"]


def test_data_that_cannot_do_are_errors(tmp_path, clips, word_tree):
    """
    No path, one word alone, nothing to validate: one clear line each.
    """
    with pytest.raises(
        ConfigError, match=r"data.clips: expected a folder or a file, got an empty path"
    ):
        open_task(make_recipe(Path(), data={"clips": ""}))
    with pytest.raises(ConfigError, match="expected clips of two words or more, got bed"):
        open_task(make_recipe(clips, words={"excluded": ["up", "yes"]}))
    tree = word_tree({word: {"training": 2} for word in ("a", "b")})
    with pytest.raises(ConfigError, match=r"no clip of a, b, \.\.\. is left for validation"):
        open_task(make_recipe(tree))


def test_folders_alone_are_counted_by_kws_eval(clips):
    """
    Of a model of many words kws-eval counts those that the folder has: others have no clips.
    """
    manifest = ModelManifest(
        name="many",
        version="1",
        labels=("bed", "hello", "up", "yes", "_unknown_", "_silence_"),
        frontend=FrontendConfig(),
        window=WindowForm("many.tflite", "0" * 64, 16_000, 98),
        decision=DecisionConfig(),
        training={"recipe": {"source": {"kind": "words", "split": "lists"}}},
    )

    found = clips_to_score(manifest, clips, split="validation", seed=1)

    assert 2 * ["bed"] + 2 * ["up"] + 2 * ["yes"] == sorted(clip.label for clip in found)


def test_a_placed_word_lies_in_the_middle_of_soft_noise(speech):
    """
    A second, the word in its middle, noise 25 dB below it everywhere, the same at each reading.
    """
    cut = Clip(speech / "part" / "11-1-0000.wav", "hello", 1_600, 4_800)
    placed = WordInWindow(cut.path, cut.label, cut.start, cut.n_samples)
    samples = placed.read().astype(float)
    word, before = samples[5_600:10_400], samples[:5_600]

    assert (16_000,) == samples.shape
    np.testing.assert_allclose(word, cut.read(), atol=2_000)
    ratio_db = 20 * np.log10(np.sqrt(np.mean(word**2)) / np.sqrt(np.mean(before**2)))
    assert 25 == pytest.approx(ratio_db, abs=8)
    assert np.abs(before).max() > 0
    np.testing.assert_array_equal(samples, placed.read())
