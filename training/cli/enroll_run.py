"""The work of `kws-enroll`, imported once its extra is known to be installed."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from kws.cli import program
from kws.errors import ConfigError
from training.cli.terminal import ask_to_keep
from training.datasets.clips import SAMPLE_RATE
from training.datasets.synthetic_speech import synthesise
from training.embedding.backbone import WordBackbone, WordEmbedder
from training.embedding.negatives import Negatives
from training.enrolment.config import EnrolmentConfig
from training.enrolment.enrol import Enroller
from training.enrolment.guided_recording import microphone_blocks, record
from training.enrolment.make_negatives import add_user_folders
from training.enrolment.recordings import Recording, folders_of, read_recordings
from training.enrolment.report import report_lines, word_report, write_report
from training.enrolment.voices import LONGEST_S, N_VOICES, synthesise_voices
from training.enrolment.write_model import ExportedModel, make_model, open_base

RECORDINGS = "recordings"


def enroll(arguments: argparse.Namespace) -> int:
    """Enrol the words and write the model."""
    words: list[str] = [" ".join(word.split()) for word in arguments.words]
    name = arguments.name or "-".join(words).replace(" ", "-")
    _check_options(arguments)
    embedder = WordEmbedder(WordBackbone.read(arguments.backbone))
    backbone = embedder.description
    base = open_base(arguments.add_to, backbone, words) if arguments.add_to else None
    config = EnrolmentConfig(
        copies=arguments.copies,
        per_hour=arguments.fa_per_hour,
        seed=arguments.seed,
    )
    negatives = Negatives.read(backbone.negatives_path, backbone=backbone.sha256)
    if arguments.negatives:
        negatives = add_user_folders(negatives, embedder, arguments.negatives)
    recordings = _recordings(arguments, words)
    voices = _voices(arguments, recordings)
    with _progress() as show:
        enroller = Enroller(embedder, negatives.without(words), config, progress=show)
        enrolment = enroller.enrol(recordings, voices=voices)
        show("writing the model", 0.95)
        reports = {word: word_report(enrolment, word) for word in words}
        metrics = {"enrolment": reports}
        made = make_model(
            embedder, enrolment, config, arguments.out, name=name, metrics=metrics, base=base
        )
        page = write_report(arguments.out / "report", made, enrolment, reports)
    _print_result(arguments, made, reports, page)
    return 0


def _check_options(arguments: argparse.Namespace) -> None:
    for option in ("record", "synthesise"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            raise ConfigError(f"--{option}: expected at least 1, got {value}")
    if arguments.voices is not None and arguments.voices < 0:
        raise ConfigError(f"--voices: expected 0 or more, got {arguments.voices}")
    if arguments.voices and arguments.synthesise is not None:
        raise ConfigError(
            "--voices: adds voices to recordings of people; with --synthesise there are none"
        )


def _recordings(arguments: argparse.Namespace, words: list[str]) -> dict[str, list[Recording]]:
    """Return the recordings to enrol; new ones are first written to OUT/recordings."""
    kept: Path = arguments.out / RECORDINGS
    if arguments.clips is not None:
        folders = folders_of(words, arguments.clips)
    else:
        folders = {word: kept / word for word in words}
        if arguments.synthesise is not None:
            _synthesise(words, kept, arguments.synthesise, arguments.seed)
        else:
            _record(folders, arguments)
    # Recordings of earlier sessions are included.
    found = {word: read_recordings(word, folder) for word, folder in folders.items()}
    for word, recordings in found.items():
        s = "" if len(recordings) == 1 else "s"
        _say(f"{word}: {len(recordings)} recording{s} from {recordings[0].path.parent}")
    return found


def _record(folders: Mapping[str, Path], arguments: argparse.Namespace) -> None:
    ask = not arguments.yes and sys.stdin.isatty()
    device = arguments.device
    device = int(device) if device is not None and device.isdecimal() else device
    with microphone_blocks(device) as blocks:
        for word, folder in folders.items():
            record(
                word,
                folder,
                blocks,
                n_recordings=arguments.record,
                say=_say,
                keep=ask_to_keep if ask else lambda recording: True,
            )


def _synthesise(words: list[str], kept: Path, n_clips: int, seed: int) -> None:
    length = int(LONGEST_S * SAMPLE_RATE)
    for done, total in synthesise(words, kept, n_clips=n_clips, seed=seed, most_samples=length):
        _say(f"synthesised {done} of {total} words")
    _say(
        "Synthesised voices alone are only good enough to try an idea. Models of computer, jarvis "
        "and snowboy made this way missed 22, 4 and 4 % of real speakers, while their reports "
        "said 0 to 2 %, and had up to four times the false accepts. A few recordings of people "
        "are better."
    )


def _voices(
    arguments: argparse.Namespace, recordings: Mapping[str, list[Recording]]
) -> dict[str, list[Recording]]:
    """Return synthesised voices for words with few recordings of people."""
    if arguments.synthesise is not None:
        return {}
    found = {
        word: synthesise_voices(
            few,
            arguments.out / "voices",
            n_voices=N_VOICES if arguments.voices is None else arguments.voices,
            seed=arguments.seed,
            tell=_say,
        )
        for word, few in recordings.items()
    }
    for word, voices in found.items():
        if voices:
            _say(f"{word}: {len(voices)} synthesised voices to choose from (--voices 0: none)")
    return found


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, float], None]]:
    """Yield a function that shows progress on stderr: a bar, or a line per step."""
    console = Console(stderr=True)
    if not console.is_terminal:
        shown: list[str] = []

        def show_line(step: str, share: float) -> None:
            if step not in shown[-1:]:
                shown.append(step)
                _say(f"{step} ...")

        yield show_line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=1.0)
        yield lambda step, share: progress.update(task, description=step, completed=share)


def _print_result(
    arguments: argparse.Namespace,
    made: ExportedModel,
    reports: Mapping[str, dict[str, Any]],
    page: Path,
) -> None:
    if arguments.json:
        program.print_json(
            {
                "model": str(made.manifest.path),
                "words": reports,
                "parity": round(made.max_difference, 4),
                "report": str(page),
            }
        )
        return
    for word, report in reports.items():
        print("\n".join(report_lines(word, report)))
    model = made.manifest.path
    print(f"{model}: posteriors within {made.max_difference:.3f} of the float head's")
    print(f"{page}: measurements and pictures")
    print(f"next: kws-listen --model {model}")


def _say(line: str) -> None:
    """Print a line on stderr; stdout is for results."""
    print(line, file=sys.stderr, flush=True)
