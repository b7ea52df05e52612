"""Write the model cards, and the table of models in the two README files.

All figures come from the manifests and the model files. Run it after `kws-train export`,
`kws-eval tune`, `kws-eval stream --write` or `kws-eval report --write` has changed a manifest:

    python tools/make_cards.py            # writes
    python tools/make_cards.py --check    # exits with 1 if a page is out of date
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from kws import models
from kws.files import write_atomically
from kws.manifest import ModelManifest
from training.conditions.scores import table_rows
from training.tflite.cost import file_cost

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "firmware_models"
FORMS = {"window": "non-streaming", "stream": "streaming"}
CARD = """\
# `{name}`, version {version}

{description}.

Written by `tools/make_cards.py` from the manifest and the model files. [README.md](README.md) has the commands behind the figures.

## Use

The model detects {n_keywords} English command words ({keywords}) in one second of audio at 16 kHz, spoken on their own. `_unknown_` stands for other speech, `_silence_` for audio without speech.
Do not use it where safety depends on it: it misses words and fires at other sounds.

## Model

{facts}

## Single words

{clips}

## Long audio

{long_audio}

## Training data

{attribution}

Recipe and thresholds were chosen on the validation split and on dev-clean of LibriSpeech. No testing split was used. [docs/training.md](../docs/training.md) has every step.

## Limits

* Children, whispering, shouting and most accents are rare in the training data; its speakers are mostly North American.
* Words that sound like a keyword are detected as that keyword ("know" as "no").
* With other people speaking at 10 dB below the word, most words are missed (the table above).
"""  # noqa: E501


def main() -> int:
    """Write the pages, or list those that are out of date."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if out of date")
    arguments = parser.parse_args()
    old = []
    for path, text in pages().items():
        if path.is_file() and text == path.read_text(encoding="utf-8"):
            continue
        old.append(path.name)
        if not arguments.check:
            write_atomically(path, text)
    if old:
        print(f"{'out of date' if arguments.check else 'written'}: {', '.join(old)}")
    return 1 if old and arguments.check else 0


def pages() -> dict[Path, str]:
    """Return the text of every page."""
    manifests = sorted((models.load(name) for name in models.names()), key=size)
    made = {MODELS / f"{manifest.name}.md": card(manifest) for manifest in manifests}
    for path in (MODELS / "README.md", ROOT / "README.md"):
        link = "" if path.parent == MODELS else "firmware_models/"
        made[path] = between(path.read_text(encoding="utf-8"), "models", overview(manifests, link))
    return made


def between(text: str, tag: str, body: str) -> str:
    """Return `text` with the part between the comments of `tag` replaced."""
    pattern = rf"<!-- {tag}:start -->.*?<!-- {tag}:end -->"
    block = f"<!-- {tag}:start -->\n{body}\n<!-- {tag}:end -->"
    assert re.search(pattern, text, flags=re.DOTALL), tag
    return re.sub(pattern, lambda _: block, text, flags=re.DOTALL)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return a Markdown table; columns after the first are aligned to the right."""
    rule = ["---", *["--:"] * (len(head) - 1)]
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (head, rule, *rows))


def forms(manifest: ModelManifest) -> list[str]:
    """Return the names of the forms that a model has."""
    return [form for form in FORMS if getattr(manifest, form)]


def size(manifest: ModelManifest, form: str = "window") -> int:
    """Return the size of a model file in bytes."""
    file: str = getattr(manifest, form).file
    return (manifest.path.parent / file).stat().st_size


def multiplications(manifest: ModelManifest, form: str) -> str:
    """Return the multiplications of one call of a model, in millions."""
    part = getattr(manifest, form)
    content = (manifest.path.parent / part.file).read_bytes()
    return f"{file_cost(content, where=part.file).macs / 1e6:.2f} M"


def percent(share: float) -> str:
    """Return a share in percent."""
    return f"{100 * share:.1f} %"


def overview(manifests: list[ModelManifest], link: str) -> str:
    """Return a table with one row per model, on the half of the audio that chose nothing."""
    rows = []
    for manifest in manifests:
        metrics = manifest.metrics
        found = metrics["thresholds"]["reporting"]["conditions"]
        noisy = {row["snr_db"]: percent(row["accuracy"]) for row in metrics["noise"]["levels"]}
        missed = ("quiet", "noise", "rooms", "voice-behind")
        rates = ("read-speech", "noise-alone")
        rows.append(
            (
                f"[`{manifest.name}`]({link}{manifest.name}.md)",
                f"{size(manifest, forms(manifest)[-1]) / 1000:.0f} kB",
                multiplications(manifest, forms(manifest)[-1]),
                f"{percent(metrics['accuracy'])} / {noisy[10]} / {noisy[0]}",
                " / ".join(percent(found[name]["missed"]) for name in missed),
                " / ".join(f"{found[name]['false_alarms_per_hour']:.1f}" for name in rates),
                " / ".join(percent(found[name]["fired"]) for name in ("other-words", "digits")),
            )
        )
    head = (
        *("model", "int8 streaming model", "multiplications per hop"),
        "clips correct: clean / noise at 10 dB / 0 dB",
        "words missed: quiet / noise at 10 dB / rooms / a voice behind",
        "false alarms per hour: read speech / noise",
        "other words / digits that fire",
    )
    return table(head, rows)


def card(manifest: ModelManifest) -> str:
    """Return the model card."""
    return CARD.format(
        name=manifest.name,
        version=manifest.version,
        description=manifest.description,
        n_keywords=len(manifest.keywords),
        keywords=", ".join(manifest.keywords),
        facts=facts(manifest),
        clips=clips(manifest),
        long_audio=long_audio(manifest),
        attribution="\n".join(f"* {line}" for line in manifest.attribution),
    )


def facts(manifest: ModelManifest) -> str:
    """Return network, size, origin and licence."""
    training, metrics = manifest.training, manifest.metrics
    rows = [
        ("network", f"`{training['recipe']['model']['name']}`, int8 weights and activations"),
        ("parameters", f"{training['parameters']:,}"),
        ("input", f"{manifest.window.window_frames} frames of {manifest.frontend.n_mels} bands"),
        ("licence", manifest.licence),
        ("trained", f"{training['date']}, TensorFlow {training['versions']['tensorflow']}"),
        ("recipe", f"`{training['recipe']['name']}`, seed {training['seed']}"),
        ("same label as before quantization", percent(metrics["same_label_as_float"])),
    ]
    for form in forms(manifest):
        rows.append(
            (
                f"{FORMS[form]} model",
                f"{size(manifest, form):,} bytes, {multiplications(manifest, form)} "
                f"multiplications, SHA-256 `{getattr(manifest, form).sha256[:16]}…`",
            )
        )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def clips(manifest: ModelManifest) -> str:
    """Return the figures on single words, clean and over noise."""
    metrics = manifest.metrics
    levels = [
        ("clean" if row["snr_db"] is None else f"{row['snr_db']:g} dB", percent(row["accuracy"]))
        for row in metrics["noise"]["levels"]
    ]
    labels = [
        (label, *(percent(row[name]) for name in ("precision", "recall", "f1")), row["n"])
        for label, row in metrics["per_label"].items()
    ]
    return "\n".join(
        [
            f"{metrics['n']:,} clips of the {metrics['split']} split ({metrics['data']}), clean "
            "and over noise of kinds that are not in the training data "
            f"({unheard(manifest)}). Before quantization: {percent(metrics['accuracy_float'])}.",
            "",
            table(("level of the word over the noise", "clips correct"), levels),
            "",
            table(("label", "precision", "recall", "F1", "clips"), labels),
        ]
    )


def unheard(manifest: ModelManifest) -> str:
    """Return the sources of the noise; fail if one of them is in the training data."""
    sources = manifest.metrics["noise"]["sources"]
    kinds = [source.split(" of ")[-1] for source in sources]
    known = set(kinds) - set(manifest.training["recipe"]["data"]["held_out_noise"])
    if known:
        raise SystemExit(
            f"{manifest.path}: metrics.noise: expected only kinds of data.held_out_noise, got "
            f"{', '.join(sorted(known))} too; kws-eval report --noise FOLDER... --write"
        )
    return ", ".join(sources)


def long_audio(manifest: ModelManifest) -> str:
    """Return the figures of tuning on the half that chose nothing, condition by condition."""
    decision, tuned = manifest.decision, manifest.metrics["thresholds"]
    report = tuned["reporting"]
    budget = ", ".join(
        f"{name} {text.replace('%', ' %')}{'' if '%' in text else ' an hour'}"
        for name, text in tuned["budget"].items()
    )
    text = (
        f"Thresholds are tuned for these false alarms of all keywords together: {budget}; with "
        f"smoothing over {decision.smoothing_ms} ms and a context weight of "
        f"{max(decision.context_weights.values(), default=0):g}. The figures are of speakers and "
        "recordings that were not tuned on."
    )
    rows = table_rows([report])
    parts = [text, table(("condition", "", "value (95 % interval)"), rows)]
    words = [name for name, row in report["conditions"].items() if row["events"]]
    per_keyword = []
    for keyword in manifest.keywords:
        missed = (report["conditions"][name]["missed_by_keyword"].get(keyword) for name in words)
        threshold = f"{decision.threshold(keyword):.3f}"
        shares = ("" if share is None else percent(share) for share in missed)
        per_keyword.append((keyword, threshold, *shares))
    head = ("keyword", "threshold", *(f"missed, {name}" for name in words))
    parts.append(table(head, per_keyword))
    return "\n\n".join(parts)


if __name__ == "__main__":
    sys.exit(main())
