"""`kws-train cache`, `soft-labels`, `synthesise`, `rooms` and `feature-clips`: prepared data."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError
from training.cli.recipe_arguments import add_recipe_arguments, load_recipe

EXAMPLES = """\
  kws-train synthesise --out synthetic                  every word of the Speech Commands folder
  kws-train rooms --out $KWS_DATA/simulated_rooms       400 rooms of 0.5 to 5 m distance
  kws-train cache simple --clips 200000 --out cache     draw clips once, for many runs
  kws-train soft-labels cache runs/large                posteriors of a trained run
  kws-train soft-labels cache large                     or of a model that ships
  kws-train soft-labels cache whisper-tiny.en           or a published embedding
  kws-train fit simple --set cache.path=cache --set cache.teacher_weight=0.8 --out runs/simple
  kws-train feature-clips simple --out pictures         log-mel from pictures without audio
"""


def add_parsers(commands: Any) -> None:
    """Add the commands."""
    made = program.add_command(
        commands,
        "cache",
        examples=EXAMPLES,
        text="draw and augment clips onto disk, once for many runs; run again to continue",
    )
    add_recipe_arguments(made)
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made.add_argument("--clips", type=int, default=200_000, help="how many (default: 200000)")
    made.add_argument("--processes", type=int, default=2, help="at a time (default: 2)")
    made.set_defaults(handler=cache)
    made = program.add_command(
        commands,
        "soft-labels",
        examples=EXAMPLES,
        text="write a teacher's posteriors, or a published embedding, for every clip of a cache",
    )
    made.add_argument("cache", type=Path, metavar="CACHE")
    made.add_argument("teachers", nargs="+", metavar="RUN|MODEL|EMBEDDING")
    made.add_argument("--processes", type=int, default=2, help="at a time (default: 2)")
    made.set_defaults(handler=soft_labels)
    made = program.add_command(
        commands,
        "synthesise",
        examples=EXAMPLES,
        text="synthesise words with espeak-ng and flite, one folder per word",
    )
    made.set_defaults(handler=synthesise)
    made.add_argument("words", nargs="*", metavar="WORD", help="default: those of --like")
    made.add_argument(
        "--like",
        type=Path,
        metavar="DIR",
        help="take the words of this folder (default: $KWS_DATA/speech_commands)",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made.add_argument("--clips", type=int, default=60, help="of each word (default: 60)")
    made.add_argument("--seed", type=int, default=1, help="of the voices (default: 1)")
    made = program.add_command(
        commands,
        "rooms",
        examples=EXAMPLES,
        text="simulate room impulse responses with pyroomacoustics",
    )
    made.set_defaults(handler=rooms)
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made.add_argument("--count", type=int, default=400, help="of rooms (default: 400)")
    made.add_argument("--seed", type=int, default=1, help="of the rooms (default: 1)")
    made = program.add_command(
        commands,
        "feature-clips",
        examples=EXAMPLES,
        text="learn to map pictures of another front end to log-mel; run again to continue",
    )
    add_recipe_arguments(made)
    made.set_defaults(handler=feature_clips)
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made.add_argument(
        "--pictures",
        default="$KWS_DATA/speech_commands_log_mel/log_mel.npz",
        metavar="NPZ",
        help="x uint8 (n, frames, bands), word, clip (default: %(default)s)",
    )
    made.add_argument(
        "--audio",
        default="$KWS_DATA/speech_commands_more",
        metavar="DIR",
        help="WORD/CLIP.wav of some of them, to learn from (default: %(default)s)",
    )


def cache(arguments: argparse.Namespace) -> int:
    """Draw the clips of a recipe into a cache."""
    from training.batches.clip_cache import SHARD_CLIPS
    from training.batches.draw_cache import draw_cache
    from training.cli.terminal import show_steps

    shards = draw_cache(
        load_recipe(arguments),
        arguments.out,
        n_clips=arguments.clips,
        n_processes=arguments.processes,
    )
    n_shards = show_steps("drawing", shards)
    print(f"{arguments.out}: {n_shards * SHARD_CLIPS} clips, {n_shards} shard(s)")
    return 0


def soft_labels(arguments: argparse.Namespace) -> int:
    """Write what teachers give for the clips of a cache."""
    from kws import models
    from training.batches.clip_cache import ClipCache
    from training.cli.terminal import show_steps
    from training.config.embeddings import EMBEDDINGS
    from training.config.run_folder import RunFolder
    from training.distillation.embedded_clips import write_embeddings
    from training.distillation.soft_labels import soft_labels_of_model, soft_labels_of_run

    n_processes = arguments.processes
    finished = {
        name
        for name in arguments.teachers
        if not Path(name).is_dir()
        and (name in models.names() or Path(name).suffix in (".json", ".tflite"))
    }
    # Checked for all teachers first, because each one takes minutes.
    for name in arguments.teachers:
        if name not in finished and name not in EMBEDDINGS and not Path(name).is_dir():
            raise ConfigError(
                f"teacher {name!r}: expected the folder of a run, a model "
                f"({', '.join(models.names())}, or the path of a manifest), or "
                f"{', '.join(EMBEDDINGS)}"
            )
    for name in arguments.teachers:
        opened = ClipCache.open(arguments.cache)
        if name in EMBEDDINGS:
            shards = write_embeddings(opened, name, n_processes=n_processes)
        elif name in finished:
            manifest = models.load(name)
            name = manifest.name
            shards = soft_labels_of_model(opened, manifest, n_processes=n_processes)
        else:
            run = RunFolder(Path(name).resolve())
            name = run.path.name
            shards = soft_labels_of_run(opened, run, n_processes=n_processes)
        show_steps(f"soft labels of {name}", shards)
        print(f"{arguments.cache}: soft labels of {name}")
    return 0


def synthesise(arguments: argparse.Namespace) -> int:
    """Write synthesised words."""
    from training.cli.terminal import show_steps
    from training.config.data_sections import DataConfig
    from training.datasets import folders
    from training.datasets.synthetic_speech import synthesise as write_words

    words = arguments.words
    if not words:
        like = arguments.like or DataConfig().root()
        words = sorted({path.parent.name for path in folders.audio_files(like)})
    steps = write_words(words, arguments.out, n_clips=arguments.clips, seed=arguments.seed)
    show_steps("synthesising", steps)
    n_clips = sum(1 for word in set(words) for _ in (arguments.out / word).glob("*.wav"))
    print(f"{arguments.out}: {n_clips} clips of {len(set(words))} words")
    return 0


def rooms(arguments: argparse.Namespace) -> int:
    """Write simulated room responses."""
    from training.cli.terminal import show_steps
    from training.datasets.rooms import write_rooms

    steps = write_rooms(arguments.out, count=arguments.count, seed=arguments.seed)
    n_rooms = show_steps("simulating", steps)
    print(f"{arguments.out}: {n_rooms} rooms")
    return 0


def feature_clips(arguments: argparse.Namespace) -> int:
    """Write pictures as features of a recipe's front end, and print how near they come."""
    from training.cli.terminal import show_steps
    from training.config.data_sections import expand_path
    from training.fit.log_mel_map import REPORT, write_feature_clips

    pictures, audio = (
        expand_path(getattr(arguments, name), where=f"--{name}") for name in ("pictures", "audio")
    )
    if pictures is None or audio is None:
        raise ConfigError("--pictures and --audio: expected paths, got an empty one")
    steps = write_feature_clips(load_recipe(arguments), pictures, audio, arguments.out)
    show_steps("learning the map", steps)
    report = json.loads((arguments.out / REPORT).read_text(encoding="utf-8"))
    print(
        f"{arguments.out}: {report['n_clips']} clips; on {report['n_held_out']} held-out pairs "
        f"correlation {report['correlation']:.3f}, error {report['rms_error_db']:.1f} dB"
    )
    return 0
