"""`kws-eval report`: what the manifests say as a table, or a page of what is measured."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from typing import Any

from kws import models
from kws.cli import program
from kws.errors import ConfigError
from kws.files import write_atomically
from kws.manifest import ModelManifest, write_manifest
from training.cli.terminal import command_line, progress_bar
from training.evaluation.noisy_clips import held_out_noise
from training.report import model_table, page
from training.report.clips import ClipPlan
from training.report.collect import ReportPlan, collect
from training.report.models import open_subjects
from training.report.sections import sections
from training.report.streams import check_roles, parse_folder


def report(arguments: argparse.Namespace) -> int:
    """Compare models, by their manifests alone or by measuring them."""
    names = arguments.models or models.names()
    measured = arguments.data or arguments.streams or arguments.bench or arguments.run_bench
    into_file = arguments.out is not None and arguments.out.suffix == ".md"
    for option in ("split", "noise", "environment", "write"):
        if getattr(arguments, option) and not arguments.data:
            raise ConfigError(f"--{option}: expected --data DIR beside it")
    if not measured and (arguments.out is None or into_file):
        return _manifests(names, arguments)
    plan = _plan(arguments)
    if arguments.out is not None and not into_file:
        _prepare(arguments)
    subjects = open_subjects(names, runtime=arguments.runtime, kernels=arguments.kernels)
    made = collect(subjects, plan, command=command_line(), progress=progress_bar)
    if arguments.write:
        for subject, row in zip(subjects, made["models"]):
            _record_noise(subject.manifest, row["noise"], made)
    found = sections(made)
    if into_file:
        text = page.markdown(made, found)
        write_atomically(arguments.out, text)
    elif arguments.out is not None:
        written = page.write(made, found, arguments.out)
        if not arguments.json:
            print("\n".join(str(path) for path in written))
    if arguments.json:
        program.print_json(made)
    elif arguments.out is None:
        print(page.markdown_table(found[0].tables[0]))
    return 0


def _record_noise(manifest: ModelManifest, rows: list[Any], made: dict[str, Any]) -> None:
    """Put the accuracies over noise into a manifest, with what made them."""
    names = ("snr_db", "n", "accuracy", "keyword_recall")
    noise = {
        "split": made["data"]["split"],
        "seed": made["data"]["seed"],
        "sources": made["data"]["noise"],
        "levels": [{name: row[name] for name in names} for row in rows],
        "command": made["command"],
    }
    write_manifest(replace(manifest, metrics={**manifest.metrics, "noise": noise}), manifest.path)


def _manifests(names: list[str], arguments: argparse.Namespace) -> int:
    """Write what the manifests say."""
    manifests = [models.load(name) for name in names]
    if arguments.json:
        text = json.dumps({"models": [model_table.row(manifest) for manifest in manifests]})
    else:
        text = model_table.markdown(manifests)
    if arguments.out:
        write_atomically(arguments.out, text + "\n")
    else:
        print(text)
    return 0


def _plan(arguments: argparse.Namespace) -> ReportPlan:
    """Return what to measure; everything that is named is looked at before anything is run."""
    streams = tuple(parse_folder(text) for text in arguments.streams)
    check_roles(streams)
    clips = None
    if arguments.data is not None:
        # Noise that training has heard would tell nothing.
        split = "testing" if arguments.split == "testing" else "validation"
        noise = held_out_noise(
            arguments.data, split, environment=arguments.environment, folders=arguments.noise
        )
        clips = ClipPlan(arguments.data, arguments.split, arguments.seed, noise)
    return ReportPlan(clips, streams, tuple(arguments.bench), arguments.run_bench)


def _prepare(arguments: argparse.Namespace) -> None:
    """Make the folder of the page before minutes go into what it is to hold."""
    try:
        arguments.out.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise ConfigError(
            f"--out {arguments.out}: expected a folder, or a file that ends in .md"
        ) from error
