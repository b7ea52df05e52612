"""`kws-eval clip` and `kws-eval clips`: one clip with a picture, a folder of labelled clips."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from kws import models
from kws.cli import program
from kws.errors import ConfigError
from training.cli.terminal import check_picture, open_spotter, progress_bar

EXAMPLES = """\
  kws-eval clip yes.wav --model default --label yes
  kws-eval clips --model default --data speech_commands --split validation --out reports/clips
  kws-eval clips --data speech_commands --split validation --half b --snr-db 10
"""


def add_parsers(commands: Any) -> None:
    """Add the two commands."""
    made = program.add_command(
        commands, "clip", examples=EXAMPLES, text="one clip: waveform, log-mel and posteriors"
    )
    made.set_defaults(run=clip)
    made.add_argument("file", type=Path, metavar="FILE")
    program.add_model_arguments(made)
    made.add_argument("--label", help="the spoken word; reports right or wrong")
    made.add_argument("--out", type=Path, metavar="PNG", help="picture (default: FILE.png here)")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    made = program.add_command(
        commands,
        "clips",
        examples=EXAMPLES,
        text="a folder of labelled clips: accuracy, precision, recall, F1, confusion",
        description="Without --split every clip counts; a folder whose name is no label of the "
        "model counts as _unknown_. With --split the clips of that split count in the usual "
        "twelve-class mix: all clips of the keywords, and as many unknown words and cuts of "
        "_background_noise_ as a keyword has clips on average. For a model of plain classes, its "
        "recipe says how clips are split (by folds, speakers or at random).",
    )
    made.set_defaults(run=clips)
    program.add_model_arguments(made)
    made.add_argument(
        "--data",
        type=Path,
        required=True,
        nargs="+",
        metavar="DIR|CSV|NPZ",
        help="one folder per label, or several such trees; for a model of plain classes also a "
        "table or an archive",
    )
    made.add_argument("--split", choices=("training", "validation", "testing"))
    made.add_argument(
        "--half", choices=("a", "b"), help="of the speakers: a chooses settings, b reports"
    )
    made.add_argument(
        "--snr-db",
        type=float,
        metavar="X",
        help="mix held-out noise of the split under the clips, at this level below the word",
    )
    made.add_argument(
        "--rooms", action="store_true", help="play the clips through 60 simulated rooms first"
    )
    made.add_argument("--seed", type=int, default=2018, help="of the draws (default: 2018)")
    made.add_argument("--out", type=Path, metavar="DIR", help="pictures and predictions.csv")
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def clip(arguments: argparse.Namespace) -> int:
    """Print the posteriors of one clip and draw them."""
    from training.evaluation import clip_report

    picture = arguments.out or Path(f"{arguments.file.stem}.png")
    check_picture(picture, "--out")
    spotter = open_spotter(arguments)
    found = clip_report.evaluate_clip(
        arguments.file, spotter, label=arguments.label, picture=picture
    )
    if arguments.json:
        program.print_json(found)
        return 0
    table = Table("label", "posterior")
    for name, value in sorted(found["posterior"].items(), key=lambda item: -item[1]):
        table.add_row(name, f"{value:.3f}")
    Console().print(table)
    verdict = {None: "", True: ", as labelled", False: f", but labelled {arguments.label}"}
    print(f"predicted {found['predicted']}{verdict[found['right']]}; picture: {picture}")
    return 0


def clips(arguments: argparse.Namespace) -> int:
    """Measure a model on labelled clips."""
    from training.evaluation import clip_report
    from training.evaluation.clips import ClipScorer, clips_to_score, half_of
    from training.evaluation.noisy_clips import held_out_noise, over_noise, rooms_to_measure

    if arguments.rooms and arguments.snr_db is None:
        raise ConfigError("--rooms: expected --snr-db too, the level of noise in the room")
    if arguments.half and not arguments.split:
        raise ConfigError("--half: expected --split too, whose speakers are halved")
    if arguments.snr_db is not None and arguments.split == "training":
        raise ConfigError("--snr-db: noise is held out of training; expected --split validation")
    scorer = ClipScorer.open(
        models.load(arguments.model),
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
    )
    root, *more = arguments.data
    chosen = clips_to_score(
        scorer.manifest, root, split=arguments.split, seed=arguments.seed, more=more
    )
    if arguments.half:
        chosen = half_of(chosen, arguments.half, arguments.data, arguments.split)
    about = {name: getattr(arguments, name) for name in ("split", "half", "snr_db")}
    if arguments.snr_db is not None:
        found = held_out_noise(root, arguments.split or "validation")
        rooms = rooms_to_measure(arguments.seed) if arguments.rooms else ()
        about["noise"], about["rooms"] = found.sources, len(rooms)
        chosen = over_noise(
            chosen,
            found.bank,
            snr_db=arguments.snr_db,
            window_s=scorer.window_s,
            seed=arguments.seed,
            rooms=rooms,
        )
    report = clip_report.evaluate_clips(
        scorer, chosen, root=root, out=arguments.out, progress=progress_bar("clips")
    )
    report["data"] = " + ".join(map(str, arguments.data))
    if arguments.split:
        report["seed"] = arguments.seed
    report |= {name: value for name, value in about.items() if value is not None}
    if arguments.json:
        program.print_json(report)
        return 0
    table = Table("label", "precision", "recall", "F1", "clips")
    for label, row in [*report["per_label"].items(), ("mean", report["macro"])]:
        figures = (f"{100 * row[key]:.1f}" for key in ("precision", "recall", "f1"))
        table.add_row(label, *figures, str(row.get("n", "")))
    Console().print(table)
    low, high = report["accuracy_interval_95"]
    print(
        f"{report['model']}: {100 * report['accuracy']:.2f} % of {report['n']} clips "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f})"
    )
    return 0
