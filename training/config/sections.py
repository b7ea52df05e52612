"""The sections of a recipe: data, model, training, export; frozen and checked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws.errors import ConfigError

SILENCE, UNKNOWN = "_silence_", "_unknown_"


@dataclass(frozen=True)
class DataConfig:
    """Where the audio lies and how often each kind of it is drawn.

    Paths may hold ``$KWS_DATA``. An empty path leaves that source out.
    """

    clips: str = "$KWS_DATA/speech_commands"
    """One folder a word; Speech Commands' list files are honoured."""

    speech: str = "$KWS_DATA/librispeech"
    """Running speech with word times, for the unknown class and as background."""

    speech_split: str = "train_clean_5"
    environment: str = "$KWS_DATA/esc10"
    rooms: str = "$KWS_DATA/room_impulse_responses"
    keywords: tuple[str, ...] = (
        "yes",
        "no",
        "up",
        "down",
        "left",
        "right",
        "on",
        "off",
        "stop",
        "go",
    )
    classes: tuple[str, ...] = ()
    """Labels of a plain classification (``[source]``), in output order; none: all in the data."""

    unknown_weight: float = 2.5
    """Unknown clips drawn for every clip of one keyword."""

    silence_weight: float = 0.7
    """Silence clips drawn for every clip of one keyword."""

    cut_word_share: float = 0.25
    """Part of the unknown clips that are words cut from running speech."""

    speech_window_share: float = 0.25
    """Part of the unknown clips that are random seconds of running speech."""

    hard_negatives: str = ""
    """Table of windows that a trained network took for keywords, from `kws-train mine`."""

    hard_negative_share: float = 0.0
    """Part of the unknown clips that are drawn from that table."""

    half_word_share: float = 0.0
    """Part of the unknown clips that are the first or the second half of a keyword."""

    keywords_inside_speech: bool = False
    """Whether random seconds of running speech may hold a keyword: a command is an utterance of
    its own, and a word inside a sentence is none."""

    cut_keyword_weight: float = 0.0
    """How often a keyword cut from running speech is drawn, measured by a clip of it."""

    synthetic: str = ""
    """Folder of synthesised words, one folder a word, from `kws-train synthesise`."""

    synthetic_share: float = 0.0
    """Part of the clips of keywords and other words that are synthesised, where there are any."""

    held_out_noise: tuple[str, ...] = ()
    """Classes of `environment` that training never hears, so that noise can be held against it."""

    speech_background_share: float = 0.3
    """Part of the added noise that is running speech instead of noise recordings."""

    babble_share: float = 0.0
    """Part of the added noise that is several voices at once."""

    coloured_noise_share: float = 0.0
    """Part of the added noise that is made: hiss, hum, fans."""

    licence: str = "not stated"
    """Licence of the models made by this recipe."""

    attribution: tuple[str, ...] = ()
    """Who is to be named for the data, a line each."""

    def __post_init__(self) -> None:
        if not self.keywords or len(set(self.keywords)) != len(self.keywords):
            raise ConfigError(f"data.keywords must be distinct words, got {self.keywords}")
        if len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"data.classes must be distinct, got {self.classes}")
        names = ("cut_word_share", "speech_window_share", "hard_negative_share", "half_word_share")
        shares = sum(getattr(self, name) for name in names)
        if shares > 1:
            raise ConfigError(f"data.{' + '.join(names)} must be at most 1, got {shares:g}")
        for name in ("unknown_weight", "silence_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"data.{name} must be at least 0, got {getattr(self, name)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in output order: the keywords, then unknown and silence; or the classes."""
        return self.classes or (*self.keywords, UNKNOWN, SILENCE)

    def path(self, name: str) -> Path | None:
        """Return the folder of a source with variables filled in, or None if it is left out.

        Raises
        ------
        ConfigError
            If the path names a variable that is not set.
        """
        return filled_in(getattr(self, name), where=f"data.{name}")


def filled_in(text: str, *, where: str) -> Path | None:
    """Return a path with its variables filled in, or None of an empty one.

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


@dataclass(frozen=True)
class ModelConfig:
    """Which architecture, with which parameters."""

    name: str = "ds_tc_resnet"
    window_frames: int = 98
    window_ms: int = 1_000
    """Audio that a window spans; as much as `window_frames` need, or a little more."""

    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FitConfig:
    """How the network is trained. Adam with decoupled weight decay, warm-up, cosine decay."""

    epochs: int = 60
    clips_per_epoch: int = 15_360
    batch_size: int = 128
    learning_rate: float = 4e-3
    warmup_epochs: float = 2.0
    weight_decay: float = 1e-2
    label_smoothing: float = 0.05
    ema_momentum: float = 0.999
    """Momentum of the weight average that is validated and exported; 0 switches it off."""

    start_from: str = ""
    """Folder of a finished run of the same model whose best weights training begins with, or
    the name of a published network: ``speech-embedding``. Where its labels are others, the last
    layer begins anew: so a network is fine-tuned for other words."""

    frozen_layers: tuple[str, ...] = ()
    """Beginnings of the names of layers that keep the weights they start with."""

    keep: str = "best"
    """Which epoch's averaged weights are kept: ``best`` by validation accuracy, or ``last``,
    for a second stage that is after something which clip accuracy does not show."""

    early_stop_epochs: int = 0
    """Stop after so many epochs without a better validation; 0 never stops."""

    def __post_init__(self) -> None:
        for name in ("epochs", "clips_per_epoch", "batch_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"fit.{name} must be at least 1, got {getattr(self, name)}")
        if self.keep not in ("best", "last"):
            raise ConfigError(f"fit.keep must be best or last, got {self.keep!r}")
        if not 0 <= self.label_smoothing < 1:
            raise ConfigError(f"fit.label_smoothing must lie in 0..1, got {self.label_smoothing}")

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return max(1, self.clips_per_epoch // self.batch_size)


@dataclass(frozen=True)
class BankConfig:
    """A bank of clips to train on, drawn and taught beforehand, instead of drawing on the way."""

    path: str = ""
    """Folder made by `kws-train bank`; empty draws clips while training."""

    teacher_weight: float = 0.0
    """Part of the targets that is what the teachers say; the rest is the label."""

    teachers: tuple[str, ...] = ()
    """Which of the runs that taught the bank count; none named: all."""

    imitate: str = ""
    """Published embedding that the network learns to say besides its labels:
    ``speech-embedding``, once `kws-train teach` has let it listen to the bank."""

    imitation_weight: float = 1.0
    """Of the mean squared error of the imitation, each number with deviation 1, in the loss."""

    def __post_init__(self) -> None:
        if self.imitation_weight <= 0:
            raise ConfigError(f"bank.imitation_weight must be above 0, got {self.imitation_weight}")
        if self.imitate and not self.path:
            raise ConfigError("bank.imitate needs a bank that the embedding heard; set bank.path")
        if not 0 <= self.teacher_weight <= 1:
            raise ConfigError(f"bank.teacher_weight must lie in 0..1, got {self.teacher_weight}")


@dataclass(frozen=True)
class ExportConfig:
    """How the trained network becomes an int8 file."""

    calibration_clips: int = 1_000
    parity_clips: int = 400
    max_accuracy_loss: float = 0.005
    """Export fails if int8 loses more validation accuracy than this, 0..1."""

    hop_frames: int = 10
    """New frames that a step of the stream form takes; 0 makes no stream form."""
