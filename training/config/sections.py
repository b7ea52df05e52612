"""The sections of a recipe about network, training, cache, export and transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kws.errors import ConfigError
from training.config.data_sections import check_choice, check_range


@dataclass(frozen=True)
class ModelConfig:
    """Which architecture, with which parameters."""

    name: str = "ds_tc_resnet"
    window_frames: int = 98
    window_ms: int = 1_000
    """Audio of a window; as much as `window_frames` need, or a little more."""

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
    """Initial weights: the folder of a finished run of the same model, or a published network,
    ``speech-embedding`` or ``whisper-tiny.en``. If the labels differ, the last layer is initialised
    at random (fine-tuning)."""

    frozen_layers: tuple[str, ...] = ()
    """Prefixes of the names of layers whose weights are not trained."""

    keep: str = "best"
    """Which epoch's averaged weights are kept: the ``best`` by validation accuracy, or the
    ``last``, for a stage whose aim clip accuracy does not show."""

    early_stop_epochs: int = 0
    """Stop after this many epochs without a better validation accuracy; 0 never stops."""

    def __post_init__(self) -> None:
        check_range("fit", self, "epochs clips_per_epoch batch_size", 1)
        check_choice("fit", self, "keep", ("best", "last"))
        check_range("fit", self, "label_smoothing", 0, 1)

    @property
    def steps_per_epoch(self) -> int:
        """Batches of an epoch."""
        return max(1, self.clips_per_epoch // self.batch_size)


@dataclass(frozen=True)
class CacheConfig:
    """Training on a cache of augmented clips, with soft labels, instead of drawing clips."""

    path: str = ""
    """Folder made by `kws-train cache`; empty draws clips while training."""

    more_paths: tuple[str, ...] = ()
    """Further caches of the same data, drawn with other settings, whose clips are mixed in."""

    teacher_weight: float = 0.0
    """Weight of the teachers' soft labels in the targets; the rest is the label."""

    teachers: tuple[str, ...] = ()
    """Names of the teachers whose soft labels are averaged. Empty: all that the cache has."""

    feature_teacher: str = ""
    """Published embedding whose features the network learns beside its labels (feature
    distillation): ``speech-embedding``, once `kws-train soft-labels` has written them."""

    inputs: str = ""
    """Published embedding that is the network's input instead of features: ``whisper-tiny.en``,
    once `kws-train soft-labels` has written it. Only a head trains; its network stays."""

    folds: int = 1
    """Cross-fitting: speakers and source recordings are split into this many folds, and the run
    leaves fold number `fold` out. Its soft labels are then for that fold alone."""

    fold: int = 0

    feature_weight: float = 1.0
    """Weight in the loss of the mean squared error of those features, which are normalised."""

    feature_clips: str = ""
    """Folder made by `kws-train feature-clips`: clips without audio."""

    feature_share: float = 0.1
    """Share of those among the clips of a label that has any. Speed and rooms never change them,
    and no teacher labels them."""

    feature_words: tuple[str, ...] = ()
    """Words to draw from that folder; ``_unknown_`` stands for all that are no keywords. Empty:
    all words."""

    def __post_init__(self) -> None:
        check_range("cache", self, "feature_weight", 0, above=True)
        for name in ("feature_teacher", "inputs"):
            if getattr(self, name) and not self.path:
                raise ConfigError(
                    f"cache.{name} needs a cache with the features of that embedding; "
                    "set cache.path"
                )
        if self.more_paths and not (self.path and all(self.more_paths)):
            raise ConfigError(
                "cache.more_paths: expected folders beside cache.path, got an empty one"
            )
        if self.feature_teacher and self.inputs:
            raise ConfigError("cache.feature_teacher and cache.inputs: expected one of the two")
        check_range("cache", self, "folds", 1)
        check_range("cache", self, "fold", 0, self.folds - 1)
        if self.feature_clips and (self.feature_teacher or self.inputs or not self.path):
            raise ConfigError(
                "cache.feature_clips: needs a cache for the other clips (cache.path), and cannot "
                "be combined with cache.feature_teacher or cache.inputs, which need samples"
            )
        check_range("cache", self, "feature_share", 0, 1)
        check_range("cache", self, "teacher_weight", 0, 1)


@dataclass(frozen=True)
class ExportConfig:
    """How the trained network becomes an int8 file."""

    calibration_clips: int = 1_000
    parity_clips: int = 400
    max_accuracy_loss: float = 0.005
    """Export fails if int8 loses more validation accuracy than this, 0..1."""

    prior_correction: float = 0.0
    """How much of the labels' shares in training is taken out of the network's last bias, 0..1.
    Training draws unknown clips several times as often as a keyword, which biases posteriors
    towards them; 1 gives posteriors for labels that are equally frequent (Saerens et al. 2002)."""

    hop_frames: int = 10
    """New frames in each step of the streaming model; 0 exports no streaming model."""


@dataclass(frozen=True)
class TransferConfig:
    """A classifier on the embeddings of a trained network, for `kws-train transfer`.

    ``[data]`` and ``[source]`` define the clips, labels and splits. Of the other sections only
    ``[decision]`` counts, for the exported model.
    """

    backbone: str = ""
    """``yamnet``, ``speech-embedding``, ``whisper-tiny.en``, a shipped backbone such as ``words``
    or the path of its .json file, the folder of a training run, or a .tflite file that takes
    samples."""

    file: str = ""
    """Path of the ``yamnet`` file, from `kws-train fetch yamnet`; may hold ``$KWS_DATA``."""

    layers: tuple[str, ...] = ()
    """Layers whose averages over time and bands are concatenated: names, or for a .tflite file
    also tensor numbers. Empty: what the network itself pools before its head."""

    head: str = "logistic"
    """``logistic`` regression, or ``dense``: one hidden layer with ReLU."""

    hidden: int = 64
    """Units of the hidden layer. More units fit finer boundaries and overfit sooner."""

    inverse_penalty: float = 0.01
    """scikit-learn's C of the logistic regression, on standardised embeddings. Raising it fits
    the training clips more closely."""

    windows: int = 1
    """For a network that takes samples: the number of overlapping windows that one embedding
    averages. The exported model takes that much audio at once. More windows suit sounds that
    last, and cost as many times the arithmetic."""

    short: str = "pad"
    """A clip shorter than the network's window is padded with zeros (``pad``) or repeated until
    the window is full (``tile``)."""

    average: str = "embeddings"
    """For a clip of several windows: the head is trained on the mean of their ``embeddings``, or
    on each of them, and the clip's posterior is the mean of the windows' ``posteriors``."""

    tolerance: float = 0.01
    """Export fails if a posterior of the exported model differs by more than this. Float models
    stay within 0.0001; int8 layers need 0.1."""

    def __post_init__(self) -> None:
        check_choice("transfer", self, "head", ("logistic", "dense"))
        check_choice("transfer", self, "short", ("pad", "tile"))
        check_choice("transfer", self, "average", ("embeddings", "posteriors"))
        check_range("transfer", self, "hidden windows inverse_penalty tolerance", 0, above=True)
