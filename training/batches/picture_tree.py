"""Spectrogram pictures of a one-folder-a-class data set: written as PNG, or traced to the audio."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kws.errors import ConfigError
from kws.files import write_atomically
from training.batches.features import FeatureMaker
from training.config.augmentation_sections import PICTURE_SIZE, UNCHANGED
from training.config.recipe import Recipe
from training.datasets import folders
from training.datasets.clips import fit_length
from training.datasets.spectrogram_images import SETTINGS, make_picture, write_picture
from training.datasets.splits import open_classes

logger = logging.getLogger(__name__)
Progress = Callable[[Sequence[Any]], Iterable[Any]]


def on_audio(recipe: Recipe) -> Recipe:
    """Return a picture recipe on the audio of its pictures: same clips and splits, no augmentation.

    Its network draws the pictures itself and has the same weights. Any other recipe is returned
    as it is.

    Raises
    ------
    ConfigError
        If ``pictures.audio`` is empty.
    """
    if recipe.source.kind != "pictures":
        return recipe
    if not recipe.pictures.audio:
        raise ConfigError(
            "pictures.audio: expected the folder of audio that the pictures show, got an empty path"
        )
    return replace(
        recipe,
        data=replace(recipe.data, clips=recipe.pictures.audio, rooms=""),
        source=replace(recipe.source, kind="folders"),
        augmentation=UNCHANGED,
    )


def write_pictures(recipe: Recipe, out: Path, *, progress: Progress = iter) -> int:
    """Write ``out/LABEL/NAME.png`` for every clip of the recipe's audio.

    Existing pictures are kept, so that a repeated call continues. ``pictures.json`` holds the
    settings and the number of the pictures.

    Parameters
    ----------
    recipe : Recipe
        One with ``source.kind = "pictures"``.
    out : Path
        Folder for the pictures; created if needed.
    progress : callable
        Wraps the clips to show progress.

    Returns
    -------
    n_written : int
        Pictures written by this call.

    Raises
    ------
    ConfigError
        If the recipe is not about pictures, or `out` holds pictures of other settings.
    """
    if recipe.source.kind != "pictures" or recipe.frontend.kind == "waveform":
        raise ConfigError(
            f"recipe {recipe.name}: expected source.kind = 'pictures' and a front end of frames, "
            f"got {recipe.source.kind!r} and {recipe.frontend.kind!r}"
        )
    audio = on_audio(recipe)
    root = audio.data.root()
    data = open_classes(audio.source, root, audio.data.classes)
    clips = [clip for split in folders.SPLITS for clip in data.clips(split)]
    paths = {clip: out / _file_of(clip) for clip in clips}
    if len(set(paths.values())) < len(clips):
        raise ConfigError(f"{root}: two files of a class differ in their suffix alone; rename one")
    _claim(out, {**_settings(recipe, data.labels), "n_pictures": len(clips)})
    for label in data.labels:
        (out / label).mkdir(exist_ok=True)
    maker = FeatureMaker(recipe.frontend)
    missing = [clip for clip in clips if not paths[clip].is_file()]
    for clip in progress(missing):
        samples = fit_length(clip.read(), recipe.clip_samples)
        levels = maker.windows(samples[None], n_frames=recipe.model.window_frames)[0]
        write_picture(make_picture(levels), paths[clip])
    logger.info("%s: %d pictures, %d of them new", out, len(clips), len(missing))
    return len(missing)


def _settings(recipe: Recipe, labels: Sequence[str]) -> dict[str, Any]:
    """Return all settings that the pictures depend on."""
    return {
        "audio": recipe.pictures.audio,
        "labels": list(labels),
        "clips_per_class": recipe.source.clips_per_class,
        "seed": recipe.source.seed,
        "size": PICTURE_SIZE,
        "colours": "viridis, 17 knots",
        "window_ms": recipe.model.window_ms,
        "window_frames": recipe.model.window_frames,
        "frontend": {name: getattr(recipe.frontend, name) for name in recipe.frontend.settings},
    }


def _claim(out: Path, settings: dict[str, Any]) -> None:
    """Write the settings of a new folder; refuse a folder with other content."""
    path = out / SETTINGS
    if path.is_file():
        if json.loads(path.read_text(encoding="utf-8")) != settings:
            raise ConfigError(f"{out}: its {SETTINGS} differs from the recipe; name another --out")
    elif out.is_dir() and any(out.iterdir()):
        raise ConfigError(f"{out}: expected an empty folder, or one with {SETTINGS}")
    out.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(settings, indent=2) + "\n")


def _file_of(clip: Any) -> str:
    """Return the path of a clip's picture, relative to the folder of the pictures."""
    return f"{clip.label}/{clip.path.stem}.png"
