"""`kws-train backbone`, `negatives` and `few-shot`: what `kws-enroll` stands on, and how far."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from kws.cli import program

EXAMPLES = """\
  kws-train backbone runs/words --out my
  kws-train negatives my/words.json --speech librispeech --words speech_commands --noise esc10
  kws-train few-shot computer jarvis --clips wake_words --speech dev_clean --out reports/few-shot
"""


def add_parsers(commands: Any) -> None:
    """Add the three commands."""
    backbone = program.add_command(
        commands,
        "backbone",
        examples=EXAMPLES,
        text="cut a trained run before its head: the embedding that kws-enroll learns words on",
    )
    backbone.add_argument("run", type=Path, metavar="RUN", help="a run of the recipe words")
    backbone.add_argument("--out", type=Path, required=True, metavar="DIR")
    backbone.add_argument("--name", default="words", help="of its files (default: words)")
    backbone.add_argument(
        "--moments",
        type=int,
        default=1,
        metavar="N",
        help="steps of the network that make an embedding, end to end (default: 1, their mean)",
    )
    backbone.add_argument("--version", default="1", dest="backbone_version", metavar="V")
    _add_negatives(commands)
    _add_few_shot(commands)


def _add_negatives(commands: Any) -> None:
    made = program.add_command(
        commands,
        "negatives",
        examples=EXAMPLES,
        text="embed hours of speech and noise, for words to be told from",
    )
    made.add_argument("backbone", metavar="BACKBONE", help="its .json file; the bank goes beside")
    made.add_argument("--speech", type=Path, nargs="+", default=[], metavar="DIR")
    made.add_argument("--words", type=Path, metavar="DIR", help="one folder a word")
    made.add_argument("--noise", type=Path, nargs="+", default=[], metavar="DIR")
    for name, default in (("speech", 126_000), ("word", 8_000), ("noise", 2_000)):
        made.add_argument(
            f"--{name}-windows",
            type=int,
            default=default,
            metavar="N",
            help=f"kept of each folder of {name} (default: {default})",
        )


def _add_few_shot(commands: Any) -> None:
    made = program.add_command(
        commands,
        "few-shot",
        examples=EXAMPLES,
        text="misses by the number of recordings, over many draws, as table and picture",
    )
    made.add_argument("words", nargs="+", metavar="WORD")
    made.add_argument(
        "--clips", type=Path, nargs="+", required=True, metavar="DIR", help="DIR/WORD/* is in one"
    )
    made.add_argument(
        "--speech",
        type=Path,
        required=True,
        metavar="DIR",
        help="running speech to count on; DIR.words.csv beside it tells where a word is said",
    )
    made.add_argument("--backbone", default="words", metavar="NAME|PATH")
    made.add_argument("--counts", type=int, nargs="+", default=[1, 3, 5, 10, 20, 50])
    made.add_argument("--draws", type=int, default=10)
    made.add_argument("--head", default="logistic", help="as in kws-enroll (default: logistic)")
    made.add_argument("--copies", type=int, default=60)
    made.add_argument("--fa-per-hour", type=float, default=0.5)
    made.add_argument("--voices", type=int, metavar="N", help="as in kws-enroll (default: 60)")
    made.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="goes on with what lies there"
    )


def backbone(arguments: argparse.Namespace) -> int:
    """Write a backbone."""
    from training.config.run_folder import RunFolder
    from training.enrolment.make_backbone import make_backbone

    made = make_backbone(
        RunFolder(arguments.run),
        arguments.out,
        name=arguments.name,
        version=arguments.backbone_version,
        moments=arguments.moments,
    )
    print(f"{made.path}: {len(made.read_file())} bytes; next: kws-train negatives {made.path}")
    return 0


def negatives(arguments: argparse.Namespace) -> int:
    """Write the bank of negatives beside a backbone."""
    from kws.errors import ConfigError
    from training.cli.terminal import command_line
    from training.embedding.word_backbone import Backbone, BackboneFile
    from training.enrolment.make_negatives import Source, make_negatives

    opened = Backbone(BackboneFile.read(arguments.backbone))
    sources = [Source("speech", one, arguments.speech_windows) for one in arguments.speech]
    if arguments.words:
        sources.append(Source("word", arguments.words, arguments.word_windows))
    sources += [Source("noise", one, arguments.noise_windows) for one in arguments.noise]
    if not arguments.speech:
        raise ConfigError("--speech: expected at least one folder; thresholds are set on speech")
    made = make_negatives(opened, sources, command=command_line())
    path = opened.file.path.parent / opened.file.negatives
    made.write(path)
    print(
        f"{path}: {len(made)} windows, {made.speech_hours(opened.hop_s):.1f} h of speech, "
        f"{path.stat().st_size} bytes"
    )
    return 0


def few_shot(arguments: argparse.Namespace) -> int:
    """Study words by the number of recordings."""
    from kws.errors import ConfigError
    from kws.files import sha256
    from training.embedding.word_backbone import Backbone, BackboneFile
    from training.enrolment.config import EnrolmentConfig
    from training.enrolment.few_shot import FewShotStudy, embedded_speech
    from training.enrolment.few_shot_report import read_trials, write_study
    from training.enrolment.negatives import Negatives
    from training.enrolment.recordings import read_recordings
    from training.enrolment.voices import N_VOICES, synthesised

    n_voices = N_VOICES if arguments.voices is None else arguments.voices
    if n_voices < 0:
        raise ConfigError(f"--voices: expected 0 or more, got {n_voices}")
    opened = Backbone(BackboneFile.read(arguments.backbone))
    file = opened.file
    config = EnrolmentConfig(
        head=arguments.head, copies=arguments.copies, per_hour=arguments.fa_per_hour
    )
    shipped = Negatives.read(file.path.parent / file.negatives, backbone=file.sha256)
    recordings = {}
    for word in arguments.words:
        places = [one / word for one in arguments.clips if (one / word).is_dir()]
        folder = places[0] if places else arguments.clips[0] / word
        recordings[word] = read_recordings(word, folder, skip=_passed_over)
    about = {
        "backbone": file.sha256,
        "negatives": sha256((file.path.parent / file.negatives).read_bytes()),
        "clips": [folder.name for folder in arguments.clips],
        "speech": arguments.speech.name,
        "voices": n_voices,
        **asdict(config),
    }
    trials = read_trials(arguments.out, about)
    voices = {
        word: synthesised(
            found[: min(arguments.counts)],
            arguments.out / "voices",
            n_voices=n_voices,
            seed=config.seed,
            tell=lambda why: print(f"kws-train: {why}", file=sys.stderr),
        )
        for word, found in recordings.items()
    }
    study = FewShotStudy(opened, shipped, embedded_speech(opened, arguments.speech), config)
    done = {(trial.word, trial.n_recordings, trial.draw) for trial in trials}
    table = ""
    for trial in study.trials(
        recordings, counts=arguments.counts, draws=arguments.draws, voices=voices, done=done
    ):
        trials.append(trial)
        print(
            f"{trial.word} {trial.n_recordings} #{trial.draw}: {100 * trial.missed:.1f} % missed, "
            f"{trial.per_hour:.2f} false accepts an hour",
            file=sys.stderr,
            flush=True,
        )
        # After each, so that a stop loses nothing.
        table = write_study(arguments.out, trials, config)
    print(table or write_study(arguments.out, trials, config))
    return 0


def _passed_over(reason: str) -> None:
    print(f"kws-train: passed over: {reason}", file=sys.stderr)
