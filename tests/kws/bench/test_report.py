"""Doubts, histogram and the folder of a report, from made figures."""

import copy
import json

import numpy as np
import pytest

from kws.bench import report as bench_report
from kws.bench import warnings
from kws.bench.run import histogram
from kws.errors import KwsError

STATE = {
    "temperature_c": 45.0,
    "mhz": 1500,
    "load_1min": 0.1,
    "throttling": [],
    "throttling_since_boot": [],
}
MACHINE = {
    "cpu": "Cortex-A72",
    "board": None,
    "architecture": "aarch64",
    "pointer_bits": 64,
    "cores": 4,
    "usable_cores": 4,
    "mixed_cores": False,
    "max_mhz": 1500,
    "limit_mhz": 1500,
    "governor": "performance",
    "virtual": False,
    "emulated": False,
    "extra_installed": True,
    "system": "Linux 6.6",
    "python": "3.11.2",
    "numpy": "2.0",
    "before": STATE,
    "during": {"others_cores": 0.0, "steal": 0.0, "involuntary_switches_per_s": 2.0},
    "after": dict(STATE),
}
FIGURES = {
    "hop_ms": 100,
    "hops": 500,
    "hop_us": {"mean": 400.0, "p50": 400.0, "p99": 900.0},
    "p50_by_part_us": [395.0, 400.0, 405.0],
    "late_hops": 0,
    "latest_ms": 0.4,
}
SUBJECT = {"kernels": "default", "threads": 1, "runtime": "ai-edge-litert"}


def changed(table, **changes):
    """Return a copy with values replaced; ``before__mhz=1`` reaches into a table within."""
    made = copy.deepcopy(table)
    for path, value in changes.items():
        *outer, last = path.split("__")
        inner = made
        for name in outer:
            inner = inner[name]
        inner[last] = value
    return made


def test_a_quiet_board_raises_no_warning():
    """
    Where all is well nothing is named.
    """
    assert [] == warnings.of_model(SUBJECT, MACHINE)
    assert [] == warnings.of_machine(MACHINE, paced=False)
    assert [] == warnings.of_figures(FIGURES)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"governor": "ondemand"}, "CPU governor ondemand"),
        ({"emulated": True, "virtual": True}, "emulated by QEMU"),
        ({"virtual": True}, "virtual machine"),
        ({"mixed_cores": True}, "cores of several kinds"),
        ({"limit_mhz": 1000}, "clock limited to 1000 of 1500 MHz"),
        ({"after__mhz": 600}, "clock at 600 of 1500 MHz"),
        ({"before__load_1min": 3.0}, "load 3.0 on 4 cores"),
        ({"during__others_cores": 0.9}, "other processes used 0.9 cores"),
        ({"during__steal": 0.05}, "gave 5.0% of the time"),
        ({"during__involuntary_switches_per_s": 90.0}, "preempted 90 times"),
        ({"extra_installed": False}, "pip install '.[bench]'"),
        ({"after__temperature_c": 81.5}, "hot: 81.5 °C"),
        ({"after__throttling": ["throttled"]}, "throttled during the run: throttled"),
        ({"before__throttling": ["under-voltage"]}, "throttled during the run: under-voltage"),
        (
            {
                "before__throttling_since_boot": ["under-voltage"],
                "after__throttling_since_boot": ["under-voltage"],
            },
            "under-voltage at some time since boot",
        ),
        (
            {"after__throttling_since_boot": ["frequency capped"]},
            "throttled during the run: frequency capped",
        ),
    ],
)
def test_warnings_about_the_machine(changes, warning):
    """
    Each condition that spoils figures is named, and alone.
    """
    found = warnings.of_machine(changed(MACHINE, **changes), paced=False)

    assert 1 == len(found)
    assert warning in found[0]


def test_a_low_clock_is_no_fault_at_the_pace_of_speech():
    """
    A governor that saves power there does so in use too.
    """
    slow = changed(MACHINE, after__mhz=600)

    assert [] == warnings.of_machine(slow, paced=True)


@pytest.mark.parametrize(
    ("subject", "architecture", "warning"),
    [
        ({**SUBJECT, "kernels": "reference"}, "aarch64", "reference kernels"),
        ({**SUBJECT, "threads": 5}, "aarch64", "5 threads on 4 usable cores"),
        ({**SUBJECT, "runtime": "tflite-runtime"}, "x86_64", "says nothing about ARM"),
    ],
)
def test_warnings_about_the_subject(subject, architecture, warning):
    """
    Slow kernels and more threads than cores are named.
    """
    found = warnings.of_model(subject, {**MACHINE, "architecture": architecture})

    assert 1 == len(found)
    assert warning in found[0]


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        ({"hops": 99}, "only 99 hops"),
        ({"p50_by_part_us": [400.0, 441.0]}, "ranges from 400.0 to 441.0 us"),
        ({"hop_us__p99": 100_001.0}, "slower than real time"),
        ({"late_hops": 6, "latest_ms": 55.5}, "6 of 500 hops began late"),
    ],
)
def test_warnings_about_the_figures(changes, warning):
    """
    Figures that disagree with each other, or fell behind, are named.
    """
    found = warnings.of_figures(changed(FIGURES, **changes))

    assert 1 == len(found)
    assert warning in found[0]


def test_histogram_counts_every_value(rng):
    """
    All series share their bins, which leave out no value.
    """
    series = {"hop": rng.lognormal(6, 0.3, 2_000), "invoke": np.array([1.0, 50.0])}

    table = histogram(series)

    factors = np.diff(np.log(table["edges"]))
    np.testing.assert_allclose(factors, factors[0], atol=0.01)
    assert {"hop": 2_000, "invoke": 2} == {
        name: sum(counts) for name, counts in table.items() if name != "edges"
    }


def test_histogram_as_text():
    """
    A line for each bin from the first to the last that is used; the longest bar is the mode.
    """
    table = {"edges": [1.0, 2.0, 4.0, 8.0, 16.0], "hop": [0, 2, 0, 1]}

    assert [
        "hop, microseconds: hops",
        f"      2.0 to       4.0      2 {'#' * 40}",
        "      4.0 to       8.0      0",
        f"      8.0 to      16.0      1 {'#' * 20}",
    ] == bench_report.histogram_lines(table)


def test_a_folder_that_cannot_be_written_is_said_before_measuring(tmp_path):
    """
    A file in the place of the folder is one clear line.
    """
    (tmp_path / "file").write_text("")

    with pytest.raises(KwsError, match=r"--out .*file/x: expected a folder that can be written"):
        bench_report.prepare(tmp_path / "file" / "x")


def test_a_report_replaces_the_last_one_whole(tmp_path, monkeypatch):
    """
    A file that cannot be written is an error, and leaves no half of a file.
    """
    monkeypatch.setattr(bench_report, "markdown", lambda report: "new")
    (tmp_path / "report.md").mkdir()

    with pytest.raises(IsADirectoryError):
        bench_report.write(tmp_path, {"a": 1})

    assert ["bench.json", "report.md"] == sorted(path.name for path in tmp_path.iterdir())
    assert {"a": 1} == json.loads((tmp_path / "bench.json").read_text())
