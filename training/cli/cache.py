"""`kws-train bank`, `teach` and `synthesise`: clips made beforehand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError

EXAMPLES = """\
  kws-train synthesise --out synthetic              every word of the Speech Commands folder
  kws-train bank simple --clips 200000 --out bank   draw clips once, for many runs
  kws-train teach bank runs/large                   let a trained run say what it hears
  kws-train teach bank large                        or the model of this name that ships
  kws-train fit simple --set bank.path=bank --out runs/simple
"""


def add_parsers(commands: Any, add_recipe: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add the three commands."""
    bank = program.add_command(
        commands,
        "bank",
        examples=EXAMPLES,
        text="draw and augment clips onto disk, once for many runs; goes on where it stopped",
    )
    add_recipe(bank)
    bank.add_argument("--out", type=Path, required=True, metavar="DIR")
    bank.add_argument("--clips", type=int, default=200_000, help="how many (default: 200000)")
    bank.add_argument("--processes", type=int, default=2, help="at a time (default: 2)")
    teach = program.add_command(
        commands,
        "teach",
        examples=EXAMPLES,
        text="write what a trained run, a finished model or a published embedding says of a bank's "
        "clips",
    )
    teach.add_argument("bank", type=Path, metavar="BANK")
    teach.add_argument("runs", nargs="+", metavar="RUN|MODEL|speech-embedding")
    teach.add_argument("--processes", type=int, default=2, help="at a time (default: 2)")
    synthesise = program.add_command(
        commands,
        "synthesise",
        examples=EXAMPLES,
        text="say words with the voices of espeak-ng and flite, one folder a word",
    )
    synthesise.add_argument("words", nargs="*", metavar="WORD", help="default: those of --like")
    synthesise.add_argument(
        "--like",
        type=Path,
        metavar="DIR",
        help="take the words of this folder (default: $KWS_DATA/speech_commands)",
    )
    synthesise.add_argument("--out", type=Path, required=True, metavar="DIR")
    synthesise.add_argument("--clips", type=int, default=60, help="of each word (default: 60)")
    synthesise.add_argument("--seed", type=int, default=1, help="of the voices (default: 1)")


def bank(arguments: argparse.Namespace, load: Callable[[argparse.Namespace], Any]) -> int:
    """Make a bank of a recipe's clips."""
    from training.batches.clip_cache import SHARD_CLIPS, make_bank

    recipe = load(arguments)
    shards = make_bank(
        recipe, arguments.out, n_clips=arguments.clips, n_processes=arguments.processes
    )
    n_shards = _shown("drawing", shards)
    print(f"{arguments.out}: {n_shards * SHARD_CLIPS} clips, {n_shards} shard(s)")
    return 0


def teach(arguments: argparse.Namespace) -> int:
    """Let runs say what they hear in a bank."""
    from kws import models
    from training.architectures.embedding_output import EMBEDDINGS
    from training.batches.clip_cache import ClipBank
    from training.config.run_folder import RunFolder
    from training.distillation.feature_distillation import teach_embedding
    from training.distillation.soft_labels import teach as teach_bank
    from training.distillation.soft_labels import teach_by_model, teacher_name

    n_processes = arguments.processes
    finished = {
        name
        for name in arguments.runs
        if not Path(name).is_dir()
        and (name in models.names() or Path(name).suffix in (".json", ".tflite"))
    }
    # All of them before the first listens for minutes.
    for name in arguments.runs:
        if name not in finished and name not in EMBEDDINGS and not Path(name).is_dir():
            raise ConfigError(
                f"teacher {name!r}: expected the folder of a run, a model "
                f"({', '.join(models.names())}, or the path of a manifest), or "
                f"{', '.join(EMBEDDINGS)}"
            )
    for name in arguments.runs:
        opened = ClipBank.open(arguments.bank)
        if name in EMBEDDINGS:
            shards = teach_embedding(opened, name, n_processes=n_processes)
        elif name in finished:
            manifest = models.load(name)
            name = manifest.name
            shards = teach_by_model(opened, manifest, n_processes=n_processes)
        else:
            run = RunFolder(Path(name))
            name = teacher_name(run.path)
            shards = teach_bank(opened, run, name=name, n_processes=n_processes)
        _shown(f"{name} listens", shards)
        print(f"{arguments.bank}: taught by {name}")
    return 0


def synthesise(arguments: argparse.Namespace) -> int:
    """Write synthesised words."""
    from training.config.sections import filled_in
    from training.datasets import folders
    from training.datasets.synthetic_speech import synthesise as say_words

    words = arguments.words
    if not words:
        like = arguments.like or filled_in("$KWS_DATA/speech_commands", where="--like")
        words = sorted({path.parent.name for path in folders.audio_files(like)})
    steps = say_words(words, arguments.out, n_clips=arguments.clips, seed=arguments.seed)
    _shown("saying", steps)
    n_clips = sum(1 for word in set(words) for _ in (arguments.out / word).glob("*.wav"))
    print(f"{arguments.out}: {n_clips} clips of {len(set(words))} words")
    return 0


def _shown(what: str, steps: Iterable[tuple[int, int]]) -> int:
    """Work through (done, in all) with a progress bar; return how many there are in all."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(file=sys.stderr)
    total = 0
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task(what)
        for done, total in steps:
            progress.update(task, completed=done, total=total)
            if not console.is_terminal:
                print(f"{what}: {done} of {total}", file=sys.stderr, flush=True)
    return total
