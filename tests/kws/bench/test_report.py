"""Doubts, histogram and the folder of a report, from made figures."""

import copy
import json
import math
from xml.etree import ElementTree

import numpy as np
import pytest

from kws.bench import histogram
from kws.bench import report as bench_report
from kws.bench import warnings as bench_doubts
from kws.errors import KwsError

SVG = "{http://www.w3.org/2000/svg}"
STATE = {
    "temperature_c": 45.0,
    "mhz": 1500,
    "load_1min": 0.1,
    "throttling": [],
    "throttling_since_boot": [],
    "throttle_count": None,
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
    "system": "Linux 6.6",
    "python": "3.11.2",
    "numpy": "2.0",
    "before": STATE,
    "during": {"others_cores": 0.0, "steal": 0.0, "involuntary_switches_per_s": 2.0},
    "after": dict(STATE),
}
FIGURES = {
    "hop_ms": 100,
    "hop_us": {"mean": 400.0, "p50": 400.0, "p99": 900.0},
    "split_run": {"hop_us": 410.0, "timers_us": 2.0},
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


def test_a_quiet_board_raises_no_doubt():
    """
    Where all is well nothing is named.
    """
    assert [] == bench_doubts.of_subject(SUBJECT, MACHINE)
    assert [] == bench_doubts.of_machine(MACHINE, paced=False)
    assert [] == bench_doubts.of_figures(FIGURES, n_hops=500, paced=True)


@pytest.mark.parametrize(
    ("changes", "doubt"),
    [
        ({"governor": "ondemand"}, "CPU governor ondemand"),
        ({"emulated": True, "virtual": True}, "emulated: QEMU"),
        ({"virtual": True}, "virtual machine"),
        ({"mixed_cores": True}, "cores of several kinds"),
        ({"limit_mhz": 1000}, "clock limited to 1000 of 1500 MHz"),
        ({"after__mhz": 600}, "clock at 600 of 1500 MHz"),
        ({"before__load_1min": 3.0}, "load 3.0 on 4 cores"),
        ({"during__others_cores": 0.9}, "other processes used 0.9 cores"),
        ({"during__steal": 0.05}, "gave 5.0% of the time"),
        ({"during__involuntary_switches_per_s": 90.0}, "put aside 90 times"),
        ({"after__temperature_c": 81.5}, "hot: 81.5 °C"),
        ({"after__throttling": ["throttled"]}, "slowed down during the run: throttled"),
        ({"before__throttling": ["under-voltage"]}, "slowed down during the run: under-voltage"),
        (
            {
                "before__throttling_since_boot": ["under-voltage"],
                "after__throttling_since_boot": ["under-voltage"],
            },
            "under-voltage at some time since boot",
        ),
        (
            {"after__throttling_since_boot": ["frequency capped"]},
            "slowed down during the run: frequency capped",
        ),
        ({"before__throttle_count": 3, "after__throttle_count": 5}, "slowed down by heat"),
    ],
)
def test_doubts_about_the_machine(changes, doubt):
    """
    Each condition that spoils figures is named, and alone.
    """
    found = bench_doubts.of_machine(changed(MACHINE, **changes), paced=False)

    assert 1 == len(found)
    assert doubt in found[0]


def test_a_low_clock_is_no_fault_at_the_pace_of_speech():
    """
    A governor that saves power there does so in use too.
    """
    slow = changed(MACHINE, after__mhz=600)

    assert [] == bench_doubts.of_machine(slow, paced=True)


@pytest.mark.parametrize(
    ("subject", "architecture", "doubt"),
    [
        ({**SUBJECT, "kernels": "reference"}, "aarch64", "reference kernels"),
        ({**SUBJECT, "threads": 5}, "aarch64", "5 threads on 4 usable cores"),
        ({**SUBJECT, "runtime": "tflite-runtime"}, "x86_64", "says nothing about ARM"),
    ],
)
def test_doubts_about_the_subject(subject, architecture, doubt):
    """
    Slow kernels and more threads than cores are named.
    """
    found = bench_doubts.of_subject(subject, {**MACHINE, "architecture": architecture})

    assert 1 == len(found)
    assert doubt in found[0]


@pytest.mark.parametrize(
    ("changes", "n_hops", "doubt"),
    [
        ({}, 99, "only 99 hops"),
        ({"p50_by_part_us": [400.0, 441.0]}, 500, "lies from 400.0 to 441.0 us"),
        ({"split_run__hop_us": 480.0}, 500, "took +20% a hop"),
        ({"hop_us__p99": 100_001.0}, 500, "slower than speech"),
        ({"late_hops": 6, "latest_ms": 55.5}, 500, "6 of 500 hops began late"),
    ],
)
def test_doubts_about_the_figures(changes, n_hops, doubt):
    """
    Figures that disagree with each other, or fell behind, are named.
    """
    found = bench_doubts.of_figures(changed(FIGURES, **changes), n_hops=n_hops, paced=True)

    assert 1 == len(found)
    assert doubt in found[0]


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [(1.0, 1.0, 2.0), (1.5, 1.0, 2.0), (412.3, 200.0, 500.0), (0.07, 0.05, 0.1), (999, 500, 1000)],
)
def test_ticks_of_the_axis(value, below, above):
    """
    An axis begins and ends at 1, 2 or 5 times a power of ten.
    """
    assert (below, above) == (histogram.tick_below(value), histogram.tick_above(value))


def test_histogram_counts_every_value(rng):
    """
    All series share their bins, which leave out no value; percentiles are numpy's.
    """
    series = {"hop": rng.lognormal(6, 0.3, 2_000), "invoke": rng.lognormal(5, 0.2, 500)}

    drawn = histogram.histogram(series)

    assert histogram.N_BINS + 1 == len(drawn.edges)
    factors = np.diff(np.log(drawn.edges))
    np.testing.assert_allclose(factors, factors[0])
    for name, values in series.items():
        np.testing.assert_array_equal(np.histogram(values, drawn.edges)[0], drawn.counts[name])
        assert len(values) == sum(drawn.counts[name])
        np.testing.assert_allclose(np.percentile(values, (50, 95, 99)), drawn.percentiles[name])


def test_picture_shows_the_counts(rng):
    """
    The SVG is well-formed; its bars are the filled bins, as high as their counts ask, side by
    side from the axis' begin; its marks stand at the percentiles.
    """
    series = {"hop": rng.lognormal(6, 0.3, 900), "invoke": rng.lognormal(5, 0.2, 500)}
    drawn = histogram.histogram(series)

    root = ElementTree.fromstring(histogram.svg(drawn, title="a < b & c", unit="us"))

    assert "a < b & c" == root.find(f"{SVG}title").text
    bars = root.findall(f".//{SVG}rect[@class='bar']")
    counts = [count for values in drawn.counts.values() for count in values if count]
    told = [int(bar.find(f"{SVG}title").text.rpartition(": ")[2]) for bar in bars]
    assert counts == told
    top = {name: max(values) for name, values in drawn.counts.items()}
    highest = [top[name] for name, values in drawn.counts.items() for n in values if n]
    heights = [float(bar.get("height")) / histogram.BARS_HEIGHT for bar in bars]
    np.testing.assert_allclose(np.array(counts) / highest, heights, atol=1e-4)
    low, high = math.log(drawn.edges[0]), math.log(drawn.edges[-1])
    span = histogram.WIDTH - histogram.LEFT - histogram.RIGHT
    marks = [float(line.get("x1")) for line in root.findall(f".//{SVG}line[@class='mark']")]
    places = [
        histogram.LEFT + span * (math.log(value) - low) / (high - low)
        for values in drawn.percentiles.values()
        for value in values
    ]
    np.testing.assert_allclose(places, marks, atol=0.01)


def test_picture_of_a_single_value():
    """
    Hops that all took the same time still make a picture, in light and in dark.
    """
    picture = histogram.svg(histogram.histogram({"hop": np.full(3, 100.0)}), title="t", unit="us")

    root = ElementTree.fromstring(picture)
    assert 1 == len(root.findall(f".//{SVG}rect[@class='bar']"))
    assert "prefers-color-scheme: dark" in root.find(f"{SVG}style").text


def test_a_folder_that_cannot_be_written_is_said_before_measuring(tmp_path):
    """
    A file in the place of the folder is one clear line.
    """
    (tmp_path / "file").write_text("")

    with pytest.raises(KwsError, match=r"--out .*file/x: expected a folder that can be written"):
        bench_report.prepare(tmp_path / "file" / "x")


def test_a_report_replaces_the_last_one_whole(tmp_path, monkeypatch):
    """
    Files are written beside and then moved: one that fails leaves the old one as it was.
    """
    monkeypatch.setattr(bench_report, "markdown", lambda report: "new")
    (tmp_path / "report.md").write_text("old")
    (tmp_path / "latency.svg").mkdir()

    with pytest.raises(KwsError, match=r"latency\.svg: cannot be written"):
        bench_report.write(tmp_path, {"a": 1}, "<svg/>")

    assert ["bench.json", "latency.svg", "report.md"] == sorted(
        path.name for path in tmp_path.iterdir()
    )
    assert "old" == (tmp_path / "report.md").read_text()
    assert {"a": 1} == json.loads((tmp_path / "bench.json").read_text())
