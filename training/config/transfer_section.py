"""The section of a recipe about transfer: whose embeddings, which layers, what learns on them."""

from __future__ import annotations

from dataclasses import dataclass

from kws.errors import ConfigError

HEADS = ("logistic", "dense")
SHORT = ("pad", "tile")
AVERAGES = ("embeddings", "posteriors")


@dataclass(frozen=True)
class TransferConfig:
    """A classifier on what a trained network makes of audio, for `kws-train transfer`.

    ``[data]`` and ``[source]`` say which clips, how they are labelled and split; of the other
    sections only ``[decision]`` counts, for the exported model.
    """

    backbone: str = ""
    """``yamnet``, ``speech-embedding``, a shipped backbone such as ``words`` or the path of its
    .json file, the folder of a training run, or a .tflite file that takes samples."""

    file: str = ""
    """Where ``yamnet`` lies, from `kws-train fetch yamnet`; may hold ``$KWS_DATA``."""

    layers: tuple[str, ...] = ()
    """Layers whose averages over time and bands are laid end to end: names, or in a .tflite file
    also the numbers of tensors. None: what the network itself pools before its head."""

    head: str = "logistic"
    """``logistic`` regression, or ``dense``: one rectified layer before the last."""

    hidden: int = 64
    """Numbers of the rectified layer. More learn finer borders, and sooner by heart."""

    inverse_penalty: float = 0.01
    """Of logistic regression, scikit-learn's C, on numbers of deviation 1. Higher: it trusts the
    training clips more."""

    windows: int = 1
    """Of a network that takes samples: how many of its windows, lapping over, one embedding is
    the mean of. The exported model then takes so much audio at once. More suit sounds that last,
    and cost as many times the arithmetic."""

    short: str = "pad"
    """A clip shorter than the network's window gets zeros behind it (``pad``), or is said again
    until the window is full (``tile``)."""

    average: str = "embeddings"
    """Of a clip that is longer still: the head learns from the mean of their ``embeddings``, or
    from each of them, and the clip's posterior is the mean of the windows' ``posteriors``."""

    tolerance: float = 0.01
    """Export fails if a posterior of the exported model is farther from the pipeline's. Float
    models stay within 0.0001; int8 layers need 0.1."""

    def __post_init__(self) -> None:
        for name, known in (("head", HEADS), ("short", SHORT), ("average", AVERAGES)):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"transfer.{name}: expected {' or '.join(known)}, got {getattr(self, name)!r}"
                )
        for name in ("hidden", "windows", "inverse_penalty", "tolerance"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"transfer.{name} must be above 0, got {getattr(self, name)}")
