"""`kws-bench` and `kws-models`: what they report, on the real demo recording."""

import contextlib
import io
import json
import shlex

import pytest

from kws.bench import report as bench_report
from kws.cli import bench, models
from kws.models import load


def run_json(*arguments):
    """Run `kws-bench --json` and return its report."""
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = bench.main([*arguments, "--json"])

    assert 0 == code
    return json.loads(output.getvalue())


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    """A short measurement with --out: its arguments, report and folder."""
    folder = tmp_path_factory.mktemp("single") / "new" / "out"
    arguments = ["--seconds", "5", "--repeats", "2", "--mode", "window", "--out", str(folder)]
    return arguments, run_json(*arguments), folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory, default_manifest):
    """A short comparison of stream and window with --out, likewise."""
    folder = tmp_path_factory.mktemp("pair")
    first = "window" if default_manifest.stream is None else "stream"
    arguments = ["--seconds", "4", "--repeats", "3", "--out", str(folder)]
    arguments += ["--compare", f"default:{first}", "window"]
    return arguments, run_json(*arguments), folder


def test_report_has_every_figure_of_the_design(single):
    """
    JSON carries the keys that evaluation reads, with sane values.
    """
    _, report, _ = single

    assert ("default", "window", 100, False) == tuple(
        report[key] for key in ("model", "mode", "hop_ms", "paced")
    )
    assert (2, 20, 40) == tuple(report[key] for key in ("rounds", "warm_up_hops", "hops"))
    for key in ("invoke_us", "hop_us"):
        row = report[key]
        assert 0 < row["p50"] <= row["p95"] <= row["p99"] <= row["max"]
    assert report["invoke_us"]["mean"] < report["hop_us"]["model"]
    assert all(report["hop_us"][name] > 0 for name in ("front_end", "model", "decision"))
    assert report["hop_us"]["overhead"] >= 0
    assert 0 < report["cpu_s_per_audio_s"] < 1
    assert 10 < report["rss_mb"] < 500
    assert 0 < report["cold_start_s"] < 60
    assert report["rss_baseline_mb"] < report["rss_mb"]
    assert 0 < report["cold_start_baseline_s"] < 60
    assert {"cpu", "architecture", "governor", "python", "numpy"} <= set(report["machine"])
    assert {"temperature_c", "mhz", "load_1min", "throttling"} <= set(report["machine"]["before"])
    assert set(report["machine"]["before"]) == set(report["machine"]["after"])


def test_paced_report_stands_beside_back_to_back():
    """
    A paced run also reports back-to-back figures.
    """
    report = run_json("--seconds", "3.6", "--paced")

    assert (True, 1, 6) == tuple(report[key] for key in ("paced", "rounds", "hops"))
    assert 0 <= report["late_hops"] <= 6
    burst = report["back_to_back"]["cpu_s_per_audio_s"]
    assert report["cpu_s_per_audio_s"] / burst == pytest.approx(
        report["paced_over_back_to_back"], rel=0.01
    )
    assert any("only 6 hops" in warning for warning in report["warnings"])


def test_doubtful_conditions_are_named():
    """
    Reference kernels and more threads than cores give warnings.
    """
    options = ("--seconds", "4", "--repeats", "1", "--kernels", "reference", "--threads", "64")

    warnings = " ".join(run_json(*options)["warnings"])

    assert "reference kernels" in warnings
    assert "64 threads on" in warnings


def test_comparison_gives_ratios_of_the_two(pair, default_manifest):
    """
    Two sides with all their figures, and A over B with its spread over the rounds.
    """
    _, report, _ = pair

    assert 3 == report["rounds"]
    forms = [default_manifest.stream or default_manifest.window, default_manifest.window]
    assert [form.sha256[:16] for form in forms] == [report[side]["sha256"] for side in "ab"]
    assert {"cpu_s_per_audio_s", "hop_us_p50", "invoke_us_p50", "rss_mb", "cold_start_s"} == set(
        report["ratios"]
    )
    for ratio in report["ratios"].values():
        order = [ratio[name] for name in ("min", "q1", "median", "q3", "max")]
        assert sorted(order) == order
    for side in ("a", "b"):
        assert {"hop_us", "invoke_us", "rss_over_baseline_mb", "label"} <= set(report[side])


@pytest.mark.parametrize("mode", ["auto", "stream"])
@pytest.mark.slow
def test_a_model_is_measured_at_the_hop_of_its_stream_form(eight_frame_model, mode):
    """
    Without --hop-ms a model of 80 ms streams, and its hops are counted and doubted as such.
    """
    options = ["--model", str(eight_frame_model), "--mode", mode]

    report = run_json("--seconds", "4", "--repeats", "1", *options)

    assert ("stream", 80, 17) == tuple(report[key] for key in ("mode", "hop_ms", "hops"))


@pytest.mark.slow
def test_two_hops_are_compared_by_the_second_of_audio(eight_frame_model, capsys):
    """
    Models of 100 and of 80 ms run each at its own hop, shown with its count; a warning says that
    figures per hop do not compare.
    """
    options = ["--seconds", "4", "--repeats", "3", "--compare", "default", str(eight_frame_model)]
    assert 0 == bench.main([*options, "--json"])
    report = json.loads(capsys.readouterr().out)
    text = "\n".join(bench_report.lines(report))

    sides = [report["a"], report["b"]]
    assert [("stream", 100, 30), ("stream", 80, 51)] == [
        tuple(side[key] for key in ("mode", "hop_ms", "hops")) for side in sides
    ]
    assert "a hop every 100 ms, 30 hops (A), and every 80 ms, 51 hops (B); a window" in text
    assert "warning                 hops of 100 ms (A) and 80 ms (B)" in text


def test_two_models_with_one_hop_have_no_warning(pair, capsys):
    """
    If both run at one hop, it is shown once and there is no such warning.
    """
    _, report, _ = pair
    text = "\n".join(bench_report.lines(report))

    assert f"a hop every 100 ms, {report['hops']} hops; a window and" in text
    assert "(A)" not in text
    assert not any("hops of" in warning for warning in report["warnings"])


@pytest.mark.parametrize("measured", ["single", "pair"])
def test_folder_holds_report_and_figures(measured, request):
    """
    --out writes a page with figures, histogram, warnings, machine and command, and the JSON that
    --json prints; nothing else.
    """
    arguments, report, folder = request.getfixturevalue(measured)

    assert ["bench.json", "report.md"] == sorted(path.name for path in folder.iterdir())
    assert report == json.loads((folder / "bench.json").read_text(encoding="utf-8"))
    assert shlex.join(["kws-bench", *arguments, "--json"]) == report["command"]
    page = (folder / "report.md").read_text(encoding="utf-8")
    for words in (
        report["command"],
        "whole hop",
        "## Histogram",
        "| architecture |",
        "## Warnings",
    ):
        assert words in page
    assert all(f"- {warning}" in page for warning in report["warnings"])
    counts = [row for name, row in report["histogram_us"].items() if name != "edges"]
    assert all(f"{name}" in page for name in report["histogram_us"] if name != "edges")
    assert report["hops"] == sum(counts[0])


def test_text_tells_what_the_json_tells(capsys):
    """
    Without --json the figures, what ran, the floor and the machine come as lines.
    """
    assert 0 == bench.main(["--seconds", "4", "--repeats", "1", "--mode", "window"])

    output = capsys.readouterr().out
    for words in (
        "default (window form,",
        "20 hops of warm-up",
        "whole hop",
        "invoke alone",
        "front end",
        "smoothing and decision",
        "overhead",
        "over the baseline of",
        "see --paced",
        "warning                 only 10 hops",
    ):
        assert words in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seconds", "1"], "--seconds 1: expected at least 3.1"),
        (["--seconds", "-3"], "--seconds: expected above 0 and up to 3600, got -3"),
        (["--seconds", "nan"], "--seconds: expected above 0 and up to 3600, got nan"),
        (["--seconds", "1e9"], "expected above 0 and up to 3600"),
        (["--threads", "0"], "--threads: expected 1 to 256, got 0"),
        (["--threads", "5000"], "--threads: expected 1 to 256, got 5000"),
        (["--repeats", "0"], "--repeats: expected 1 to 100, got 0"),
        (
            ["--repeats", "2", "--compare", "window", "window"],
            "--repeats of --compare: expected 3 to 100, got 2",
        ),
        (["--compare", "window", "default:fast"], "expected one of auto, stream, window"),
        (["--compare", "window", "no-such-model"], "model 'no-such-model': expected one of"),
        (["--out", f"{__file__}/x"], "expected a folder that can be written"),
    ],
)
def test_nonsense_is_one_line(arguments, message, capsys):
    """
    Each wrong value is an error in one line, before anything is measured.
    """
    assert 1 == bench.main(arguments)

    output = capsys.readouterr()
    assert "" == output.out
    assert 1 == output.err.count("\n")
    assert message in output.err


@pytest.mark.parametrize("arguments", [["--mode", "fast"], ["--compare", "window"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    """
    An unknown mode, or a comparison with nothing, is wrong usage.
    """
    with pytest.raises(SystemExit) as stop:
        bench.main(arguments)

    assert 2 == stop.value.code


def test_models_lists_and_verifies(capsys):
    """
    The shipped models are listed with their words, and pass their own verification.
    """
    assert 0 == models.main(["--json"])
    listed = json.loads(capsys.readouterr().out)["models"]
    assert 0 == models.main(["verify", "--json"])
    verified = json.loads(capsys.readouterr().out)["models"]

    assert "default" == listed[0]["name"]
    assert "stop" in listed[0]["keywords"]
    names = ("default", "large", "tiny")
    assert [{"model": name, "ok": True, "problem": None} for name in names] == verified


def test_verify_fails_on_a_broken_model(tmp_path, capsys):
    """
    A model that cannot be loaded makes `verify` exit with 1 and print the reason.
    """
    path = tmp_path / "x.json"
    path.write_text("{}")

    assert 1 == models.main(["verify", str(path)])
    assert "schema_version" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["default"])
def test_info_says_where_and_what(name, capsys):
    """
    `info` prints the manifest's path, labels, thresholds, context, the figures on held-out
    speakers, and data sources.
    """
    assert 0 == models.main(["info", name])

    output = capsys.readouterr().out
    assert f"{name}.json" in output
    assert "_silence_" in output
    assert "2000 ms of speech context" in output
    decision = load(name).decision
    for word in ("yes", "go"):
        weight = f"{decision.context_weights[word]:g}"
        assert f"{word:<10} {decision.threshold(word):.3f}, context {weight}\n" in output
    quiet = load(name).metrics["thresholds"]["reporting"]["conditions"]["quiet"]
    assert f"tuned      quiet: {100 * quiet['missed']:.1f} % missed" in output
    assert "Speech Commands" in output
