"""The section of a recipe that says where labelled clips come from and how they are split."""

from __future__ import annotations

from dataclasses import dataclass

from kws.errors import ConfigError

KINDS = ("folders", "csv", "npz", "pictures", "words")
SPLIT_RULES = ("random", "group", "folds", "lists")


@dataclass(frozen=True)
class SourceConfig:
    """A plain classification task: the labels are those of the data, whatever they are.

    Without a `kind` the recipe is about keywords, with ``_unknown_`` and ``_silence_``.
    ``data.clips`` names the folder or file, ``data.classes`` which labels count.
    """

    kind: str = ""
    """``folders``: one folder a class. ``csv``: a table with file, label and fold, or a folder
    that holds one (ESC-50's own, too). ``npz``: ``wav_vals`` and ``label_vals``. ``pictures``:
    one folder a class of PNG files, from `kws-train pictures`. ``words``: one folder a word, and
    the frequent words of ``data.speech`` (``[words]``)."""

    split: str = "random"
    """``random``: a seeded part of every class. ``group``: whole speakers or source recordings,
    which must be known. Both leave out what a ``testing_list.txt`` names.
    ``folds``: those of the table. ``lists``: Speech Commands' list files, or its hash rule."""

    seed: int = 1
    """Of the random and the group split."""

    validation_share: float = 0.2
    """Part of the clips that validates, by the random and the group split; with ``words`` part
    of the speakers of running speech."""

    testing_share: float = 0.0
    """Part of the clips that is kept for testing, by the random and the group split."""

    validation_folds: tuple[int | str, ...] = (4,)
    testing_folds: tuple[int | str, ...] = (5,)
    """Folds that do not train; all others do."""

    turn: int = 0
    """Cross-validation: moves validation and testing on by so many folds, round and round."""

    clips_per_class: int = 0
    """Take at most so many clips of each class, whole groups of them; 0 takes all."""

    sample_rate: int = 16_000
    """Rate of the samples of an ``npz`` that does not tell it, in Hz."""

    normalisation_clips: int = 1_000
    """Training clips on which mean and std are measured; 0 takes those of ``[frontend]``."""

    def __post_init__(self) -> None:
        if self.kind and self.kind not in KINDS:
            raise ConfigError(f"source.kind: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.split not in SPLIT_RULES:
            raise ConfigError(
                f"source.split: expected one of {', '.join(SPLIT_RULES)}, got {self.split!r}"
            )
        if self.kind == "words" and self.split != "lists":
            raise ConfigError(
                f"source.split: words are split by lists, and running speech by speaker; expected "
                f"'lists', got {self.split!r}"
            )
        if not 0 < self.validation_share < 1 or not 0 <= self.testing_share < 1:
            raise ConfigError(
                "source.validation_share must lie above 0 and below 1 and testing_share in 0..1, "
                f"got {self.validation_share:g} and {self.testing_share:g}"
            )
        if self.validation_share + self.testing_share >= 1:
            raise ConfigError("source: validation_share + testing_share must leave clips to train")
        both = set(map(str, self.validation_folds)) & set(map(str, self.testing_folds))
        if both:
            raise ConfigError(f"source: fold {', '.join(sorted(both))} both validates and tests")
        for name in ("turn", "clips_per_class", "normalisation_clips"):
            if getattr(self, name) < 0:
                raise ConfigError(f"source.{name} must be at least 0, got {getattr(self, name)}")
