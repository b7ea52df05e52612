"""Which words count as left out: the word, its inflections, and what sounds the same."""

from __future__ import annotations

import pytest
from training.datasets.excluded_words import LeftOut

from training.datasets.clips import Clip


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
def test_inflections_and_homophones_are_left_out_too(word, forms):
    """
    However it is spelled or inflected, a word that is left out stays out.
    """
    hidden = LeftOut((word,))

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
    hidden = LeftOut((word,))

    assert [] == [other for other in others if other in hidden]


def test_without_words_nothing_is_left_out():
    """
    No words to leave out: every word stays.
    """
    hidden = LeftOut(())

    assert frozenset() == hidden.of(["up", "", "down"])


def test_clips_of_words_left_out_are_dropped(tmp_path):
    """
    Of clips by word only the other words' are left; of a text, the spellings that are hidden.
    """
    hidden = LeftOut(("up", "zero"))
    clips = {word: [Clip(tmp_path / "a.wav", word)] for word in ("up", "bed", "Zero")}

    assert {"bed": clips["bed"]} == hidden.without(clips)
    assert {"up", "ups", "zeroes"} == hidden.of(["up", "ups", "upon", "up", "zeroes"])
