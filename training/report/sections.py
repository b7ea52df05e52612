"""What stands in a report, in order: each section with its words, pictures and tables."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from training.report import plots as pictures
from training.report import tables
from training.report.headline import headline
from training.report.tables import Table

Report = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[tuple[str, str], ...] = ()
    """SVG and caption of each."""

    tables: tuple[Table, ...] = ()


def sections(report: Report) -> list[Section]:
    """Return all sections; one without figures says how to get them."""
    made: list[Callable[[Report], Section]] = [
        _headline,
        _labels,
        _confusion,
        _reliability,
        _noise,
        _streams,
        _latency,
        _published,
        _provenance,
    ]
    return [make(report) for make in made]


def clips_in_words(report: Report) -> str:
    """Return which clips were scored."""
    data = report["data"]
    if data["clips"] is None:
        return "No clips were scored for this report."
    if data["split"] is None:
        return f"Clips: all of {data['clips']}."
    return (
        f"Clips: the {data['split']} split of {data['clips']}, seed {data['seed']}; unknown words "
        "and silence as many as a keyword has on average."
    )


def _headline(report: Report) -> Section:
    text = [clips_in_words(report)]
    if report["data"]["clips"]:
        text.append("Intervals of accuracies and misses are Wilson's, 95 %.")
    if report["data"]["streams"]:
        text.append(
            "Long audio at the thresholds of each manifest; the interval of false accepts is the "
            "exact Poisson one."
        )
    notes = {model["macs"]["note"] for model in report["models"]} - {None}
    text.append("Parameters are the weights and biases in the file.")
    text += [f"Multiplications: {note}." for note in sorted(notes)]
    return Section(
        "headline", "At a glance", (" ".join(text),), tables=(headline(report["models"]),)
    )


def _labels(report: Report) -> Section:
    if not report["data"]["clips"]:
        return _not_measured("labels", "Labels", "--data")
    found = tuple(tables.per_label(model) for model in report["models"])
    return Section("labels", "Labels", tables=found)


def _confusion(report: Report) -> Section:
    if not report["data"]["clips"]:
        return _not_measured("confusion", "Confusion", "--data")
    drawn = tuple(
        (pictures.confusion(model, index), model["title"])
        for index, model in enumerate(report["models"])
    )
    text = "Rows: what was spoken; columns: what the model said. Mistakes are red."
    return Section("confusion", "Confusion", (text,), drawn)


def _reliability(report: Report) -> Section:
    title = "Reliability"
    if not report["data"]["clips"]:
        return _not_measured("reliability", title, "--data")
    drawn = tuple(
        (pictures.reliability(model, index), model["title"])
        for index, model in enumerate(report["models"])
    )
    text = (
        "How often a model is right, by how sure it says it is: above the dashed line it is more "
        "often right than it says. The expected calibration error is the mean distance from that "
        "line, ten bins of equal width, weighted by clips (Guo et al. 2017)."
    )
    return Section("reliability", title, (text,), drawn, (tables.reliability(report["models"]),))


def _noise(report: Report) -> Section:
    title = "In noise"
    if not report["data"]["clips"]:
        return _not_measured("noise", title, "--data")
    models = [model for model in report["models"] if len(model["noise"]) > 1]
    if not models:
        return Section(
            "noise",
            title,
            ("Not measured: no noise was found, or no words to lay over it; --noise names some.",),
        )
    text = (
        f"The same clips over noise that is held out of training: "
        f"{'; '.join(report['data']['noise'])}. The level is that of the loudest 300 ms of a clip "
        "over the RMS of the noise in the whole window. Each clip has the same noise at every "
        f"level and for every model with these labels (seed {report['data']['seed']}). "
        "Silence is mixed with noise in the same way. Bars are 95 % Wilson intervals."
    )
    return Section(
        "noise",
        title,
        (text,),
        ((pictures.noise(models), "Accuracy against the level of the noise"),),
        (tables.noise(models),),
    )


def _streams(report: Report) -> Section:
    title = "Long audio"
    if not report["data"]["streams"]:
        return _not_measured("streams", title, "--streams")
    roles = {
        role: ", ".join(item["folder"] for item in report["data"]["streams"] if item[role])
        for role in ("misses", "accepts")
    }
    text = (
        f"Misses are counted on {roles['misses']}, false accepts on {roles['accepts']}. A word is "
        "heard if its keyword fires between its start and one second after its end; everything "
        "else that fires is a false accept, a second firing on one word too."
    )
    return Section(
        "streams",
        title,
        (text,),
        ((pictures.streams(report["models"]), "Missed words against false accepts an hour"),),
        tuple(tables.streams(report["models"])),
    )


def _latency(report: Report) -> Section:
    title = "Latency and CPU"
    table = tables.latency(report["models"])
    if not table.rows:
        return _not_measured("latency", title, "--bench or --run-bench")
    doubts = [
        f"Doubtful, {model['title']}, {row['mode']} form: {'; '.join(row['doubts'])}."
        for model in report["models"]
        for row in model["bench"]
        if row["doubts"]
    ]
    text = "A whole hop: front end, model, smoothing, decision; measured by kws-bench."
    return Section("latency", title, (text, *doubts), tables=(table,))


def _published(report: Report) -> Section:
    models, points = report["models"], report["published"]
    drawn = [
        (
            pictures.against_cost(models, points, cost="macs"),
            "Accuracy against multiplications; names where there is room, all in the table",
        ),
        (
            pictures.against_cost(models, points, cost="bytes"),
            "Accuracy against size; published: int8 files",
        ),
    ]
    text = (
        "Published figures are of the canonical test sets, as their authors measured them, most "
        "of them in float; those of this report are of the clips named in the legend. That is not "
        "the same test: compare the models of this report with each other, and with the published "
        "ones no more than roughly. V1-12 and V2-12 are the 12-class tests of the two versions of "
        "Speech Commands; 12 words: the source does not tell which."
    )
    return Section(
        "published",
        "Beside published models",
        (text,),
        tuple((svg, caption) for svg, caption in drawn if svg),
        (tables.published(points),),
    )


def _provenance(report: Report) -> Section:
    machine, data = report["machine"], report["data"]
    name = ", ".join(machine[key] for key in ("board", "cpu") if machine[key]) or "unknown CPU"
    rows = [
        ("command", report["command"]),
        ("date", report["date"]),
        ("clips", clips_in_words(report)),
        ("noise", "; ".join(data["noise"]) or "none"),
        ("long audio", ", ".join(item["folder"] for item in data["streams"]) or "none"),
        (
            "machine",
            f"{name}, {machine['architecture']}, {machine['usable_cores']} cores, "
            f"{machine['system']}",
        ),
        ("versions", ", ".join(f"{key} {value}" for key, value in report["versions"].items())),
    ]
    for model in report["models"]:
        runtime = f"{model['runtime']} {model['runtime_version']}"
        recipe = f", recipe {model['recipe']}" if model["recipe"] else ""
        rows.append((model["title"], f"version {model['version']}{recipe}, run by {runtime}"))
        for form, checksum in model["sha256"].items():
            rows.append((f"{model['title']}, SHA-256 of the {form} form", checksum))
    return Section("provenance", "What made these figures", tables=(Table(("", ""), tuple(rows)),))


def _not_measured(name: str, title: str, option: str) -> Section:
    return Section(name, title, (f"Not measured; {option} adds it.",))
