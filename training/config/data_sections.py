"""The sections of a recipe about data: [data], [source] and [words]."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kws.config import SILENCE, UNKNOWN
from kws.errors import ConfigError

SOURCE_KINDS = ("folders", "csv", "npz", "pictures", "words")
SPLIT_RULES = ("random", "group", "folds", "lists")


def expand_path(text: str, *, where: str) -> Path | None:
    """Return a path with ``$KWS_DATA`` and ``~`` expanded; None for an empty one.

    Raises
    ------
    ConfigError
        If a variable is not set.
    """
    path = os.path.expanduser(os.path.expandvars(text))
    if "$" in path:
        raise ConfigError(
            f"{where} = {path!r}: the variable is not set; "
            "export KWS_DATA=DIR, or give the path in the recipe"
        )
    return Path(path) if path else None


def check_range(
    section: str, config: Any, names: str, low: float, high: float = 1e9, *, above: bool = False
) -> None:
    """Raise `ConfigError` unless each of the space-separated settings lies in ``low..high``.

    With `above`, `low` itself is refused too.
    """
    for name in names.split():
        value = getattr(config, name)
        if not low <= value <= high or (above and value == low):
            least = f"{'above' if above else 'at least'} {low:g}"
            expected = f"lie in {low:g}..{high:g}" if high < 1e9 else f"be {least}"
            raise ConfigError(f"{section}.{name} must {expected}, got {value:g}")


def check_choice(section: str, config: Any, name: str, known: tuple[str, ...]) -> None:
    """Raise `ConfigError` unless a setting is one of `known`."""
    if getattr(config, name) not in known:
        raise ConfigError(
            f"{section}.{name}: expected {' or '.join(known)}, got {getattr(config, name)!r}"
        )


@dataclass(frozen=True)
class DataConfig:
    """Where the audio is and how often each kind of it is drawn.

    Paths may hold ``$KWS_DATA``. An empty path leaves that source out.
    """

    clips: str = "$KWS_DATA/speech_commands"
    """One folder per word. Speech Commands' list files decide the splits where they exist."""

    more_clips: tuple[str, ...] = ()
    """Further folders of the same data set, such as ``$KWS_DATA/speech_commands_more``, whose
    clips train and validate beside those of `clips`. Their noise folders are not used."""

    speech: str = "$KWS_DATA/librispeech"
    """Running speech with word times, for the unknown class and as background."""

    speech_split: str = "train_clean_5"
    environment: str = "$KWS_DATA/esc10"
    rooms: str = "$KWS_DATA/room_impulse_responses"
    simulated_rooms: str = ""
    """Folder of simulated room responses from `kws-train rooms`, used beside `rooms`."""

    phrases: str = ""
    """Folder of short phrases with an ``index.csv`` of utterance, speaker and transcript, such as
    AN4. Those without a keyword are running speech; the hash rule splits them by speaker."""

    keywords: tuple[str, ...] = (
        *("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"),
    )
    classes: tuple[str, ...] = ()
    """Labels of a classification task (``[source]``), in output order. Empty: all in the data."""

    unknown_weight: float = 2.5
    """Unknown clips drawn for every clip of one keyword."""

    silence_weight: float = 0.7
    """Silence clips drawn for every clip of one keyword."""

    cut_word_share: float = 0.25
    """Share of the unknown clips that are words cut from running speech."""

    near_word_share: float = 0.0
    """Share of those that are spelled like a keyword: "night" beside "right"."""

    speech_window_share: float = 0.25
    """Share of the unknown clips that are random seconds of running speech."""

    hard_negatives: str = ""
    """Table of false alarms of a trained network, from `kws-train hard-negatives`."""

    hard_negative_share: float = 0.0
    """Share of the unknown clips that are drawn from that table."""

    half_word_share: float = 0.0
    """Share of the unknown clips that are the first or the second half of a keyword."""

    keywords_inside_speech: bool = False
    """Whether random seconds of running speech, which are unknown, may hold a keyword. If true,
    the model learns to ignore keywords in mid-sentence."""

    cut_keyword_weight: float = 0.0
    """How often a keyword cut from running speech is drawn, relative to a recording of it."""

    synthetic: str = ""
    """Folder of synthesised words, one folder per word, from `kws-train synthesise`."""

    synthetic_share: float = 0.0
    """Share of synthesised clips among those of a word that has any."""

    held_out_noise: tuple[str, ...] = ()
    """Classes of `environment` kept out of training, to measure false alarms on unseen noise."""

    speech_background_share: float = 0.3
    """Share of the added noise that is one person talking."""

    babble_share: float = 0.0
    """Share of the added noise that is several people talking at once."""

    coloured_noise_share: float = 0.0
    """Share of the added noise that is coloured noise: hiss, hum, fans."""

    synthetic_noise_share: float = 0.0
    """Share of the added noise that is synthetic noise of every kind: music, motors, knocks,
    crackle, alarms, cries."""

    noise_change_probability: float = 0.0
    """How often recorded noise is played at another speed and mixed with other noise."""

    silence_of_all_noise: bool = False
    """Whether ``_silence_`` holds all kinds of noise without voices; if false, recordings alone."""

    babble_unknown_share: float = 0.0
    """Share of the unknown clips that are three to six voices at once."""

    licence: str = "not stated"
    """Licence of the models that this recipe makes."""

    attribution: tuple[str, ...] = ()
    """Credits for the data, a line each."""

    def __post_init__(self) -> None:
        if not self.keywords or len(set(self.keywords)) != len(self.keywords):
            raise ConfigError(f"data.keywords must be distinct words, got {self.keywords}")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"data.classes must be distinct, got {self.classes}")
        names = ("cut_word_share", "speech_window_share", "hard_negative_share", "half_word_share")
        shares = sum(getattr(self, name) for name in names)
        if shares > 1:
            raise ConfigError(f"data.{' + '.join(names)} must be at most 1, got {shares:g}")
        check_range("data", self, "unknown_weight silence_weight", 0)

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in output order: the keywords, then unknown and silence; or the classes."""
        return self.classes or (*self.keywords, UNKNOWN, SILENCE)

    def path(self, name: str) -> Path | None:
        """Return the path of a source by `expand_path`, or None if it is left out."""
        return expand_path(getattr(self, name), where=f"data.{name}")

    def root(self) -> Path:
        """Return the path of `clips`, which every recipe needs: `ConfigError` if it is empty."""
        root = self.path("clips")
        if root is None:
            raise ConfigError("data.clips: expected a folder or a file, got an empty path")
        return root

    def roots(self) -> tuple[Path, ...]:
        """Return the paths of `clips` and `more_clips`; `ConfigError` if one is empty."""
        more = [expand_path(text, where="data.more_clips") for text in self.more_clips]
        if None in more:
            raise ConfigError("data.more_clips: expected folders, got an empty path")
        return (self.root(), *filter(None, more))


@dataclass(frozen=True)
class SourceConfig:
    """A classification task whose labels are those of the data.

    Without a `kind` the recipe is about keywords, with ``_unknown_`` and ``_silence_``.
    ``data.clips`` names the folder or file, ``data.classes`` the labels to use.
    """

    kind: str = ""
    """``folders``: one folder per class. ``csv``: a table with file, label and fold, or a folder
    that holds one (as ESC-50 does). ``npz``: ``wav_vals`` and ``label_vals``. ``pictures``:
    PNG files, one folder per class, from `kws-train pictures`. ``words``: one folder per word, and
    the frequent words of ``data.speech`` (``[words]``)."""

    split: str = "random"
    """``random``: a seeded share of every class. ``group``: whole speakers or source recordings,
    which must be known. Both leave out the files of a ``testing_list.txt``.
    ``folds``: those of the table. ``lists``: Speech Commands' list files, or its hash rule."""

    seed: int = 1
    """Seed of the random and the group split."""

    validation_share: float = 0.2
    """Share of clips for validation in the random and the group split; with ``words`` the share
    of the speakers of running speech."""

    testing_share: float = 0.0
    """Share of clips for testing in the random and the group split."""

    validation_folds: tuple[int | str, ...] = (4,)
    testing_folds: tuple[int | str, ...] = (5,)
    """All other folds train."""

    turn: int = 0
    """Cross-validation: shifts the validation and testing folds by this many, cyclically."""

    clips_per_class: int = 0
    """At most this many clips of each class, in whole groups; 0 takes all."""

    sample_rate: int = 16_000
    """Rate in Hz of the samples of an ``npz`` that does not state it."""

    normalisation_clips: int = 1_000
    """Training clips on which mean and standard deviation of the features are measured; 0 takes
    those of ``[frontend]``."""

    def __post_init__(self) -> None:
        if self.kind:
            check_choice("source", self, "kind", SOURCE_KINDS)
        check_choice("source", self, "split", SPLIT_RULES)
        if self.kind == "words" and self.split != "lists":
            raise ConfigError(
                "source.split: words are split by lists, and running speech by speaker; expected "
                f"'lists', got {self.split!r}"
            )
        check_range("source", self, "validation_share", 0, above=True)
        check_range("source", self, "testing_share", 0)
        if self.validation_share + self.testing_share >= 1:
            raise ConfigError("source: validation_share + testing_share must leave clips to train")
        both = set(map(str, self.validation_folds)) & set(map(str, self.testing_folds))
        if both:
            raise ConfigError(f"source: fold {', '.join(sorted(both))} both validates and tests")
        check_range("source", self, "turn clips_per_class normalisation_clips", 0)


@dataclass(frozen=True)
class WordsConfig:
    """For ``source.kind = "words"``: which words are classes, and how they are drawn.

    Every folder of ``data.clips`` is a class, and every frequent word of ``data.speech``.
    """

    excluded: tuple[str, ...] = ()
    """Words kept out of training in every form: recorded, cut from running speech, synthesised,
    inflected, or another word that sounds the same."""

    min_cuts: int = 10
    """Occurrences in running speech from which a word is a class. Lower values add classes that
    the network memorises instead of learning."""

    min_speakers: int = 3
    """Speakers from which a word of running speech is a class."""

    min_word_ms: int = 200
    """Shortest word to cut from running speech. Word times are accurate to 20 to 50 ms."""

    count_exponent: float = 0.5
    """Words are drawn in proportion to their number of clips to this power, and so are recordings
    and cuts of a word: 0 draws all alike, 1 in proportion."""

    unknown_share: float = 0.05
    """Share of the clips that are random seconds of running speech."""

    silence_share: float = 0.03
    """Share of the clips that hold no speech."""

    def __post_init__(self) -> None:
        if not all(self.excluded):
            raise ConfigError(f"words.excluded must be words, got {self.excluded}")
        check_range("words", self, "min_cuts min_speakers", 1)
        check_range("words", self, "min_word_ms", 1, 999)
        check_range("words", self, "count_exponent", 0, 1)
        shares = (self.unknown_share, self.silence_share)
        if min(shares) < 0 or sum(shares) >= 1:
            raise ConfigError(
                "words.unknown_share and words.silence_share must be at least 0 and leave clips "
                f"of words, got {self.unknown_share:g} and {self.silence_share:g}"
            )
