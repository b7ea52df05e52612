"""What the shares and switches of `[data]` do: 0 draws none, 1 draws always."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("scipy", reason="training needs the extra [eval]")

from kws.errors import ConfigError
from training.batches.augmentation import loud_half
from training.batches.keyword_sampler import KeywordSampler
from training.batches.training_sources import TrainingSources
from training.config.augmentation_sections import UNCHANGED
from training.config.data_sections import DataConfig
from training.config.recipe import Recipe

RATE = 16_000
# Sample values by origin: recorded noise, speech, and a keyword in it.
HUM, TALK, KEYWORD = 123, 1_000, 3_000


@pytest.fixture
def settings(tmp_path, word_tree) -> dict[str, Any]:
    """A tree of words with noise, running speech with "no" inside, synthesised "no" and "bed"."""
    clips = word_tree({word: {"training": 4} for word in ("yes", "no", "bed", "cat")})
    (clips / "_background_noise_").mkdir()
    write(clips / "_background_noise_" / "hum.wav", np.full(10 * RATE, HUM))
    talk = np.full(4 * RATE, TALK)
    talk[24_000:32_000] = KEYWORD
    (tmp_path / "speech" / "part").mkdir(parents=True)
    write(tmp_path / "speech" / "part" / "a.wav", talk)
    (tmp_path / "speech" / "part.words.csv").write_text(
        "utterance,word,start_sample,n_samples\na,hello,1000,6000\na,no,24000,8000\n"
    )
    for word in ("no", "bed"):
        (tmp_path / "synthetic" / word).mkdir(parents=True)
        write(tmp_path / "synthetic" / word / "voice.wav", np.zeros(RATE))
    return {
        "clips": str(clips),
        "speech": str(tmp_path / "speech"),
        "speech_split": "part",
        "environment": "",
        "rooms": "",
        "keywords": ("yes", "no"),
        "cut_word_share": 0.0,
        "speech_window_share": 0.0,
        "speech_background_share": 0.0,
    }


def write(path: Path, samples: np.ndarray) -> None:
    soundfile.write(str(path), samples.astype(np.int16), RATE)


def make_sampler(settings: dict[str, Any], **changes: Any) -> KeywordSampler:
    recipe = Recipe("test", data=DataConfig(**{**settings, **changes}), augmentation=UNCHANGED)
    return KeywordSampler(recipe, TrainingSources.open(recipe.data))


def test_classes_held_out_are_in_no_noise_of_training(settings, tmp_path):
    """
    No recording of a held-out class is in the noise cache, while the others' training folds are;
    a missing class is an error.
    """
    for sound, value in (("rain", 10), ("siren", 20), ("hen", 30)):
        (tmp_path / "esc" / sound).mkdir(parents=True)
        for fold in range(1, 6):
            path = tmp_path / "esc" / sound / f"{fold}-17-A.wav"
            write(path, np.full(RATE, value + fold))
    settings = {**settings, "environment": str(tmp_path / "esc")}

    def drawn_noise(*held_out: str) -> set[int]:
        config = DataConfig(**settings, held_out_noise=held_out)
        return {int(part[0]) for part in TrainingSources.open(config).noise.recordings}

    assert {HUM, 11, 12, 13, 14, 21, 22, 23, 24, 31, 32, 33, 34} == drawn_noise()
    assert {HUM, 31, 32, 33, 34} == drawn_noise("rain", "siren")
    with pytest.raises(ConfigError, match="expected classes to hold out, found no thunder"):
        drawn_noise("thunder")


@pytest.mark.parametrize("inside", [False, True])
def test_a_keyword_inside_speech_is_a_negative_if_set(settings, rng, inside):
    """
    Seconds of running speech with the keyword in them are drawn as unknown, or never.
    """
    drawer = make_sampler(
        settings, keywords_inside_speech=inside, speech_window_share=1.0, silence_weight=0.0
    )
    labels = DataConfig(**settings).labels
    drawn = [drawer.draw(rng) for _ in range(200)]
    seconds = [samples for samples, index in drawn if labels[index] == "_unknown_"]
    with_keyword = [samples for samples in seconds if (samples == KEYWORD).any()]

    assert len(seconds) > 50
    assert inside == bool(with_keyword)
    # The whole word too, not its ends alone.
    assert inside == any((samples == KEYWORD).sum() == 8_000 for samples in with_keyword)


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 0.0), (1.0, 1 / 5), (1e6, 1.0)])
def test_cut_keywords_are_drawn_by_their_weight(settings, rng, weight, expected):
    """
    Against four recordings the one cut comes as often as each of them, with a weight of 1.
    """
    drawer = make_sampler(settings, cut_keyword_weight=weight)
    drawn = [drawer._keyword("no", rng) for _ in range(500)]
    cuts = [clip for clip in drawn if clip.n_samples is not None]

    assert expected == pytest.approx(len(cuts) / len(drawn), abs=0.06 if 0 < expected < 1 else 0)
    assert {(24_000, 8_000)} >= {(clip.start, clip.n_samples) for clip in cuts}
    assert all(clip.n_samples is None for clip in (drawer._keyword("yes", rng) for _ in range(20)))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_near_words_are_drawn_by_their_share(settings, tmp_path, rng, share):
    """
    Of words cut from speech "noon", spelled like "no", comes as any other, or alone.
    """
    (tmp_path / "speech" / "part.words.csv").write_text(
        "utterance,word,start_sample,n_samples\na,hello,1000,6000\na,noon,24000,8000\n"
    )
    drawer = make_sampler(settings, near_word_share=share, cut_word_share=1.0)
    starts = {drawer._unknown(rng).start for _ in range(50)}

    assert starts == ({24_000} if share else {1_000, 24_000})


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_synthesised_words_are_drawn_where_there_are_any(settings, tmp_path, rng, share):
    """
    Always or never, for keywords and other words alike; words without synthesised clips are
    recorded ones.
    """
    drawer = make_sampler(settings, synthetic=str(tmp_path / "synthetic"), synthetic_share=share)

    for word in ("yes", "no", "bed", "cat"):
        names = {drawer._spoken(word, rng).path.name for _ in range(20)}
        is_synthetic = share == 1.0 and word in ("no", "bed")

        assert is_synthetic == (names == {"voice.wav"})
        assert is_synthetic == ("voice.wav" in names)


@pytest.mark.parametrize("second", [False, True])
def test_half_a_word_holds_half_of_its_energy(rng, second):
    """
    Before or after the loudest part, faded where it was cut; silence stays silence.
    """
    word = np.zeros(RATE, np.int16)
    word[4_000:12_000] = (rng.standard_normal(8_000) * 3_000).astype(np.int16)
    half = loud_half(word, second=second)
    whole, part = (np.square(x, dtype=np.float64).sum() for x in (word, half))

    assert 0.5 == pytest.approx(part / whole, abs=0.02)
    assert len(word) // 2 == pytest.approx(len(half), abs=400)
    assert 0 == half[0 if second else -1]
    assert not loud_half(np.zeros(RATE, np.int16), second=second).any()


def test_half_words_are_unknown(settings, rng):
    """
    With a share of 1 every unknown clip is part of a keyword, shorter than the whole one.
    """
    word = np.zeros(RATE)
    word[4_000:12_000] = 2_000
    for name in ("yes", "no"):
        for path in (Path(settings["clips"]) / name).glob("*.wav"):
            write(path, word)
    drawer = make_sampler(settings, half_word_share=1.0, silence_weight=0.0)
    labels = DataConfig(**settings).labels
    lengths: dict[str, list[int]] = {label: [] for label in labels}
    for samples, index in (drawer.draw(rng) for _ in range(60)):
        # A half has noise around it: the word is louder than the middle of both.
        middle = (int(samples.min()) + int(samples.max())) / 2
        lengths[labels[index]].append(int((samples > middle).sum()))

    assert len(lengths["_unknown_"]) > 10
    assert all(3_500 < count < 4_500 for count in lengths["_unknown_"])
    assert all(count == 8_000 for count in (*lengths["yes"], *lengths["no"]))


@pytest.mark.parametrize(
    ("shares", "expected"),
    [
        ({}, {"recorded"}),
        ({"speech_background_share": 1.0}, {"speech"}),
        ({"babble_share": 1.0}, {"babble"}),
        ({"coloured_noise_share": 1.0}, {"coloured"}),
        ({"babble_share": 0.5, "coloured_noise_share": 0.5}, {"babble", "coloured"}),
        ({"babble_share": 0.3, "coloured_noise_share": 0.3}, {"babble", "coloured", "recorded"}),
        ({"silence_of_all_noise": True}, {"recorded"}),
        ({"speech": "", "babble_share": 1.0}, {"recorded"}),
        ({"speech": "", "coloured_noise_share": 1.0}, {"coloured"}),
    ],
)
def test_noise_is_of_the_kinds_that_have_a_share(settings, rng, shares, expected):
    """
    A share of 1 leaves nothing else, and one without a share is never drawn. Babble needs speech.
    """
    drawer = make_sampler(settings, **shares)

    assert expected == {kind_of(drawer._background(rng)) for _ in range(60)}


def kind_of(noise: np.ndarray | None) -> str:
    """Return where a second of noise comes from, by its samples."""
    assert noise is not None
    assert (RATE, np.int16) == (len(noise), noise.dtype)
    if noise.min() < noise.max():
        return "coloured"
    # Three to six voices of 0.4 to 1 times the level of made noise, added up.
    return {HUM: "recorded", TALK: "speech"}.get(int(noise[0]), "babble")


def test_silence_of_all_noise_has_synthetic_noise_but_no_voices(settings, rng):
    """
    Without the setting silence is made of recordings alone.
    """
    shares = {"speech_background_share": 0.4, "babble_share": 0.2, "coloured_noise_share": 0.2}
    every = make_sampler(settings, silence_of_all_noise=True, **shares)
    recorded = make_sampler(settings, **shares)
    every._quieter = recorded._quieter = lambda samples, rng: samples

    assert {"coloured", "recorded"} == {kind_of(every._silence(rng)) for _ in range(60)}
    assert {"recorded"} == {kind_of(recorded._silence(rng)) for _ in range(60)}


def test_babble_is_unknown_by_its_share(settings, rng):
    """
    With a share of 1 every unknown clip is several voices and comes from no single recording.
    """
    drawer = make_sampler(settings, babble_unknown_share=1.0, unknown_weight=1e6)
    drawer._quieter = lambda samples, rng: samples
    drawn = [drawer.draw_with_clip(rng) for _ in range(20)]

    assert {"babble"} == {kind_of(samples) for samples, _, _ in drawn}
    assert {None} == {clip for _, _, clip in drawn}
