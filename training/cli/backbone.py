"""`kws-train backbone`: the embedding and the negatives that `kws-enroll` works with."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError

EXAMPLES = """\
  kws-train backbone runs/words --out my --moments 5 --speech librispeech --words speech_commands
  kws-train backbone my/words.json --speech librispeech --noise esc10     other negatives
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands,
        "backbone",
        examples=EXAMPLES,
        text="export a trained run without its head, and the negatives, for kws-enroll",
    )
    made.set_defaults(handler=backbone)
    made.add_argument(
        "run",
        type=Path,
        metavar="RUN|JSON",
        help="a run of the recipe words; or the .json file of a backbone, to make only negatives",
    )
    made.add_argument("--out", type=Path, metavar="DIR", help="where a run's backbone goes")
    made.add_argument("--name", default="words", help="name of its files (default: words)")
    made.add_argument(
        "--moments",
        type=int,
        default=1,
        metavar="N",
        help="network steps in an embedding, concatenated (default: 1, their mean)",
    )
    made.add_argument("--version", default="1", dest="backbone_version", metavar="V")
    negatives = made.add_argument_group("negatives (made if --speech is given)")
    negatives.add_argument(
        "--speech", type=Path, nargs="+", default=[], metavar="DIR", help="running speech"
    )
    negatives.add_argument("--words", type=Path, metavar="DIR", help="single words, DIR/WORD/*")
    negatives.add_argument("--noise", type=Path, nargs="+", default=[], metavar="DIR")
    for name, default in (("speech", 126_000), ("word", 8_000), ("noise", 2_000)):
        negatives.add_argument(
            f"--{name}-windows",
            type=int,
            default=default,
            metavar="N",
            help=f"windows to keep of each folder of {name} (default: {default})",
        )


def backbone(arguments: argparse.Namespace) -> int:
    """Write a backbone, its negatives, or both."""
    is_made = arguments.run.suffix == ".json"
    if (arguments.words or arguments.noise or is_made) and not arguments.speech:
        raise ConfigError("--speech: expected at least one folder; thresholds are set on speech")
    path = arguments.run
    if not is_made:
        from training.config.run_folder import RunFolder
        from training.export.word_backbone import export_word_backbone

        if arguments.out is None:
            raise ConfigError("--out: expected a folder for the backbone")
        made = export_word_backbone(
            RunFolder(arguments.run),
            arguments.out,
            name=arguments.name,
            version=arguments.backbone_version,
            moments=arguments.moments,
        )
        path = made.path
        print(f"{path}: {len(made.read_file())} bytes")
        if not arguments.speech:
            print(f"next: kws-train backbone {path} --speech DIR")
    if arguments.speech:
        _write_negatives(arguments, path)
    return 0


def _write_negatives(arguments: argparse.Namespace, path: Path) -> None:
    from training.cli.terminal import command_line
    from training.embedding.backbone import WordBackbone, WordEmbedder
    from training.enrolment.make_negatives import NegativeFolder, make_negatives

    embedder = WordEmbedder(WordBackbone.read(path))
    folders = [NegativeFolder("speech", one, arguments.speech_windows) for one in arguments.speech]
    if arguments.words:
        folders.append(NegativeFolder("word", arguments.words, arguments.word_windows))
    folders += [NegativeFolder("noise", one, arguments.noise_windows) for one in arguments.noise]
    made = make_negatives(embedder, folders, command=command_line())
    target = embedder.description.negatives_path
    made.write(target)
    print(
        f"{target}: {len(made)} windows, {made.speech_hours(embedder.hop_s):.1f} h of speech, "
        f"{target.stat().st_size} bytes"
    )
