"""`kws-models`: list, describe and verify models."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from kws import models
from kws.cli import program
from kws.errors import KwsError
from kws.files import one_line
from kws.inference.select import default_hop_ms
from kws.manifest import ModelManifest, to_table
from kws.spotter import KeywordSpotter

EXAMPLES = """\
  kws-models list                the shipped models
  kws-models info default        its manifest
  kws-models verify              check files, shapes and a run of each
  kws-models verify my/word.json
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with `argv` (default: the process' own) and return its exit code."""
    return program.run(_dispatch, _parser(), argv)


def _parser() -> argparse.ArgumentParser:
    made = program.parser("kws-models", "List, describe and verify models.", examples=EXAMPLES)
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")
    commands = made.add_subparsers(dest="command", metavar="COMMAND")
    _add_command(commands, "list", "the shipped models")
    info = _add_command(commands, "info", "show a manifest")
    info.add_argument("model", metavar="NAME|PATH")
    verify = _add_command(commands, "verify", "check files, shapes and a run")
    verify.add_argument("models", nargs="*", metavar="NAME|PATH", help="default: all shipped")
    return made


def _add_command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    made = program.add_command(commands, name, text=text, examples=EXAMPLES)
    made.add_argument(
        "--json", action="store_true", default=argparse.SUPPRESS, help="JSON on stdout"
    )
    return made


def _dispatch(arguments: argparse.Namespace) -> int:
    if arguments.command == "info":
        return _info(arguments.model, as_json=arguments.json)
    if arguments.command == "verify":
        return _verify(arguments.models or models.names(), as_json=arguments.json)
    return _list(as_json=arguments.json)


def _list(*, as_json: bool) -> int:
    found = [models.load(name) for name in models.names()]
    if as_json:
        program.print_json({"models": [_row(manifest) for manifest in found]})
        return 0
    for manifest in found:
        row = _row(manifest)
        accuracy = "" if row["accuracy"] is None else f"  {100 * row['accuracy']:.1f} %"
        print(f"{row['name']:<12} {row['bytes'] / 1000:5.0f} kB{accuracy}  {row['description']}")
        print(f"{'':<12} {', '.join(row['keywords'])}")
    return 0


def _row(manifest: ModelManifest) -> dict[str, Any]:
    return {
        "name": manifest.name,
        "version": manifest.version,
        "description": manifest.description,
        "keywords": list(manifest.keywords),
        "bytes": (manifest.path.parent / manifest.window.file).stat().st_size,
        "accuracy": manifest.metrics.get("accuracy"),
        "manifest": str(manifest.path),
    }


def _info(name: str, *, as_json: bool) -> int:
    manifest = models.load(name)
    if as_json:
        program.print_json({**to_table(manifest), "manifest": str(manifest.path)})
        return 0
    print(f"{manifest.name} {manifest.version}: {manifest.description}")
    print(f"manifest   {manifest.path}")
    print(f"labels     {', '.join(manifest.labels)}")
    frontend = manifest.frontend
    bands = ""
    if frontend.kind != "waveform":
        times = f"{frontend.frame_length_ms:g}/{frontend.frame_step_ms:g} ms"
        bands = f", {frontend.n_bands} bands, {times}"
    print(f"front end  {frontend.kind}, {frontend.sample_rate} Hz{bands}")
    frames = "samples" if frontend.kind == "waveform" else "frames"
    print(f"window     {manifest.window.file}, {manifest.window.window_frames} {frames}")
    print(f"           sha256 {manifest.window.sha256}")
    stream = "no stream form"
    if manifest.stream:
        step_ms = frontend.duration_ms(manifest.stream.hop_frames)
        stream = (
            f"{manifest.stream.file}, steps of {step_ms:g} ms, {len(manifest.stream.states)} states"
        )
    print(f"stream     {stream}")
    if manifest.stream:
        print(f"           sha256 {manifest.stream.sha256}")
    decision = manifest.decision
    print(f"decision   {decision.smoothing_ms} ms smoothing, {decision.suppression_ms} ms quiet")
    weights = decision.context_weights
    if any(weights.values()):
        print(f"           {decision.context_ms} ms of speech context")
    for keyword in manifest.keywords:
        weighed = f", context {weights[keyword]:g}" if weights.get(keyword) else ""
        print(f"           {keyword:<10} {decision.threshold(keyword):.3f}{weighed}")
    for lines in (_accuracy, _tuning, _training):
        # The form of these parts is not fixed: what another tool wrote is left out.
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            for text in lines(manifest):
                print(one_line(text))
    print(f"licence    {manifest.licence}")
    for source in manifest.attribution:
        print(f"data       {source}")
    return 0


def _accuracy(manifest: ModelManifest) -> list[str]:
    metrics = manifest.metrics
    share = f"{100 * metrics['accuracy']:.2f} %"
    return [f"accuracy   {share} ({metrics['data']}, {metrics['split']})"]


def _tuning(manifest: ModelManifest) -> list[str]:
    reported = manifest.metrics["thresholds"]["reporting"]
    lines: list[str] = []
    for name, row in reported["conditions"].items():
        figures = []
        if row["events"]:
            figures.append(f"{100 * row['missed']:.1f} % missed")
        if row["fired"] is not None:
            figures.append(f"{100 * row['fired']:.1f} % of other words fire")
        if row["events"] or row["fired"] is None:
            figures.append(f"{row['false_alarms_per_hour']:.2f} false alarms an hour")
        lines.append(f"{'' if lines else 'tuned':<10} {name}: {', '.join(figures)}")
    return lines


def _training(manifest: ModelManifest) -> list[str]:
    training = manifest.training
    name = training["recipe"]["name"]
    parameters, date = training.get("parameters", "?"), training.get("date", "?")
    return [f"trained    recipe {name}, {parameters} parameters, {date}"]


def _verify(names: Sequence[str], *, as_json: bool) -> int:
    """Open and run each model in both forms; return 1 if one fails."""
    results: list[dict[str, Any]] = []
    for name in names:
        try:
            problem = _problem(models.load(name))
        except KwsError as error:
            problem = str(error)
        results.append({"model": name, "ok": problem is None, "problem": problem})
    if as_json:
        program.print_json({"models": results})
    else:
        for result in results:
            print(f"{result['model']}: {result['problem'] or 'ok'}")
    return 0 if all(result["ok"] for result in results) else program.EXIT_ERROR


def _problem(manifest: ModelManifest) -> str | None:
    """Return the problem of a model that can be opened, or None."""
    posteriors: dict[str, list[bytes]] = {}
    for mode in ("window", "stream") if manifest.stream else ("window",):
        spotter = KeywordSpotter.from_model(
            manifest.path,
            mode=mode,
            hop_ms=default_hop_ms(manifest),
            kernels="reference",
        )
        # Noise, so that windows differ: with silence, wrong states would go unnoticed.
        noise = np.random.default_rng(0).normal(0, 300, spotter.sample_rate).astype(np.int16)
        found = spotter.process(np.zeros(2 * spotter.sample_rate, dtype=np.int16))
        if found:
            return f"fires {found[0].keyword} on silence"
        kept = posteriors[mode] = []
        spotter.on_posterior = lambda _, posterior, __, kept=kept: kept.append(posterior.tobytes())
        spotter.process(noise)
    if posteriors["window"] != posteriors.get("stream", posteriors["window"]):
        return "the stream form gives other posteriors than the window form; export it again"
    return None


if __name__ == "__main__":
    sys.exit(main())
