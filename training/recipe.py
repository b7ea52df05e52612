"""Recipes: a TOML file becomes frozen, checked settings for data, model, training and export."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from kws.config import DecisionConfig, FrontendConfig
from kws.errors import ConfigError
from kws.manifest import PLAIN_TYPES
from training.augmentation import AugmentationConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parent / "recipes"
SILENCE, UNKNOWN = "_silence_", "_unknown_"
T = TypeVar("T")


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

    speech_background_share: float = 0.3
    """Part of the added noise that is running speech instead of noise recordings."""

    def __post_init__(self) -> None:
        if not self.keywords or len(set(self.keywords)) != len(self.keywords):
            raise ConfigError(f"data.keywords must be distinct words, got {self.keywords}")
        shares = self.cut_word_share + self.speech_window_share + self.hard_negative_share
        if shares > 1:
            raise ConfigError(
                "data.cut_word_share + speech_window_share + hard_negative_share must be at most "
                f"1, got {shares:g}"
            )
        for name in ("unknown_weight", "silence_weight"):
            if getattr(self, name) < 0:
                raise ConfigError(f"data.{name} must be at least 0, got {getattr(self, name)}")

    @property
    def labels(self) -> tuple[str, ...]:
        """Labels in output order: the keywords, then unknown and silence."""
        return (*self.keywords, UNKNOWN, SILENCE)

    def path(self, name: str) -> Path | None:
        """Return the folder of a source with variables filled in, or None if it is left out.

        Raises
        ------
        ConfigError
            If the path names a variable that is not set.
        """
        text = os.path.expanduser(os.path.expandvars(getattr(self, name)))
        if "$" in text:
            raise ConfigError(
                f"data.{name} = {text!r}: the variable is not set; "
                "export KWS_DATA=DIR, or give the path in the recipe"
            )
        return Path(text) if text else None


@dataclass(frozen=True)
class ModelConfig:
    """Which architecture, with which parameters."""

    name: str = "ds_tc_resnet"
    window_frames: int = 98
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
    """Folder of a finished run of the same model whose best weights training begins with."""

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
class ExportConfig:
    """How the trained network becomes an int8 file."""

    calibration_clips: int = 1_000
    parity_clips: int = 400
    max_accuracy_loss: float = 0.01
    """Export fails if int8 loses more validation accuracy than this, 0..1."""


@dataclass(frozen=True)
class Recipe:
    """Everything that makes one trained model."""

    name: str
    description: str = ""
    seed: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "frontend": FrontendConfig,
    "augmentation": AugmentationConfig,
    "model": ModelConfig,
    "fit": FitConfig,
    "export": ExportConfig,
    "decision": DecisionConfig,
}


def names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


def find(name_or_path: str) -> Path:
    """Return the file of a shipped recipe, or of a path to one.

    Raises
    ------
    ConfigError
        If there is neither.
    """
    shipped = RECIPES / f"{name_or_path}.toml"
    if shipped.is_file():
        return shipped
    path = Path(name_or_path)
    if path.is_file():
        return path
    raise ConfigError(
        f"recipe {name_or_path!r}: expected one of {', '.join(names())}, or a .toml file"
    )


def load(name_or_path: str, *, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return a recipe by name or path; `overrides` maps ``section.key`` to a TOML value.

    Raises
    ------
    ConfigError
        If the file is no TOML, has an unknown key, or holds a value out of range.
    """
    path = find(name_or_path)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML, got: {error}") from error
    for key, value in (overrides or {}).items():
        section, _, name = key.rpartition(".")
        target: Any = table
        for part in filter(None, section.split(".")):
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(f"--set {key}: {part} is a value, not a section")
        target[name] = value
    return from_table(table, where=str(path))


def from_table(table: Mapping[str, Any], *, where: str) -> Recipe:
    """Return a recipe from plain tables, as TOML or a manifest holds them."""
    plain = {key: value for key, value in table.items() if key not in SECTIONS}
    parts = {
        key: _section(SECTIONS[key], table[key], where=f"{where}: [{key}]")
        for key in SECTIONS
        if key in table
    }
    return _section(Recipe, {**plain, **parts}, where=where)


def parse_override(text: str) -> tuple[str, Any]:
    """Return key and value of ``section.key=VALUE``; VALUE is TOML, or else plain text."""
    key, sign, value = text.partition("=")
    if not sign or not key.strip():
        raise ConfigError(f"--set {text!r}: expected SECTION.KEY=VALUE, for example fit.epochs=3")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def to_table(recipe: Recipe) -> dict[str, Any]:
    """Return a recipe as plain dicts and lists, for JSON."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {
                item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)
            }
        if isinstance(value, Mapping):
            return {key: plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(item) for item in value]
        return value

    table: dict[str, Any] = plain(recipe)
    return table


def _section(kind: type[T], table: Mapping[str, Any], *, where: str) -> T:
    """Return a dataclass from a table, refusing keys that it does not have."""
    known = {item.name: item for item in dataclasses.fields(kind)}  # type: ignore[arg-type]
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where}: expected a table, got {table!r}")
    unknown = sorted(set(table) - set(known))
    if unknown:
        raise ConfigError(
            f"{where}: unknown key {', '.join(unknown)}; expected some of {', '.join(known)}"
        )
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in table.items()
    }
    for key, value in values.items():
        kind_of = str(known[key].type)
        expected = (tuple,) if kind_of.startswith("tuple[") else PLAIN_TYPES.get(kind_of)
        if expected and (not isinstance(value, expected) or isinstance(value, bool)):
            raise ConfigError(f"{where}: {key}: expected {kind_of}, got {value!r}")
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{where}: {error}") from error
