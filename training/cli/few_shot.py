"""`kws-eval few-shot`: missed detections of enrolled words by the number of recordings."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError

EXAMPLES = """\
  kws-eval few-shot computer jarvis --clips wake_words --speech dev_clean --out reports/few-shot
"""


def add_parsers(commands: Any) -> None:
    """Add the command."""
    made = program.add_command(
        commands,
        "few-shot",
        examples=EXAMPLES,
        text="missed detections of enrolled words by the number of recordings, over many draws",
    )
    made.set_defaults(run=few_shot)
    made.add_argument("words", nargs="+", metavar="WORD")
    made.add_argument(
        "--clips",
        type=Path,
        nargs="+",
        required=True,
        metavar="DIR",
        help="folders with recordings; each word is in DIR/WORD/* of one of them",
    )
    made.add_argument(
        "--speech",
        type=Path,
        required=True,
        metavar="DIR",
        help="running speech for false accepts; DIR.words.csv beside it lists the words in it",
    )
    made.add_argument("--backbone", default="words", metavar="NAME|PATH")
    made.add_argument("--counts", type=int, nargs="+", default=[1, 3, 5, 10, 20, 50])
    made.add_argument("--draws", type=int, default=10)
    made.add_argument("--copies", type=int, default=60)
    made.add_argument("--fa-per-hour", type=float, default=0.5)
    made.add_argument("--voices", type=int, metavar="N", help="as in kws-enroll (default: 60)")
    made.add_argument(
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="for trials.csv and table.md, written after each draw",
    )


def few_shot(arguments: argparse.Namespace) -> int:
    """Run the study."""
    from training.embedding.backbone import WordBackbone, WordEmbedder
    from training.embedding.negatives import Negatives
    from training.enrolment.config import EnrolmentConfig
    from training.enrolment.few_shot_study import (
        FewShotStudy,
        Trial,
        embed_speech,
        write_study,
    )
    from training.enrolment.voices import N_VOICES, synthesise_voices

    n_voices = N_VOICES if arguments.voices is None else arguments.voices
    if n_voices < 0:
        raise ConfigError(f"--voices: expected 0 or more, got {n_voices}")
    config = EnrolmentConfig(arguments.copies, arguments.fa_per_hour)
    embedder = WordEmbedder(WordBackbone.read(arguments.backbone))
    backbone = embedder.description
    negatives = Negatives.read(backbone.negatives_path, backbone=backbone.sha256)
    recordings = {word: _recordings(word, arguments.clips) for word in arguments.words}
    voices = {
        word: synthesise_voices(
            found[: min(arguments.counts)],
            arguments.out / "voices",
            n_voices=n_voices,
            seed=config.seed,
            tell=_tell,
        )
        for word, found in recordings.items()
    }
    study = FewShotStudy(embedder, negatives, embed_speech(embedder, arguments.speech), config)
    trials: list[Trial] = []
    for trial in study.trials(
        recordings, counts=arguments.counts, draws=arguments.draws, voices=voices
    ):
        trials.append(trial)
        _tell(
            f"{trial.word}, {trial.n_recordings} recordings, draw {trial.draw}: "
            f"{100 * trial.missed:.1f} % missed, {trial.per_hour:.2f} false accepts per hour"
        )
        # After each trial, so that an interrupted study leaves its table.
        table = write_study(arguments.out, trials)
    print(table)
    return 0


def _recordings(word: str, folders: list[Path]) -> Any:
    from training.enrolment.recordings import read_recordings

    places = [folder / word for folder in folders if (folder / word).is_dir()]
    return read_recordings(
        word, places[0] if places else folders[0] / word, skip=lambda why: _tell(f"skipped: {why}")
    )


def _tell(line: str) -> None:
    print(f"kws-eval: {line}", file=sys.stderr, flush=True)
