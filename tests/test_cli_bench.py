"""`kws-bench` and `kws-models`: what they report, on the real demo recording."""

import json

import pytest

from kws.cli import bench, models


def test_report_has_every_figure_of_the_design(capsys):
    """
    JSON carries the keys that evaluation reads, with sane values.
    """
    code = bench.main(["--seconds", "5", "--json"])

    report = json.loads(capsys.readouterr().out)
    assert 0 == code
    assert ("default", "window", 100, False) == tuple(
        report[key] for key in ("model", "mode", "hop_ms", "paced")
    )
    for key in ("invoke_us", "hop_us"):
        row = report[key]
        assert 0 < row["p50"] <= row["p95"] <= row["p99"] <= row["max"]
    parts = report["hop_us"]["front_end"] + report["hop_us"]["model"] + report["hop_us"]["decision"]
    assert 0 < parts
    assert report["invoke_us"]["mean"] < report["hop_us"]["model"]
    assert 0 < report["cpu_s_per_audio_s"] < 1
    assert 10 < report["rss_mb"] < 500
    assert 0 < report["cold_start_s"] < 60
    assert {"cpu", "architecture", "governor", "python", "numpy"} <= set(report["machine"])


def test_doubtful_conditions_are_named(capsys):
    """
    Reference kernels and more threads than cores are said, not hidden.
    """
    bench.main(["--seconds", "4", "--kernels", "reference", "--threads", "64", "--json"])

    doubts = " ".join(json.loads(capsys.readouterr().out)["doubts"])
    assert "reference kernels" in doubts
    assert "64 threads on" in doubts


def test_too_little_audio_is_one_line(capsys):
    """
    Less audio than the warm-up needs is an error, not a division by zero.
    """
    assert 1 == bench.main(["--seconds", "1"])
    assert "expected at least" in capsys.readouterr().err


def test_models_lists_and_verifies(capsys):
    """
    The shipped model is listed with its words, and passes its own verification.
    """
    assert 0 == models.main(["--json"])
    listed = json.loads(capsys.readouterr().out)["models"]
    assert 0 == models.main(["verify", "--json"])
    verified = json.loads(capsys.readouterr().out)["models"]

    assert "default" == listed[0]["name"]
    assert "stop" in listed[0]["keywords"]
    assert [{"model": "default", "ok": True, "problem": None}] == verified


def test_verify_fails_on_a_broken_model(tmp_path, capsys):
    """
    A model that cannot be loaded makes `verify` exit with 1 and say why.
    """
    path = tmp_path / "x.json"
    path.write_text("{}")

    assert 1 == models.main(["verify", str(path)])
    assert "schema_version" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["default"])
def test_info_says_where_and_what(name, capsys):
    """
    `info` prints the manifest's place, labels and data sources.
    """
    assert 0 == models.main(["info", name])

    output = capsys.readouterr().out
    assert f"{name}.json" in output
    assert "_silence_" in output
    assert "Speech Commands" in output
