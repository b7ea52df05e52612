"""Recipes: a TOML file becomes frozen, checked settings for data, model, training and export."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws.config import DecisionConfig, FrontendConfig
from kws.dataclass_io import from_mapping
from kws.errors import ConfigError
from kws.features.frontends import INPUT_RATE, decimation_factor
from training.batches.augmentation import AugmentationConfig
from training.config.picture_section import SHAPE, PictureConfig
from training.config.sections import BankConfig, DataConfig, ExportConfig, FitConfig, ModelConfig
from training.config.source_section import SourceConfig
from training.config.transfer_section import TransferConfig
from training.config.word_section import WordsConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parents[1] / "recipes"


@dataclass(frozen=True)
class Recipe:
    """Everything that makes one trained model."""

    name: str
    description: str = ""
    seed: int = 1
    data: DataConfig = field(default_factory=DataConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    words: WordsConfig = field(default_factory=WordsConfig)
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    pictures: PictureConfig = field(default_factory=PictureConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    fit: FitConfig = field(default_factory=FitConfig)
    transfer: TransferConfig = field(default_factory=TransferConfig)
    bank: BankConfig = field(default_factory=BankConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)

    def __post_init__(self) -> None:
        if self.clip_rate != INPUT_RATE:
            raise ConfigError(
                f"frontend.sample_rate: training's clips have {INPUT_RATE} Hz; expected that or a "
                f"whole part of it, got {self.frontend.sample_rate}"
            )
        if self.data.classes and not self.source.kind:
            raise ConfigError(
                "data.classes: only a recipe of plain classes has them; set source.kind, or name "
                "words in data.keywords"
            )

    @property
    def window_samples(self) -> int:
        """Samples of the audio that a window spans, at the front end's rate."""
        return self.frontend.sample_rate * self.model.window_ms // 1_000

    @property
    def clip_rate(self) -> int:
        """Rate in Hz at which clips are drawn and changed: 16 kHz, for a model of 8 kHz too."""
        return self.frontend.sample_rate * decimation_factor(self.frontend)

    @property
    def clip_samples(self) -> int:
        """Samples of a clip of one window, at `clip_rate`."""
        return self.clip_rate * self.model.window_ms // 1_000

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of what the network takes: frames, samples, or a picture."""
        if self.source.kind == "pictures":
            return SHAPE
        return self.frontend.shape(self.model.window_frames)


SECTIONS: dict[str, type] = {
    "data": DataConfig,
    "source": SourceConfig,
    "words": WordsConfig,
    "frontend": FrontendConfig,
    "augmentation": AugmentationConfig,
    "pictures": PictureConfig,
    "model": ModelConfig,
    "fit": FitConfig,
    "transfer": TransferConfig,
    "bank": BankConfig,
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
    return from_mapping(Recipe, table, where=where, sections=SECTIONS)


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
