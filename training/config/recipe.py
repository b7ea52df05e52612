"""Recipes: a TOML file becomes frozen, checked settings for data, model, training and export."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from kws.config import DecisionConfig, FrontendConfig
from kws.dataclass_io import from_mapping
from kws.errors import ConfigError
from kws.features.frontends import INPUT_RATE, decimation_factor
from training.config.augmentation_sections import PICTURE_SHAPE, AugmentationConfig, PictureConfig
from training.config.data_sections import DataConfig, SourceConfig, WordsConfig
from training.config.embeddings import find
from training.config.sections import (
    CacheConfig,
    ExportConfig,
    FitConfig,
    ModelConfig,
    TransferConfig,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parents[1] / "recipes"
# Keys of release 0.1.
RENAMED = {
    "bank": "cache (imitate: feature_teacher, imitation_weight: feature_weight)",
    "words.left_out": "words.excluded",
    "words.least_cuts": "words.min_cuts",
    "words.least_speakers": "words.min_speakers",
    "words.least_ms": "words.min_word_ms",
    "words.temper": "words.count_exponent",
}


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
    cache: CacheConfig = field(default_factory=CacheConfig)
    export: ExportConfig = field(default_factory=ExportConfig)
    decision: DecisionConfig = field(default_factory=DecisionConfig)

    def __post_init__(self) -> None:
        if self.clip_rate != INPUT_RATE:
            raise ConfigError(
                f"frontend.sample_rate: training's clips have {INPUT_RATE} Hz; expected that or a "
                f"whole fraction of it, got {self.frontend.sample_rate}"
            )
        if self.data.classes and not self.source.kind:
            raise ConfigError(
                "data.classes: only a classification recipe has classes; set source.kind, or name "
                "words in data.keywords"
            )

    @property
    def window_samples(self) -> int:
        """Samples of a window, at the front end's rate."""
        return self.frontend.sample_rate * self.model.window_ms // 1_000

    @property
    def clip_rate(self) -> int:
        """Rate in Hz at which clips are drawn and augmented: 16 kHz, for a model of 8 kHz too."""
        return self.frontend.sample_rate * decimation_factor(self.frontend)

    @property
    def clip_samples(self) -> int:
        """Samples of a clip of one window, at `clip_rate`."""
        return self.clip_rate * self.model.window_ms // 1_000

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the network's input: frames, samples, a picture, or embeddings."""
        if self.source.kind == "pictures":
            return PICTURE_SHAPE
        if self.cache.inputs:
            published = find(self.cache.inputs)
            return published.n_steps, published.size
        return self.frontend.shape(self.model.window_frames)


SECTIONS: dict[str, type] = {
    item.name: item.default_factory  # type: ignore[misc]
    for item in dataclasses.fields(Recipe)
    if item.default_factory is not dataclasses.MISSING
}


@lru_cache(maxsize=1)
def _shipped() -> dict[str, Path]:
    """Return the file of each recipe that ships, by name."""
    return {name: path for path in RECIPES.glob("*.toml") for name in _read(path)[1]}


def names() -> list[str]:
    """Return the names of the recipes that ship with the package."""
    return sorted(_shipped())


def load(name_or_path: str, *, overrides: Mapping[str, Any] | None = None) -> Recipe:
    """Return a recipe by name or path; `overrides` maps ``section.key`` to a TOML value.

    A file holds one recipe, named as the file; or several, each in a table ``[recipes.NAME]``
    with what it changes in the rest of the file. ``base`` names a recipe to start from.
    ``PATH:NAME`` is one of several in a file that does not ship.

    Raises
    ------
    ConfigError
        If there is no such recipe, the file is no TOML, has an unknown key, or holds a value out
        of range.
    """
    table = _table(name_or_path)
    for key, value in (overrides or {}).items():
        section, _, name = key.rpartition(".")
        target: Any = table
        for part in filter(None, section.split(".")):
            target = target.setdefault(part, {})
            if not isinstance(target, dict):
                raise ConfigError(f"--set {key}: {part} is a value, not a section")
        target[name] = value
    return from_table(table, where=f"recipe {name_or_path}")


def _table(name_or_path: str, *, folder: Path = Path()) -> dict[str, Any]:
    """Return the table of a recipe with what it inherits."""
    shipped = _shipped().get(name_or_path)
    file, _, part = str(folder / name_or_path).partition(".toml:")
    path = shipped or Path(f"{file}.toml" if part else file)
    if not path.is_file():
        raise ConfigError(
            f"recipe {name_or_path!r}: expected one of {', '.join(names())}, or a .toml file"
        )
    shared, parts = _read(path)
    name = name_or_path if shipped else part or path.stem
    if name not in parts:
        raise ConfigError(f"{path}: holds several recipes; name one: {path}:{next(iter(parts))}")
    own = parts[name]
    base = own.pop("base", shared.pop("base", ""))
    if base in parts and base != name:
        return _merged({**_table(f"{path}:{base}"), "name": name}, own)
    inherited = _table(base, folder=path.parent) if base else {}
    return _merged(_merged({**inherited, "name": name}, shared), own)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return what the recipes of a file share, and what each changes, by name."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: expected TOML, got: {error}") from error
    parts = table.pop("recipes", {path.stem: {}})
    return table, parts


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with `changes`; ``params`` of another model are replaced as a whole."""
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        nested = isinstance(old, dict) and isinstance(value, dict)
        merged[key] = _merged(old, value) if nested and key != "params" else value  # type: ignore[arg-type]
    if changes.get("name", base.get("name")) != base.get("name") and "params" not in changes:
        merged.pop("params", None)
    return merged


def from_table(table: Mapping[str, Any], *, where: str) -> Recipe:
    """Return a recipe from plain tables, as TOML or a manifest holds them."""
    return from_mapping(Recipe, table, where=where, sections=SECTIONS, renamed=RENAMED)


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
    table: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    return table
