"""`kws-eval tune`: choose, report on other speakers, write into the manifest."""

from __future__ import annotations

import argparse
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

from rich.console import Console
from rich.table import Table

from kws import models
from kws.cli import program
from kws.config import MAX_CONTEXT_WEIGHT
from kws.errors import ConfigError
from kws.manifest import write_manifest
from kws.spotter import KeywordSpotter
from training.cli.terminal import check_picture, command_line, progress_bar
from training.tuning import tune_data
from training.tuning.operating_point import Setting
from training.tuning.posterior_cache import MAX_SMOOTHING_MS, default_cache
from training.tuning.threshold_rules import RuleConfig
from training.tuning.tune import TuneConfig
from training.tuning.tune_data import Material, Source
from training.tuning.tune_report import Tuned, draw_tuning, tune_and_report
from training.tuning.tune_study import study


def tune(arguments: argparse.Namespace) -> int:
    """Tune and report, or compare the rules."""
    config = _config(arguments)
    spotter = KeywordSpotter.from_model(
        arguments.model,
        hop_ms=arguments.hop_ms,
        mode=arguments.mode,
        runtime=arguments.runtime,
        kernels=arguments.kernels,
    )
    quiet = Source.of(arguments.audio, arguments.truth)
    words = None if arguments.misses is None else Source.of([arguments.misses])

    @lru_cache
    def listen(half: str | None) -> Material:
        return tune_data.listen(
            spotter,
            quiet,
            words,
            half,
            cache=arguments.cache or default_cache(),
            progress=progress_bar,
        )

    if arguments.study is not None:
        return _study(listen(None), spotter, config, arguments)
    tuned = tune_and_report(listen, spotter.manifest, config, split=arguments.split_speakers)
    shared = [*quiet.of_one_speaker(), *(words.of_one_speaker() if words else ())]
    report = _finish(tuned, spotter, arguments, shared)
    if arguments.picture:
        title = f"{spotter.manifest.name}: thresholds tuned on {arguments.split_speakers}"
        draw_tuning(report, arguments.picture, title=title)
    if not arguments.dry_run:
        report["written"] = _write(arguments.model, tuned.setting, report)
    if arguments.json:
        program.print_json(report)
    else:
        _print(report)
        path = report.get("written")
        print(f"written to {path}" if path else "nothing written: --dry-run")
    return 0


def _config(arguments: argparse.Namespace) -> TuneConfig:
    if arguments.study is not None and arguments.study < 1:
        raise ConfigError(f"--study: expected at least 1, got {arguments.study}")
    if arguments.picture:
        check_picture(arguments.picture)
    for name in ("smoothing_ms", "suppression_ms"):
        values = getattr(arguments, name) or []
        if not all(0 <= value <= 60_000 for value in values):
            raise ConfigError(f"--{name.replace('_', '-')}: expected 0 to 60000, got {values}")
    if not all(0 < value <= MAX_SMOOTHING_MS for value in arguments.smoothing_ms):
        raise ConfigError(
            f"--smoothing-ms: expected above 0 and up to {MAX_SMOOTHING_MS}, "
            f"got {arguments.smoothing_ms}"
        )
    if not all(0 <= weight <= MAX_CONTEXT_WEIGHT for weight in arguments.context_weights):
        raise ConfigError(
            f"--context-weights: expected 0 to {MAX_CONTEXT_WEIGHT}, "
            f"got {arguments.context_weights}"
        )
    return TuneConfig(
        fa_per_hour=arguments.fa_per_hour,
        smoothing_ms=tuple(arguments.smoothing_ms),
        suppression_ms=tuple(arguments.suppression_ms or ()),
        context_weights=tuple(arguments.context_weights),
        max_latency_s=arguments.max_latency_s,
        floor=arguments.floor,
        rule=RuleConfig(arguments.rule, arguments.own_share),
    )


def _finish(
    tuned: Tuned, spotter: KeywordSpotter, arguments: argparse.Namespace, shared: list[str]
) -> dict[str, Any]:
    """Return the report with what it was made of."""
    manifest = spotter.manifest
    return {
        "model": manifest.name,
        "model_sha256": manifest.window.sha256,
        "mode": spotter.model.mode,
        "hop_ms": spotter.hop_ms,
        "smoothing_ms": tuned.setting.scoring.smoothing_ms,
        "context_weights": dict(tuned.setting.scoring.weights(manifest)),
        "suppression_ms": tuned.setting.suppression_ms,
        "thresholds": dict(tuned.setting.thresholds),
        "audio": [folder.name for folder in arguments.audio],
        "misses": arguments.misses.name if arguments.misses else None,
        "heard_whole_in_both_halves": shared,
        **tuned.report,
        "command": command_line(),
    }


def _write(model: str, setting: Setting, report: dict[str, Any]) -> str:
    """Put the choice and what it rests on into the manifest, at once or not at all."""
    manifest = models.load(model)
    decision = replace(
        manifest.decision,
        smoothing_ms=setting.scoring.smoothing_ms,
        context_weights=setting.scoring.weights(manifest),
        suppression_ms=setting.suppression_ms,
        thresholds=setting.thresholds,
    )
    known = {"model", "model_sha256", "thresholds", "curve"}
    known |= {"smoothing_ms", "context_weights", "suppression_ms"}
    kept = {key: value for key, value in report.items() if key not in known}
    metrics = {**manifest.metrics, "thresholds": kept}
    # What other streams gave, they gave at the thresholds that were there.
    metrics.pop("stream", None)
    write_manifest(replace(manifest, decision=decision, metrics=metrics), manifest.path)
    return str(manifest.path)


def _print(report: dict[str, Any]) -> None:
    table = Table("keyword", "threshold", "missed", "false accepts")
    shown = report["reporting"] or report["tuning"]
    for keyword, threshold in report["thresholds"].items():
        row = shown["per_keyword"][keyword]
        missed = f"{row['missed']} of {row['words']}"
        table.add_row(keyword, f"{threshold:.3f}", missed, str(row["false_accepts"]))
    Console().print(table)
    print(
        f"smoothing {report['smoothing_ms']} ms, suppression {report['suppression_ms']} ms, "
        f"context {max(report['context_weights'].values(), default=0):g}, "
        f"for {report['fa_per_hour']:g} false accepts an hour"
    )
    for part, name in (("tuning", "tuned on"), ("reporting", "other speakers")):
        if report[part]:
            print(f"{name}: {_sentence(report[part])}")
    if not report["reporting"]:
        print("nothing was held out: on other speakers expect more")
    for folder in report["heard_whole_in_both_halves"]:
        print(f"{folder} is of one speaker: both halves heard all of it")


def _sentence(figures: dict[str, Any]) -> str:
    low, high = figures["false_accepts_interval_95"]
    text = (
        f"{figures['false_accepts']} false accepts in {figures['hours']:.2f} h = "
        f"{figures['false_accepts_per_hour']:.2f} an hour ({low:.2f} to {high:.2f})"
    )
    if figures["words"]:
        low, high = figures["false_reject_interval_95"]
        text += (
            f", {figures['missed']} of {figures['words']} words missed = "
            f"{100 * figures['false_reject_rate']:.1f} % ({100 * low:.1f} to {100 * high:.1f})"
        )
    if figures["latency_s"]["median"] is not None:
        text += f", {figures['latency_s']['median']:.2f} s after the word's end (median)"
    return text


def _study(
    material: Material,
    spotter: KeywordSpotter,
    config: TuneConfig,
    arguments: argparse.Namespace,
) -> int:
    """Compare the rules on drawn halvings."""
    rows = study(
        material,
        spotter.manifest,
        config,
        n_halvings=arguments.study,
        progress=partial(progress_bar("halvings")),
    )
    if arguments.json:
        program.print_json({"model": spotter.manifest.name, "rules": rows})
        return 0
    table = Table("rule", "tuned for", "false accepts an hour", "missed %")
    for row in rows:
        rates = (f"{row['false_accepts_per_hour']:.2f}", f"{100 * row['false_reject_rate']:.1f}")
        table.add_row(row["rule"], f"{row['fa_per_hour']:g}", *rates)
    Console().print(table)
    return 0
