"""Feature clips: clips without audio, drawn and augmented beside the clips of a cache."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import UNKNOWN, FrontendConfig
from kws.errors import ConfigError
from training.batches import augmentation
from training.config.data_sections import expand_path
from training.config.recipe import Recipe

SETTINGS, CLIPS, FEATURES = "feature-clips.json", "clips.csv", "features.npy"
COLUMNS = ("word", "clip", "split")
FloatArray = NDArray[np.float32]
Noise = Callable[[np.random.Generator], "FloatArray | None"]


def frontend_settings(config: FrontendConfig) -> dict[str, Any]:
    """Return what features depend on before they are normalised."""
    return {name: getattr(config, name) for name in ("kind", "sample_rate", *config.settings)}


class FeatureClips:
    """The training clips of a folder that `kws-train feature-clips` wrote.

    ``features.npy`` is float16 ``(n, n_frames, n_mels)``: natural log of mel energy, not
    normalised. ``clips.csv`` has the word, name and split of each row.

    Raises
    ------
    ConfigError
        If the folder is not finished, was made for another front end, or lacks a word of
        ``cache.feature_words``.
    """

    def __init__(self, recipe: Recipe) -> None:
        path = expand_path(recipe.cache.feature_clips, where="cache.feature_clips")
        assert path is not None
        if not (path / FEATURES).is_file():
            raise ConfigError(
                f"{path}: expected finished feature clips; kws-train feature-clips RECIPE --out "
                f"{path}"
            )
        self._recipe = recipe
        self._rows = np.load(path / FEATURES, mmap_mode="r")
        self._check(path)
        self._by_label = self._open_words(path)

    def _check(self, path: Path) -> None:
        there = json.loads((path / SETTINGS).read_text(encoding="utf-8"))["frontend"]
        wanted = frontend_settings(self._recipe.frontend)
        if there != wanted or self._rows.shape[1:] != self._recipe.input_shape:
            raise ConfigError(
                f"{path}: made for windows of {self._rows.shape[1:]} and the front end {there}, "
                f"but the recipe has {self._recipe.input_shape} and {wanted}; make them again"
            )

    def _open_words(self, path: Path) -> dict[int, list[NDArray[np.intp]]]:
        """Return the rows of each word, by label."""
        data, wanted = self._recipe.data, self._recipe.cache.feature_words
        with open(path / CLIPS, newline="", encoding="utf-8") as handle:
            by_word: dict[str, list[int]] = {}
            for number, row in enumerate(csv.DictReader(handle)):
                if row["split"] == "training":
                    by_word.setdefault(row["word"], []).append(number)
        labels = {word: word if word in data.labels else UNKNOWN for word in by_word}
        if absent := set(wanted) - set(by_word) - set(labels.values()):
            raise ConfigError(
                f"cache.feature_words: {path} has no training clips of {', '.join(sorted(absent))}"
            )
        found: dict[int, list[NDArray[np.intp]]] = {}
        for word, label in labels.items():
            if not wanted or word in wanted or label in wanted:
                found.setdefault(data.labels.index(label), []).append(np.array(by_word[word]))
        return found

    def replace(
        self,
        features: FloatArray,
        targets: FloatArray,
        labels: NDArray[np.intp],
        rng: np.random.Generator,
        *,
        noise: Noise,
    ) -> None:
        """Put augmented feature clips into a batch, each in the place of a clip of its label.

        So labels stay as frequent as in the cache. A label with several words draws the word
        first. The target is the label alone: no teacher heard these clips.

        Parameters
        ----------
        features : ndarray of float32, shape (n, n_frames, n_mels)
            Normalised; changed in place, as `targets` ``(n, n_labels)`` are.
        labels : ndarray of int, shape (n,)
        noise : callable
            Draws frames of noise, natural log of mel energy, or None.
        """
        config = self._recipe.frontend
        for place, label in enumerate(labels):
            words = self._by_label.get(int(label))
            if words is None or rng.random() >= self._recipe.cache.feature_share:
                continue
            rows = words[rng.integers(len(words))]
            frames = augmentation.change_frames(
                self._rows[rows[rng.integers(len(rows))]].astype(np.float32),
                self._recipe.augmentation,
                rng,
                frontend=config,
                background=lambda: noise(rng),
            )
            features[place] = (frames - np.float32(config.mean)) / np.float32(config.std)
            targets[place] = 0.0
            targets[place, label] = 1.0
