"""Write the model cards, the table of README.md beside them, and the table of the project's page.

Every figure comes from the manifests and the files. Call it after `kws-train export`,
`kws-eval tune`, `kws-eval stream --write` or `kws-eval report --write` have changed one:

    python firmware_models/make_cards.py            # writes
    python firmware_models/make_cards.py --check    # exits with 1 where a page is not up to date
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

from kws import models
from kws.files import write_atomically
from kws.manifest import ModelManifest
from training.tflite.cost import file_cost

HERE = Path(__file__).resolve().parent
README = HERE.parent / "README.md"


def main() -> int:
    """Write the pages, or tell which are old."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a page is old")
    arguments = parser.parse_args()
    old = []
    for path, text in pages().items():
        if path.is_file() and text == path.read_text(encoding="utf-8"):
            continue
        old.append(path.name)
        if not arguments.check:
            write_atomically(path, text)
    if old:
        print(f"{'old' if arguments.check else 'written'}: {', '.join(old)}")
    return 1 if old and arguments.check else 0


def pages() -> dict[Path, str]:
    """Return the text of every page."""
    manifests = sorted((models.load(name) for name in models.names()), key=size)
    made = {HERE / f"{manifest.name}.md": card(manifest) for manifest in manifests}
    for path in (HERE / "README.md", README):
        text = path.read_text(encoding="utf-8")
        link = "" if path.parent == HERE else "firmware_models/"
        made[path] = between(text, "models", table(manifests, link))
    return made


def between(text: str, tag: str, body: str) -> str:
    """Return `text` with what stands between the comments of `tag` replaced."""
    pattern = rf"<!-- {tag}:start -->.*?<!-- {tag}:end -->"
    block = f"<!-- {tag}:start -->\n{body}\n<!-- {tag}:end -->"
    assert re.search(pattern, text, flags=re.DOTALL), tag
    return re.sub(pattern, lambda _: block, text, flags=re.DOTALL)


def forms(manifest: ModelManifest) -> tuple[str, ...]:
    """Return the names of the forms that a model has."""
    return ("window", "stream") if manifest.stream else ("window",)


def size(manifest: ModelManifest, form: str = "window") -> int:
    """Return the bytes of a form's file."""
    part = getattr(manifest, form)
    return (manifest.path.parent / part.file).stat().st_size


def percent(share: float, digits: int = 1) -> str:
    """Return a share of 0..1 in percent."""
    return f"{100 * share:.{digits}f} %"


def interval(low_high: Any, factor: float = 1.0, digits: int = 1) -> str:
    """Return ``low to high``."""
    low, high = (factor * value for value in low_high)
    return f"{low:.{digits}f} to {high:.{digits}f}"


def table(manifests: list[ModelManifest], link: str) -> str:
    """Return a row a model."""
    lines = [
        "| model | int8 file, window and stream form | parameters | multiplications a hop "
        "| clips right | clips right at 10 dB | words missed | false accepts |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for manifest in manifests:
        metrics = manifest.metrics
        held_out = metrics["thresholds"]["reporting"]
        sizes = " and ".join(f"{size(manifest, form) / 1000:.0f}" for form in forms(manifest))
        noisy = next(row for row in metrics["noise"]["levels"] if row["snr_db"] == 10)
        lines.append(
            f"| [`{manifest.name}`]({link}{manifest.name}.md) "
            f"| {sizes} kB "
            f"| {manifest.training['parameters']:,} "
            f"| {multiplications(manifest, forms(manifest)[-1]):.2f} M "
            f"| {percent(metrics['accuracy'])} of {metrics['n']:,} | {percent(noisy['accuracy'])} "
            f"| {percent(held_out['false_reject_rate'])} of {held_out['words']:,} "
            f"| {held_out['false_accepts']} in {held_out['hours']:.2f} h |"
        )
    return "\n".join(lines)


def multiplications(manifest: ModelManifest, form: str) -> float:
    """Return the millions of multiplications of one call of a form."""
    part = getattr(manifest, form)
    content = (manifest.path.parent / part.file).read_bytes()
    return file_cost(content, where=part.file).macs / 1e6


def card(manifest: ModelManifest) -> str:
    """Return the model card."""
    parts = [
        f"# `{manifest.name}`, version {manifest.version}\n\n{manifest.description}.",
        "Written by `make_cards.py` from the manifest and the files; "
        "[README.md](README.md) has the commands behind the figures.",
        "## What it is for\n\n" + purpose(manifest),
        "## What it is\n\n" + facts(manifest),
        "## Clips\n\n" + clips(manifest),
        "## Long audio\n\n" + long_audio(manifest),
        "## What it learned from\n\n" + learned(manifest),
        "## What it does not do\n\n" + limits(),
    ]
    return "\n\n".join(parts) + "\n"


def purpose(manifest: ModelManifest) -> str:
    words = ", ".join(manifest.keywords)
    return (
        f"It hears {len(manifest.keywords)} English command words ({words}) in a second of audio "
        "at 16 kHz, said by themselves, on the device itself. `_unknown_` is any other speech, "
        "also a sentence in which a keyword occurs; `_silence_` is everything that is no speech.\n"
        "It is not for safety: it misses words and sometimes fires at none."
    )


def facts(manifest: ModelManifest) -> str:
    training, metrics = manifest.training, manifest.metrics
    rows = [
        ("network", f"`{training['recipe']['model']['name']}`, int8 weights and activations"),
        ("parameters", f"{training['parameters']:,}"),
        ("input", f"{manifest.window.window_frames} frames of {manifest.frontend.n_mels} bands"),
        ("licence", manifest.licence),
        ("made", f"{training['date']}, TensorFlow {training['versions']['tensorflow']}"),
        ("recipe", f"`{training['recipe']['name']}`, seed {training['seed']}"),
        ("float and int8 give the same label", f"on {percent(metrics['same_label_as_float'])}"),
    ]
    for form in forms(manifest):
        part = getattr(manifest, form)
        rows.append(
            (
                f"{form} form",
                f"{size(manifest, form):,} bytes, {multiplications(manifest, form):.2f} M "
                f"multiplications, SHA-256 `{part.sha256[:16]}…`",
            )
        )
    return "| | |\n|---|---|\n" + "\n".join(f"| {name} | {value} |" for name, value in rows)


def clips(manifest: ModelManifest) -> str:
    metrics = manifest.metrics
    noise = metrics["noise"]
    lines = [
        f"{percent(metrics['accuracy'])} of {metrics['n']:,} clips of the {metrics['split']} split "
        f"({metrics['data']}); {percent(metrics['accuracy_float'])} before quantization.",
        "",
        f"Over noise of kinds that training never heard ({unheard(manifest)}):",
        "",
        "| level of the word over the noise | clips right |",
        "|---|---|",
    ]
    for row in noise["levels"]:
        level = "clean" if row["snr_db"] is None else f"{row['snr_db']:g} dB"
        lines.append(f"| {level} | {percent(row['accuracy'])} |")
    lines += ["", "| label | precision | recall | F1 | clips |", "|---|---|---|---|---|"]
    for label, row in metrics["per_label"].items():
        shares = (percent(row[name]) for name in ("precision", "recall", "f1"))
        lines.append(f"| {label} | {' | '.join(shares)} | {row['n']} |")
    return "\n".join(lines)


def unheard(manifest: ModelManifest) -> str:
    """Return the noise that the figures are of, once it is sure that training held it out."""
    sources = manifest.metrics["noise"]["sources"]
    kinds = [source.split(" of ")[-1] for source in sources]
    known = set(kinds) - set(manifest.training["recipe"]["data"]["held_out_noise"])
    if known:
        raise SystemExit(
            f"{manifest.path}: metrics.noise: expected kinds of data.held_out_noise alone, got "
            f"{', '.join(sorted(known))} too; kws-eval report --noise FOLDER... --write"
        )
    return ", ".join(sources)


def long_audio(manifest: ModelManifest) -> str:
    decision, tuned = manifest.decision, manifest.metrics["thresholds"]
    report = tuned["reporting"]
    lines = [
        f"Thresholds for {tuned['fa_per_hour']:g} false accepts an hour of all keywords together, "
        f"with smoothing over {decision.smoothing_ms} ms and a weight of "
        f"{max(decision.context_weights.values(), default=0):g} for speech before a word. Tuned on "
        "one half of the speakers and reported on the other, each way:",
        "",
        f"* missed: {report['missed']} of {report['words']:,} words over noise of unheard kinds at "
        f"10 dB, {percent(report['false_reject_rate'])} "
        f"({interval(report['false_reject_interval_95'], 100)}),",
        f"* false accepts: {report['false_accepts']} in {report['hours']:.2f} h of read speech and "
        f"noise, {report['false_accepts_per_hour']:.2f} an hour "
        f"({interval(report['false_accepts_interval_95'], digits=2)}),",
        f"* fired where another word or noise was: {report['other_firings_beside_words']} times "
        f"beside those {report['words']:,} words,",
        f"* after the end of the word: a median of {report['latency_s']['median']:.2f} s, "
        f"19 of 20 within {report['latency_s']['p95']:.2f} s.",
        "",
        "In brackets 95 % intervals. The thresholds in the manifest are tuned on both halves.",
        "",
        "| keyword | threshold | missed | false accepts |",
        "|---|---|---|---|",
    ]
    for keyword in manifest.keywords:
        row = report["per_keyword"][keyword]
        threshold = decision.thresholds.get(keyword, decision.default_threshold)
        missed = f"{row['missed']} of {row['words']}"
        lines.append(f"| {keyword} | {threshold:.3f} | {missed} | {row['false_accepts']} |")
    streams = manifest.metrics.get("stream", {})
    if streams:
        lines += ["", "With these thresholds on other streams, whose words tuning knew:", ""]
        lines += ["| stream | words heard | false accepts | hours |", "|---|---|---|---|"]
    for name, row in streams.items():
        heard = f"{row['hits']} of {row['events']}"
        lines.append(f"| {name} | {heard} | {row['false_accepts']} | {row['hours']:.2f} |")
    return "\n".join(lines)


def learned(manifest: ModelManifest) -> str:
    return (
        "\n".join(f"* {line}" for line in manifest.attribution)
        + "\n\nThe validation split chose the recipe and dev-clean of LibriSpeech the thresholds; "
        "no testing split was used. [docs/training.md](../docs/training.md) has every step."
    )


def limits() -> str:
    return (
        "* Children, accents other than those of Speech Commands' volunteers (mostly North "
        "American), whispering and shouting are rare in what it learned from.\n"
        '* A word that sounds like a keyword ("know") is that keyword to it.\n'
        "* It was measured over noise and beside read speech; over other people's talk at 10 dB it "
        "misses more."
    )


if __name__ == "__main__":
    sys.exit(main())
