"""Learn the way from pictures of another front end to this project's log-mel, and walk it.

Some data sets publish pictures of log-mel features and no audio. A small network learns, from
clips that have both, the mean and the deviation of each value. A mean alone is smoother than real
features and harms training, so each picture also gets the residual of a random training pair,
scaled by the predicted deviation: that restores variance, correlation and noise floor.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError
from kws.files import atomic_path, write_atomically
from training.batches.clip_cache import save_array
from training.batches.feature_clips import CLIPS, COLUMNS, FEATURES, SETTINGS, frontend_settings
from training.batches.features import FeatureMaker
from training.config.recipe import Recipe
from training.datasets.clips import Clip, fit_length
from training.datasets.folders import split_of

FloatArray = NDArray[np.float32]
STATE, REPORT = "map.keras", "map.json"
EPOCHS, BATCH_SIZE, LEARNING_RATE = 12, 16, 3e-3
N_FILTERS, KERNEL, N_LAYERS = 160, 5, 3
LOG_VARIANCE = (-6.0, 3.0)
MIN_PAIRS = 8
CLIPS_AT_ONCE = 1_024
DB = 10 / np.log(10)


@dataclass(frozen=True)
class Pictures:
    """Pictures of clips: `levels` uint8 ``(n, n_frames, n_bands)``, and each one's word and name.

    Clips of the testing split are left out.
    """

    levels: NDArray[np.uint8]
    words: list[str]
    names: list[str]

    @classmethod
    def read(cls, path: Path) -> Pictures:
        """Return the pictures of an archive with ``x``, ``word`` and ``clip``."""
        try:
            with np.load(path) as archive:
                levels, words, names = (archive[key] for key in ("x", "word", "clip"))
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"{path}: expected a .npz file with x, word and clip, got: {error}"
            ) from error
        kept = [n for n, name in enumerate(names) if split_of(f"{name}.wav") != "testing"]
        return cls(levels[kept], words[kept].tolist(), names[kept].tolist())

    @property
    def splits(self) -> NDArray[np.str_]:
        """The split of each clip by the hash rule: no speaker is in two."""
        return np.array([split_of(f"{name}.wav") for name in self.names])


@dataclass(frozen=True)
class Pairs:
    """Clips that have picture and audio: their rows among the pictures, and their log-mel.

    `targets` has mean 0 and deviation 1 over the training clips; `mean` and `std` are those of
    the log-mel itself.
    """

    rows: NDArray[np.intp]
    targets: FloatArray
    training: NDArray[np.bool_]
    mean: np.float32
    std: np.float32


def write_feature_clips(
    recipe: Recipe, pictures: Path, audio: Path, out: Path
) -> Iterator[tuple[int, int]]:
    """Write the pictures as features of the recipe's front end; yield (epochs done, in all).

    A repeated call continues after the last finished epoch.

    Parameters
    ----------
    recipe : Recipe
        Its front end and seed count.
    pictures : Path
        See `Pictures.read`.
    audio : Path
        One folder per word with the audio of some of the clips, by the same names.
    out : Path
        Folder for `FeatureClips`; created if needed. ``map.json`` reports on held-out pairs.

    Raises
    ------
    ConfigError
        If `out` holds other clips, or too few clips have both picture and audio.
    """
    _claim(out, recipe, pictures, audio)
    if (out / FEATURES).is_file():
        yield EPOCHS, EPOCHS
        return
    read = Pictures.read(pictures)
    pairs = _pairs(read, pictures, audio, recipe)
    training = pairs.training
    levels = read.levels[pairs.rows][training]
    yield from _train(levels, pairs.targets[training], out, seed=recipe.seed)
    features, report = _draw(out, read, pairs, recipe)
    write_atomically(out / REPORT, json.dumps(report, indent=2) + "\n")
    table = io.StringIO()
    csv.writer(table).writerows([COLUMNS, *zip(read.words, read.names, read.splits)])
    write_atomically(out / CLIPS, table.getvalue())
    # Last: a folder that has it is complete.
    save_array(out / FEATURES, features)


def _claim(out: Path, recipe: Recipe, pictures: Path, audio: Path) -> None:
    """Write the settings of a new folder; refuse a folder with others."""
    settings = {
        "frontend": frontend_settings(recipe.frontend),
        "seed": recipe.seed,
        "pictures": str(pictures),
        "audio": str(audio),
    }
    path = out / SETTINGS
    if path.is_file() and json.loads(path.read_text(encoding="utf-8")) != settings:
        raise ConfigError(f"{out}: holds feature clips of other settings; name another --out")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(settings, indent=2) + "\n")


def _pairs(pictures: Pictures, path: Path, audio: Path, recipe: Recipe) -> Pairs:
    """Return the clips that have audio, too; `ConfigError` for too few, or another window."""
    # A hundredth of the floor, so that values at the floor are learned as what lies below it.
    config = replace(recipe.frontend, mean=0.0, std=1.0, log_floor=recipe.frontend.log_floor / 100)
    maker = FeatureMaker(config)
    rows, frames = [], []
    for row, (word, name) in enumerate(zip(pictures.words, pictures.names)):
        file = audio / word / f"{name}.wav"
        if not file.is_file():
            continue
        samples = Clip(file, word).read()
        # Pictures have short clips in their middle.
        samples = np.pad(samples, (max(0, recipe.clip_samples - len(samples)) // 2, 0))
        rows.append(row)
        frames.append(maker.frames(fit_length(samples, recipe.clip_samples)))
    training = pictures.splits[rows] == "training"
    if min(training.sum(), (~training).sum()) < MIN_PAIRS:
        raise ConfigError(
            f"{audio}: expected WORD/CLIP.wav of at least {MIN_PAIRS} training and {MIN_PAIRS} "
            f"validation clips of {path}, found {training.sum()} and {(~training).sum()}"
        )
    targets = np.stack(frames)[:, : recipe.model.window_frames]
    if targets.shape[1] != pictures.levels.shape[1]:
        raise ConfigError(
            f"{path}: expected {targets.shape[1]} frames, as the recipe's window has, got "
            f"{pictures.levels.shape[1]}"
        )
    mean, std = targets[training].mean(), targets[training].std()
    return Pairs(np.array(rows), (targets - mean) / std, training, mean, std)


def _draw(
    out: Path, pictures: Pictures, pairs: Pairs, recipe: Recipe
) -> tuple[NDArray[np.float16], dict[str, Any]]:
    """Return the features of all pictures, and how near those of held-out pairs come."""
    model = keras.models.load_model(out / STATE, compile=False)
    means, deviations = _predict(model, pictures.levels[pairs.rows])
    residuals = ((pairs.targets - means) / deviations)[pairs.training]
    floor = np.float32(np.log(recipe.frontend.log_floor))

    def features_of(normalised: FloatArray) -> FloatArray:
        return np.maximum(normalised * pairs.std + pairs.mean, floor)

    rng = np.random.default_rng(recipe.seed)
    features = np.empty((len(pictures.levels), *pairs.targets.shape[1:]), np.float16)
    for start in range(0, len(features), CLIPS_AT_ONCE):
        part = slice(start, start + CLIPS_AT_ONCE)
        drawn, scale = _predict(model, pictures.levels[part])
        drawn += scale * residuals[rng.integers(len(residuals), size=len(drawn))]
        features[part] = features_of(drawn)
    held_out = ~pairs.training
    nearness = compare(
        features_of(pairs.targets[held_out]),
        features_of(means[held_out]),
        features[pairs.rows[held_out]].astype(np.float32),
    )
    return features, {"n_clips": len(features), "n_pairs": len(pairs.rows), **nearness}


def _build(shape: tuple[int, ...], n_mels: int) -> keras.Model:
    """Return the network from levels to mean and log-variance of every value."""
    levels = keras.Input(shape)
    scaled = keras.layers.Rescaling(1 / 255)(levels)
    hidden = scaled
    for _ in range(N_LAYERS):
        hidden = keras.layers.Conv1D(N_FILTERS, KERNEL, padding="same", activation="relu")(hidden)
    joined = keras.layers.Concatenate()([hidden, scaled])
    return keras.Model(levels, keras.layers.Conv1D(2 * n_mels, KERNEL, padding="same")(joined))


def negative_log_likelihood(truth: Any, output: Any) -> Any:
    """Return the loss of normal distributions whose mean and log-variance the network gives."""
    mean, log_variance = keras.ops.split(output, 2, axis=-1)
    log_variance = keras.ops.clip(log_variance, *LOG_VARIANCE)
    error = keras.ops.square(truth - mean) * keras.ops.exp(-log_variance)
    return keras.ops.mean(0.5 * (log_variance + error))


def _train(
    levels: NDArray[np.uint8], targets: FloatArray, out: Path, *, seed: int
) -> Iterator[tuple[int, int]]:
    """Train the network of ``map.keras``, epoch by epoch; yield (epochs done, in all)."""
    n_steps = -(-len(levels) // BATCH_SIZE)
    if (out / STATE).is_file():
        custom = {"negative_log_likelihood": negative_log_likelihood}
        model = keras.models.load_model(out / STATE, custom_objects=custom)
    else:
        keras.utils.set_random_seed(seed)
        model = _build(levels.shape[1:], targets.shape[-1])
        rate = keras.optimizers.schedules.CosineDecay(LEARNING_RATE, EPOCHS * n_steps)
        model.compile(keras.optimizers.AdamW(rate, weight_decay=1e-3), negative_log_likelihood)
    first = int(model.optimizer.iterations.numpy()) // n_steps
    yield first, EPOCHS
    for epoch in range(first, EPOCHS):
        order = np.random.default_rng((seed, epoch)).permutation(len(levels))
        model.fit(levels[order], targets[order], batch_size=BATCH_SIZE, verbose=0, shuffle=False)
        with atomic_path(out / STATE) as path:
            model.save(path)
        yield epoch + 1, EPOCHS


def _predict(model: keras.Model, levels: NDArray[np.uint8]) -> tuple[FloatArray, FloatArray]:
    """Return mean and deviation of every value."""
    output = model.predict(levels, batch_size=64, verbose=0)
    means, log_variances = np.split(output, 2, axis=-1)
    return means, np.exp(0.5 * np.clip(log_variances, *LOG_VARIANCE))


def compare(real: FloatArray, means: FloatArray, drawn: FloatArray) -> dict[str, Any]:
    """Return how near mapped features ``(n, n_frames, n_mels)`` come to the real ones.

    Errors are those of the predicted means, in dB. The statistics are those that a smoothed map
    misses: deviations of values and of differences of neighbours, and the share at the floor.
    """
    each = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in zip(real, means)]
    squares = np.square(DB * (means - real), dtype=np.float64)
    return {
        "n_held_out": len(real),
        "correlation": float(np.corrcoef(real.ravel(), means.ravel())[0, 1]),
        "share_below_0.85": float(np.mean(np.array(each) < 0.85)),
        "rms_error_db": float(np.sqrt(squares.mean())),
        "rms_error_db_by_band": np.sqrt(squares.mean(axis=(0, 1))).round(2).tolist(),
        "real": _statistics(real),
        "means": _statistics(means),
        "drawn": _statistics(drawn),
    }


def _statistics(features: FloatArray) -> dict[str, Any]:
    return {
        "std_by_band": features.std(axis=(0, 1), dtype=np.float64).round(2).tolist(),
        "std_between_frames": float(np.diff(features, axis=1).std()),
        "std_between_bands": float(np.diff(features, axis=2).std()),
        "share_at_floor": float(np.mean(features <= features.min() + 0.01)),
    }
