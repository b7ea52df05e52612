r"""Lay out the public originals as the recipes expect their data: 16 kHz mono WAV below one folder.

    kws-train fetch speech-commands --out data            # speech_commands/
    python tools/make_kit.py --out data \
        --librispeech LibriSpeech/dev-clean LibriSpeech/train-clean-5 --alignments alignments \
        --esc50 ESC-50-master --rooms impulse-responses --an4 an4

| option | original | written |
|---|---|---|
| --librispeech, --alignments | LibriSpeech (OpenSLR 12, 31), TextGrids or .alignment.txt files of it | librispeech/SPLIT/*.wav, SPLIT.words.csv |
| --esc50 | ESC-50 (its ten classes of ESC-10) | esc10/CLASS/FOLD-*.wav |
| --rooms | folders of room responses | room_impulse_responses/*.wav |
| --an4 | AN4 (an4_sphere.tar.gz, unpacked) | an4/SPEAKER/*.wav, index.csv |

A file that is there already is not written again.
"""  # noqa: E501

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kws.cli.program import parser, run
from kws.errors import ConfigError
from kws.files import atomic_path
from training.datasets.aligned_speech import WORD_COLUMNS
from training.datasets.clips import SAMPLE_RATE, Clip
from training.datasets.phrases import COLUMNS as PHRASE_COLUMNS
from training.evaluation.mix_stream import write_stream

Row = tuple[Any, ...]
# ESC-10 in ESC-50, and what the recipes call its classes.
ESC10 = {
    "dog": "dog_bark",
    "rain": "rain",
    "sea_waves": "sea_waves",
    "crying_baby": "baby_cry",
    "clock_tick": "clock_tick",
    "sneezing": "person_sneeze",
    "helicopter": "helicopter",
    "chainsaw": "chainsaw",
    "rooster": "rooster",
    "crackling_fire": "fire_crackling",
}
INTERVAL = re.compile(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "((?:[^"]|"")*)"')
# UTTERANCE ",WORD,,WORD" "end,end,end,end": an empty word is a pause.
CONDENSED = re.compile(r'(\S+) "([^"]*)" "([^"]*)"')
AN4_LINE = re.compile(r"(?:<s>)?\s*(.*?)\s*(?:</s>)?\s*\((\S+)\)")


def main(argv: Sequence[str] | None = None) -> int:
    """Write the parts that are named."""
    made = parser(
        "make_kit.py",
        "Lay out the public originals as the recipes expect their data.",
        examples=__doc__.partition("\n\n")[2],
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made.add_argument("--librispeech", type=Path, nargs="+", default=[], metavar="SPLIT")
    made.add_argument("--alignments", type=Path, metavar="DIR")
    made.add_argument("--esc50", type=Path, metavar="DIR")
    made.add_argument("--rooms", type=Path, nargs="+", default=[], metavar="DIR")
    made.add_argument("--an4", type=Path, metavar="DIR")
    return run(_make, made, argv)


def _make(arguments: argparse.Namespace) -> int:
    out: Path = arguments.out
    if arguments.librispeech and not arguments.alignments:
        raise ConfigError("--librispeech: expected --alignments DIR beside it")
    for split in arguments.librispeech:
        librispeech(split, arguments.alignments, out / "librispeech")
    if arguments.esc50:
        esc10(arguments.esc50, out / "esc10")
    if arguments.rooms:
        rooms(arguments.rooms, out / "room_impulse_responses")
    if arguments.an4:
        an4(arguments.an4, out / "an4")
    return 0


def librispeech(source: Path, alignments: Path, out: Path) -> None:
    """Write the recordings of a split, and the times of its words."""
    split = source.name.replace("-", "_")
    found = dict(word_times(alignments))
    rows: list[Row] = []
    without = 0
    for path in progress(split, files(source, "*.flac")):
        if path.stem in found:
            convert(path, out / split / f"{path.stem}.wav")
            rows += [(path.stem, *word) for word in found[path.stem]]
        else:
            without += 1
    if not rows:
        raise ConfigError(f"{alignments}: expected TextGrids or .alignment.txt files of {source}")
    if without:
        # A recording without word times could hide a keyword in what counts as free of them.
        print(f"{split}: {without} recordings without word times are left out", file=sys.stderr)
    write_table(out / f"{split}.words.csv", WORD_COLUMNS, rows)


def word_times(folder: Path) -> Iterator[tuple[str, list[tuple[str, int, int]]]]:
    """Yield each utterance with its words: text, first sample, and length in samples."""
    for path in sorted(folder.rglob("*.TextGrid")):
        tiers = re.split(r"item \[\d+\]:", path.read_text(encoding="utf-8"))
        words = next((tier for tier in tiers if re.search(r'name = "words?"', tier)), None)
        if words is None:
            raise ConfigError(f"{path}: expected a tier named words")
        spans = [(text, float(first), float(last)) for first, last, text in INTERVAL.findall(words)]
        yield path.stem, in_samples(spans)
    for path in sorted(folder.rglob("*.alignment.txt")):
        for utterance, words, ends in CONDENSED.findall(path.read_text(encoding="utf-8")):
            times = [0.0, *map(float, ends.split(","))]
            yield utterance, in_samples(zip(words.split(","), times, times[1:]))


def in_samples(spans: Iterable[tuple[str, float, float]]) -> list[tuple[str, int, int]]:
    """Return the words without pauses and noises, counted in samples at 16 kHz."""
    return [
        (text.lower(), round(first * SAMPLE_RATE), round((last - first) * SAMPLE_RATE))
        for text, first, last in spans
        if re.search(r"[A-Za-z]", text) and not text.startswith("<")
    ]


def esc10(source: Path, out: Path) -> None:
    """Write the ten classes of ESC-10, a folder each; names begin with the fold."""
    table = source / "meta" / "esc50.csv"
    if not table.is_file():
        raise ConfigError(f"--esc50 {source}: expected meta/esc50.csv in it")
    with open(table, newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["category"] in ESC10]
    for row in progress("esc10", rows):
        # FOLD-SOURCE-TAKE-TARGET.wav without the target.
        name = row["filename"].rpartition("-")[0] + ".wav"
        convert(source / "audio" / row["filename"], out / ESC10[row["category"]] / name)


def rooms(sources: Sequence[Path], out: Path) -> None:
    """Write room responses, named by their paths."""
    for source in sources:
        found = [*files(source, "*.wav", there=False), *files(source, "*.flac", there=False)]
        if not found:
            raise ConfigError(f"--rooms {source}: expected .wav or .flac files, found none")
        for path in progress("rooms", found):
            name = "__".join(path.relative_to(source.parent).with_suffix("").parts)
            convert(path, out / f"{name}.wav")


def an4(source: Path, out: Path) -> None:
    """Write the phrases of each speaker, and their transcripts."""
    texts = {
        name: words.lower()
        for table in files(source, "*.transcription")
        for words, name in AN4_LINE.findall(table.read_text(encoding="utf-8"))
    }
    rows: list[Row] = []
    for path in progress("an4", files(source, "*.sph")):
        if path.stem in texts:
            speaker = path.parent.name
            convert(path, out / speaker / f"{path.stem}.wav")
            rows.append((path.stem, speaker, texts[path.stem]))
    write_table(out / "index.csv", PHRASE_COLUMNS, rows)


def files(source: Path, pattern: str, *, there: bool = True) -> list[Path]:
    """Return the files of a folder tree; with `there`, refuse one without any."""
    found = sorted(source.rglob(pattern))
    if there and not found:
        raise ConfigError(f"{source}: expected {pattern} in it, found none")
    return found


def convert(source: Path, target: Path) -> None:
    """Write a recording as 16-bit mono WAV at 16 kHz, unless it is there."""
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        write_stream(Clip(source, "").read(), target)


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Write a CSV."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def progress(name: str, items: Sequence[Any]) -> Iterator[Any]:
    """Yield the items, and say on stderr how far it is."""
    for number, item in enumerate(items):
        if number % 500 == 0:
            print(f"{name}: {number} of {len(items)}", file=sys.stderr)
        yield item


if __name__ == "__main__":
    sys.exit(main())
