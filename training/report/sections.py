"""The sections of a report in order, each with its text, pictures and tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from training.report import plots, tables
from training.report.plots import Picture
from training.report.tables import Table

Report = dict[str, Any]


@dataclass(frozen=True)
class Section:
    """A part of the report."""

    name: str
    title: str
    text: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()


def sections(report: Report) -> list[Section]:
    """Return all sections; one without figures names the option that adds them."""
    return [
        _headline(report),
        *_clips(report),
        _noise(report),
        _conditions(report),
        _streams(report),
        _latency(report),
        _published(report),
        _provenance(report),
    ]


def describe_clips(report: Report) -> str:
    """Return in words which clips were measured."""
    data = report["data"]
    if data["clips"] is None:
        return "No clips were measured for this report."
    if data["split"] is None:
        return f"Clips: all of {data['clips']}."
    return (
        f"Clips: the {data['split']} split of {data['clips']}, seed {data['seed']}; as many "
        "unknown words and silences as a keyword has clips on average."
    )


def _headline(report: Report) -> Section:
    text = [describe_clips(report)]
    if report["data"]["clips"]:
        text.append("Intervals of accuracies and missed words are Wilson's, 95 %.")
    if report["data"]["streams"]:
        text.append(
            "Long audio: at the thresholds of each manifest, with exact Poisson intervals of false "
            "alarms."
        )
    text.append("Parameters: the weights and biases in the file.")
    notes = {model["macs"]["note"] for model in report["models"]} - {None}
    text += [f"Multiplications: {note}." for note in sorted(notes)]
    table = tables.headline(report["models"])
    return Section("headline", "At a glance", (" ".join(text),), tables=(table,))


def _clips(report: Report) -> list[Section]:
    names = {"labels": "Labels", "confusion": "Confusion", "reliability": "Reliability"}
    if not report["data"]["clips"]:
        return [_not_measured(name, title, "--data") for name, title in names.items()]
    models = report["models"]
    calibration = (
        "Accuracy by confidence: above the dashed line a model is more often right than its "
        "confidence suggests. The expected calibration error is the mean distance from that line "
        "in ten bins of equal width, weighted by clips (Guo et al. 2017)."
    )
    return [
        Section("labels", "Labels", tables=tuple(tables.per_label(model) for model in models)),
        Section(
            "confusion",
            "Confusion",
            ("Rows: the spoken word. Columns: the prediction.",),
            tuple(plots.confusion(model) for model in models),
        ),
        Section(
            "reliability",
            "Reliability",
            (calibration,),
            tuple(plots.reliability(model, index) for index, model in enumerate(models)),
        ),
    ]


def _noise(report: Report) -> Section:
    title = "In noise"
    if not report["data"]["clips"]:
        return _not_measured("noise", title, "--data")
    models = [model for model in report["models"] if len(model["noise"]) > 1]
    if not models:
        text = "Not measured: there is no noise, or there are no words; --noise adds recordings."
        return Section("noise", title, (text,))
    text = (
        "The same clips over noise that is held out of training: "
        f"{'; '.join(report['data']['noise'])}. The level is that of the loudest 300 ms of a clip "
        "over the RMS of the noise in the window. A clip has the same noise at every level and for "
        f"every model with these labels (seed {report['data']['seed']}). Silence is mixed with "
        "noise in the same way. Bars are 95 % Wilson intervals."
    )
    return Section("noise", title, (text,), (plots.noise(models),), (tables.noise(models),))


def _conditions(report: Report) -> Section:
    title = "In the conditions of a home"
    models = [model for model in report["models"] if model["conditions"]]
    if not models:
        return _not_measured("conditions", title, "--conditions")
    text = (
        "Test audio of kws-eval make-conditions, at the thresholds of each manifest, with 95 % "
        "intervals. Missed: keywords without a detection up to a second after them. Fired: other "
        "words at which a keyword was detected. Half b shares no speaker and no recording with "
        "half a, on which thresholds may have been chosen."
    )
    notes = [
        f"{model['title']}: half {model['conditions']['half']}, by {model['conditions']['command']}"
        for model in models
    ]
    picture, table = plots.conditions(models), tables.conditions(models)
    return Section("conditions", title, (text, *notes), (picture,), (table,))


def _streams(report: Report) -> Section:
    title, models = "Long audio", report["models"]
    if not report["data"]["streams"]:
        return _not_measured("streams", title, "--streams")
    roles = {
        role: ", ".join(item["folder"] for item in report["data"]["streams"] if item[role])
        for role in ("misses", "accepts")
    }
    text = (
        f"Missed words are counted on {roles['misses']}, false alarms on {roles['accepts']}. A "
        "word is detected if its keyword fires between its start and one second after its end. "
        "Every other detection is a false alarm, and so is a second detection of the same word."
    )
    return Section(
        "streams", title, (text,), (plots.streams(models),), tuple(tables.streams(models))
    )


def _latency(report: Report) -> Section:
    title = "Latency and CPU"
    table = tables.latency(report["models"])
    if not table.rows:
        return _not_measured("latency", title, "--bench or --run-bench")
    warnings = [
        f"Warning, {model['title']}, {tables.FORMS[row['mode']]}: {'; '.join(row['warnings'])}."
        for model in report["models"]
        for row in model["bench"]
        if row["warnings"]
    ]
    text = "A whole hop: front end, model, smoothing and decision, measured by kws-bench."
    return Section("latency", title, (text, *warnings), tables=(table,))


def _published(report: Report) -> Section:
    models, points = report["models"], report["published"]
    drawn = [plots.against_cost(models, points, cost=cost) for cost in ("macs", "bytes")]
    text = (
        "Published figures are those of the authors on the canonical test sets, most of them in "
        "float. Those of this report are on the clips named in the legend, which are other tests: "
        "compare them with published figures only roughly. V1-12 and V2-12 are the 12-class tests "
        "of the two versions of Speech Commands; 12 words: the source does not say which."
    )
    pictures = tuple(picture for picture in drawn if picture)
    table = tables.published(points)
    return Section("published", "Beside published models", (text,), pictures, (table,))


def _provenance(report: Report) -> Section:
    machine, data = report["machine"], report["data"]
    name = ", ".join(machine[key] for key in ("board", "cpu") if machine[key]) or "unknown CPU"
    rows = [
        ("command", report["command"]),
        ("date", report["date"]),
        ("clips", describe_clips(report)),
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
        rows += [
            (f"{model['title']}, {tables.FORMS[form]}, SHA-256", checksum)
            for form, checksum in model["sha256"].items()
        ]
    table = Table(("", ""), tuple(rows))
    return Section("provenance", "How this report was made", tables=(table,))


def _not_measured(name: str, title: str, option: str) -> Section:
    return Section(name, title, (f"Not measured; {option} adds it.",))
