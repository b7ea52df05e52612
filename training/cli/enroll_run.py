"""What `kws-enroll` does, once its extra is installed."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from kws.cli import program
from kws.errors import ConfigError
from training.datasets.clips import SAMPLE_RATE
from training.embedding.word_backbone import Backbone, BackboneFile
from training.enrolment.add_to import base_of
from training.enrolment.config import EnrolmentConfig, Taught
from training.enrolment.enrol import Teacher
from training.enrolment.expectations import WordVerdict, verdicts
from training.enrolment.negatives import Negatives
from training.enrolment.recordings import Recording, folders_of, read_recordings
from training.enrolment.report import write_report
from training.enrolment.user_negatives import with_folders
from training.enrolment.voices import LONGEST_S, N_VOICES, synthesised
from training.enrolment.word_model import Made, make_model

RECORDINGS = "recordings"


def say(line: str) -> None:
    """Tell the user; stdout is for results."""
    print(line, file=sys.stderr, flush=True)


def enroll(arguments: argparse.Namespace) -> int:
    """Teach the words and write the model."""
    words: list[str] = [" ".join(word.split()) for word in arguments.words]
    name = arguments.name or "-".join(words).replace(" ", "-")
    if arguments.voices is not None and arguments.voices < 0:
        raise ConfigError(f"--voices: expected 0 or more, got {arguments.voices}")
    if arguments.synthesise is not None and arguments.synthesise < 1:
        raise ConfigError(f"--synthesise: expected at least 1, got {arguments.synthesise}")
    if arguments.voices and arguments.synthesise is not None:
        raise ConfigError("--voices: beside recordings of people; --synthesise has voices alone")
    backbone = Backbone(BackboneFile.read(arguments.backbone))
    base = base_of(arguments.add_to, backbone.file, words) if arguments.add_to else None
    config = EnrolmentConfig(
        head=arguments.head,
        copies=arguments.copies,
        per_hour=arguments.fa_per_hour,
        seed=arguments.seed,
    )
    negatives = _negatives(backbone, arguments.negatives).without(words)
    recordings = _recordings(arguments, words)
    voices = _voices(arguments, recordings)
    with _progress() as progress:
        task = progress.add_task("", total=1.0)

        def show(what: str, share: float) -> None:
            progress.update(task, description=what, completed=share)

        teacher = Teacher(backbone, negatives, config, progress=show)
        taught = teacher.teach(recordings, voices=voices)
        show("writing the model", 0.95)
        found = verdicts(taught)
        metrics = {"enrolment": {word: verdict.table() for word, verdict in found.items()}}
        made = make_model(
            backbone, taught, config, arguments.out, name=name, metrics=metrics, base=base
        )
        report = write_report(arguments.out / "report", made, taught, found)
        show("done", 1.0)
    _tell(arguments, made, found, taught, report)
    return 0


def _negatives(backbone: Backbone, folders: list[Path]) -> Negatives:
    file = backbone.file
    shipped = Negatives.read(file.path.parent / file.negatives, backbone=file.sha256)
    return with_folders(shipped, backbone, folders) if folders else shipped


def _recordings(arguments: argparse.Namespace, words: list[str]) -> dict[str, list[Recording]]:
    """Return the recordings to learn from; new ones first go into OUT/recordings."""
    kept: Path = arguments.out / RECORDINGS
    if arguments.clips is not None:
        found = {
            word: read_recordings(word, folder)
            for word, folder in folders_of(words, arguments.clips).items()
        }
    elif arguments.synthesise is not None:
        found = _synthesised(words, kept, arguments.synthesise, arguments.seed)
    else:
        found = _recorded(words, kept, arguments)
    for word, recordings in found.items():
        say(f"{word}: {len(recordings)} recordings from {recordings[0].path.parent}")
    return found


def _voices(
    arguments: argparse.Namespace, recordings: Mapping[str, list[Recording]]
) -> dict[str, list[Recording]]:
    """Return synthesised voices for words of few recordings, unless all are synthesised."""
    if arguments.synthesise is not None:
        return {}
    found = {
        word: synthesised(
            few,
            arguments.out / "voices",
            n_voices=N_VOICES if arguments.voices is None else arguments.voices,
            seed=arguments.seed,
            tell=say,
        )
        for word, few in recordings.items()
    }
    for word, voices in found.items():
        if voices:
            say(f"{word}: {len(voices)} synthesised voices to choose from (--voices 0: none)")
    return found


def _synthesised(
    words: list[str], kept: Path, n_clips: int, seed: int
) -> dict[str, list[Recording]]:
    from training.datasets.synthetic_speech import synthesise

    made = synthesise(
        words, kept, n_clips=n_clips, seed=seed, most_samples=int(LONGEST_S * SAMPLE_RATE)
    )
    for done, total in made:
        say(f"synthesised {done} of {total} words")
    say(
        "synthesised voices only: good enough to try an idea. Of strangers saying computer, jarvis "
        "and snowboy such models missed 22, 4 and 4 %, where the verdict said 0 to 2 %, at up to "
        "four times the false accepts. Some recordings of people do more."
    )
    return {word: read_recordings(word, kept / word) for word in words}


def _recorded(
    words: list[str], kept: Path, arguments: argparse.Namespace
) -> dict[str, list[Recording]]:
    from training.cli.terminal import keeper
    from training.enrolment.guided_recording import microphone_blocks, record

    if arguments.record < 1:
        raise ConfigError(f"--record: expected at least 1, got {arguments.record}")
    device = arguments.device
    device = int(device) if device is not None and device.isdecimal() else device
    with microphone_blocks(device) as blocks:
        for word in words:
            record(
                word,
                kept / word,
                blocks,
                n_recordings=arguments.record,
                say=say,
                keep=keeper(ask=not arguments.yes and sys.stdin.isatty()),
            )
    # Those of earlier sessions count too.
    return {word: read_recordings(word, kept / word) for word in words}


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    )


def _tell(
    arguments: argparse.Namespace,
    made: Made,
    found: Mapping[str, WordVerdict],
    taught: Taught,
    report: Path,
) -> None:
    """Print the verdict, and where everything is."""
    if arguments.json:
        program.print_json(
            {
                "model": str(made.manifest.path),
                "words": {word: verdict.table() for word, verdict in found.items()},
                "parity": round(made.most_difference, 4),
                "report": str(report),
            }
        )
        return
    for verdict in found.values():
        print("\n".join(verdict.lines()))
    print(f"{made.manifest.path}: posteriors within {made.most_difference:.3f} of what was taught")
    print(f"{report}: pictures and numbers")
    print(f"listen:  kws-listen --model {made.manifest.path}")
