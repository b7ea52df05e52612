"""Words and keyword-free stretches out of running speech with word times."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from kws.errors import ConfigError
from training.datasets.aligned_speech import (
    MARGIN_SAMPLES,
    ExcludedWords,
    SpeechWindows,
    Utterance,
    Word,
    cut_words,
    free_spans,
    read_utterances,
    sounds_like,
)
from training.datasets.clips import Clip

SECOND = 16_000


def utterance(*words: tuple[str, float, float], length_s: float = 10) -> Utterance:
    return Utterance(
        Path("u.wav"),
        tuple(
            Word(text, int(start * SECOND), int((end - start) * SECOND))
            for text, start, end in words
        ),
        int(length_s * SECOND),
    )


def test_utterances_come_with_their_words(tmp_path):
    """
    Words are in lower case, at sample positions; an utterance without words has none.
    """
    (tmp_path / "dev").mkdir()
    for name in ("b", "a", "c"):
        soundfile.write(str(tmp_path / "dev" / f"{name}.wav"), np.zeros(5_000), SECOND)
    (tmp_path / "dev.words.csv").write_text(
        "utterance,word,start_sample,n_samples\na,HELLO,100,200\nb,yes,0,300\na,you,300,50\n"
    )

    assert read_utterances(tmp_path, "dev") == [
        Utterance(
            tmp_path / "dev" / "a.wav", (Word("hello", 100, 200), Word("you", 300, 50)), 5_000
        ),
        Utterance(tmp_path / "dev" / "b.wav", (Word("yes", 0, 300),), 5_000),
        Utterance(tmp_path / "dev" / "c.wav", (), 5_000),
    ]


def test_missing_word_times_are_named(tmp_path):
    """
    Without its table running speech is of no use, for nobody knows where keywords are.
    """
    (tmp_path / "dev").mkdir()

    with pytest.raises(ConfigError, match=r"expected dev/ and dev\.words\.csv in it"):
        read_utterances(tmp_path, "dev")


def test_homophones_of_keywords_are_left_out_too():
    """
    "know" sounds like "no": neither a keyword nor evidence against one.
    """
    expected = {"no", "right", "go", "know", "write", "wright", "rite"}

    assert sounds_like(("no", "right", "go")) == expected


def test_single_words_are_cut_by_their_times():
    """
    Clips are lazy cuts of the recording, by word; keywords and very short words are left out.
    """
    spoken = utterance(("hello", 1, 1.5), ("no", 2, 2.5), ("a", 3, 3.1), ("hello", 4, 4.4))
    cuts = cut_words([spoken], exclude=frozenset({"no"}))

    assert list(cuts) == ["hello"]
    assert [(clip.start, clip.n_samples) for clip in cuts["hello"]] == [
        (16_000, 8_000),
        (64_000, 6_400),
    ]


def test_stretches_without_keywords_keep_a_margin():
    """
    A keyword splits the speech; 50 ms on either side of it are left out, short rests too.
    """
    spoken = utterance(("hello", 1, 1.5), ("no", 3, 3.5), ("there", 6, 6.5), ("no", 9, 9.5))

    assert free_spans(spoken, exclude=frozenset({"no"})) == [
        (0, 3 * SECOND - MARGIN_SAMPLES),
        (int(3.5 * SECOND) + MARGIN_SAMPLES, 9 * SECOND - MARGIN_SAMPLES),
    ]


def test_no_cut_ever_touches_a_keyword(rng):
    """
    Whatever is drawn, a second of running speech overlaps no keyword.
    """
    times = np.sort(rng.choice(np.arange(0, 590, 5), 60, replace=False)) / 10
    words = [("no" if n % 4 == 0 else "word", at, at + 0.4) for n, at in enumerate(times)]
    spoken = utterance(*words, length_s=60)
    windows = SpeechWindows.from_utterances([spoken], exclude=frozenset({"no"}))
    drawn = [windows.draw(rng) for _ in range(500)]

    assert {clip.n_samples for clip in drawn} == {SECOND}
    assert len({clip.start for clip in drawn}) > 100
    for word in spoken.words:
        if word.text == "no":
            assert all(
                clip.start >= word.end or clip.start + clip.n_samples <= word.start
                for clip in drawn
            )


@pytest.mark.parametrize(
    ("word", "forms"),
    [
        ("stop", ["stop", "Stop", "STOPS", "stop's", "stopped", "stopping"]),
        ("go", ["goes", "going"]),
        ("house", ["houses", "house's", "houses'", "housed", "housing"]),
        ("no", ["know", "knows", "knowing"]),
        ("write", ["right", "rights", "wright", "writes"]),
        ("down", ["downs", "downed"]),
    ],
)
def test_inflections_and_homophones_are_excluded_too(word, forms):
    """
    However it is spelled or inflected, an excluded word stays out.
    """
    hidden = ExcludedWords((word,))

    assert [word, *forms] == [form for form in (word, *forms) if form in hidden]


@pytest.mark.parametrize(
    ("word", "others"),
    [
        ("up", ["upon", "cup", "supper"]),
        ("on", ["one", "once", "gone"]),
        ("go", ["got", "good", "ago"]),
        ("no", ["not", "now", "none"]),
        ("right", ["rigid", "bright"]),
    ],
)
def test_other_words_stay(word, others):
    """
    A word that merely begins or ends alike is another word, and a useful one.
    """
    hidden = ExcludedWords((word,))

    assert [] == [other for other in others if other in hidden]


def test_clips_of_excluded_words_are_dropped(tmp_path):
    """
    Only clips of other words remain. Without excluded words, all do.
    """
    hidden = ExcludedWords(("up", "zero"))
    clips = {word: [Clip(tmp_path / "a.wav", word)] for word in ("up", "bed", "Zero")}

    assert {"bed": clips["bed"]} == hidden.without(clips)
    assert clips == ExcludedWords(()).without(clips)
    assert {"up", "ups", "zeroes"} == hidden.among(["up", "ups", "upon", "up", "zeroes"])


@pytest.mark.data
def test_real_alignments_fit_their_recordings(kws_data):
    """
    In the data kit every word is inside its recording, in order of time.
    """
    for spoken in read_utterances(kws_data / "librispeech", "dev_clean")[:300]:
        starts = [word.start for word in spoken.words]

        assert starts == sorted(starts)
        assert all(word.end <= spoken.n_samples for word in spoken.words)
