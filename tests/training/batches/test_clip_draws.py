"""Clips that training draws from each source, in their shares."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="training needs the extra [eval]")


from support.drawn_clips import PLAIN, make_recipe, make_sampler

from kws.errors import ConfigError
from training.batches.keyword_sampler import KeywordSampler
from training.batches.training_sources import TrainingSources
from training.config.data_sections import DataConfig
from training.config.recipe import Recipe
from training.datasets import aligned_speech as running_speech
from training.datasets.aligned_speech import SpeechWindows


def shares(recipe: Recipe, n: int = 1_500) -> dict[str, float]:
    """Return how often each label is drawn."""
    rng = np.random.default_rng(1)
    drawer = make_sampler(recipe)
    drawn = Counter(recipe.data.labels[drawer.draw(rng)[1]] for _ in range(n))
    return {label: drawn[label] / n for label in recipe.data.labels}


@pytest.fixture
def speech(tmp_path):
    """Two utterances of hiss with word times: one keyword, two other words."""
    folder = tmp_path / "speech"
    (folder / "part").mkdir(parents=True)
    rows = ["utterance,word,start_sample,n_samples"]
    hiss = np.random.default_rng(2).normal(0, 500, 64_000).astype(np.int16)
    for name in ("a", "b"):
        soundfile.write(str(folder / "part" / f"{name}.wav"), hiss, 16_000)
        rows += [f"{name},hello,1000,6000", f"{name},no,30000,5000", f"{name},there,50000,6000"]
    (folder / "part.words.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_classes_are_drawn_as_often_as_set(root):
    """
    Each keyword has weight 1, unknown and silence those of the recipe.
    """
    recipe = make_recipe(
        root, data={"unknown_weight": 2.5, "silence_weight": 0.5}, augmentation=PLAIN
    )
    expected = {"yes": 1 / 5, "no": 1 / 5, "_unknown_": 2.5 / 5, "_silence_": 0.5 / 5}

    assert shares(recipe) == pytest.approx(expected, abs=0.05)


def test_without_noise_and_other_words_neither_class_is_drawn(word_tree):
    """
    What there is nothing to draw from is not drawn, whatever its weight.
    """
    root = word_tree({"yes": {"training": 2}, "no": {"training": 2}})
    drawn = shares(make_recipe(root), 200)

    assert drawn["_unknown_"] == drawn["_silence_"] == 0


def test_only_training_clips_are_drawn(root):
    """
    No clip of the validation or testing lists is ever drawn from.
    """
    sources = TrainingSources.open(make_recipe(root).data)
    names = [clip.path.name for clips in sources.by_word.values() for clip in clips]

    assert len(names) == 16
    assert all(name.startswith("tr") for name in names)
    assert [len(part) for part in sources.noise.recordings] == [16 * 16_000]


def test_plain_draws_are_the_clips_themselves(root):
    """
    With every augmentation switched off a keyword's draw is one of its clips, to the sample.
    """
    recipe = make_recipe(root, augmentation=PLAIN)
    originals = {
        word: {clip.read().tobytes() for clip in clips}
        for word, clips in TrainingSources.open(recipe.data).by_word.items()
    }
    rng = np.random.default_rng(1)
    drawer = make_sampler(recipe)
    seen = set()
    for _ in range(200):
        samples, index = drawer.draw(rng)
        label = recipe.data.labels[index]
        if label == "_silence_":
            continue
        words = ["bed", "cat"] if label == "_unknown_" else [label]
        seen.add(samples.tobytes())

        assert any(samples.tobytes() in originals[word] for word in words)

    assert seen == set().union(*originals.values())


def test_running_speech_gives_unknown_words_and_windows(root, speech):
    """
    Words cut from speech and stretches without keywords are sources; keywords are not.
    """
    recipe = make_recipe(root, speech=speech, data={"speech_split": "part"})
    sources = TrainingSources.open(recipe.data)

    assert sorted(sources.cut_words) == ["hello", "there"]
    assert len(sources.windows.spans) == 4
    assert all(end <= 30_000 or start >= 35_000 for _, start, end in sources.windows.spans)


@pytest.mark.parametrize("what", ["cut_words", "windows", "by_word"])
def test_one_kind_of_unknown_is_enough(root, speech, what):
    """
    Whichever of the three sources of unknown there is, it is drawn from.
    """
    recipe = make_recipe(root, speech=speech, data={"speech_split": "part"})
    full = TrainingSources.open(recipe.data)
    keywords = {word: full.by_word[word] for word in recipe.data.keywords}
    sources = TrainingSources(
        by_word=full.by_word if what == "by_word" else keywords,
        cut_words=full.cut_words if what == "cut_words" else {},
        windows=full.windows if what == "windows" else SpeechWindows(()),
        noise=full.noise,
        rooms=[],
    )
    drawer = KeywordSampler(recipe, sources)
    rng = np.random.default_rng(3)
    labels = Counter(recipe.data.labels[drawer.draw(rng)[1]] for _ in range(200))

    assert labels["_unknown_"] > 50


def test_a_cut_word_always_gets_noise(root, speech):
    """
    Digital silence around a word would mark it as cut: its second is never silent anywhere.
    """
    recipe = make_recipe(
        root,
        speech=speech,
        data={"speech_split": "part", "cut_word_share": 1.0, "speech_window_share": 0.0},
        augmentation=PLAIN,
    )
    drawer = make_sampler(recipe)
    rng = np.random.default_rng(3)
    drawn = [drawer.draw(rng) for _ in range(60)]
    unknown = [samples for samples, index in drawn if recipe.data.labels[index] == "_unknown_"]

    assert len(unknown) > 10
    for samples in unknown:
        quietest = np.abs(samples.astype(int)).reshape(10, 1_600).max(axis=1).min()

        assert quietest > 0


def test_silence_is_noise_at_every_volume(root):
    """
    Silence is drawn from the noise, from nothing to full volume.
    """
    recipe = make_recipe(root, data={"unknown_weight": 0.0, "silence_weight": 1_000.0})
    drawer = make_sampler(recipe)
    rng = np.random.default_rng(3)
    levels = [np.std(drawer.draw(rng)[0].astype(float)) for _ in range(200)]

    assert min(levels) == 0
    assert max(levels) == pytest.approx(1_000, rel=0.1)
    assert 100 < np.median(levels) < 500


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keywords": ["yes", "lamp"]}, "no training clips of lamp"),
        ({"clips": "/none/such"}, "/none/such: expected a folder"),
        ({"clips": ""}, "data.clips: expected a folder or a file, got an empty path"),
        ({"speech": "/none/such"}, "expected train_clean_5/ and train_clean_5.words.csv"),
    ],
)
def test_missing_data_is_named(root, changes, message):
    """
    Training does not begin without what its recipe names.
    """
    recipe = make_recipe(root, data=changes)

    with pytest.raises(ConfigError, match=message):
        TrainingSources.open(recipe.data)


def test_hard_negatives_are_drawn_as_often_as_set(rng, tmp_path, word_tree):
    """
    With a share of 1 every unknown clip is one of the mined windows; with 0 none is.
    """
    root = word_tree({"yes": {"training": 2}, "cat": {"training": 2}})
    path = root / "cat" / next((root / "cat").iterdir()).name
    table = tmp_path / "hard.csv"
    table.write_text(f"file,start_sample,keyword,posterior\ncat/{path.name},160,yes,0.9\n")
    hard = running_speech.read_hard_windows(table, root, n_samples=8_000)
    sources = dataclasses.replace(
        TrainingSources.open(
            DataConfig(clips=str(root), speech="", environment="", rooms="", keywords=("yes",))
        ),
        hard_windows=hard,
    )

    for share, expected in ((1.0, {160}), (0.0, {0})):
        data = DataConfig(
            keywords=("yes",),
            hard_negative_share=share,
            cut_word_share=0,
            speech_window_share=0,
        )
        drawer = KeywordSampler(Recipe("r", data=data), sources)

        assert expected == {drawer._unknown(rng).start for _ in range(20)}
