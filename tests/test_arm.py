"""The comparison with an emulated ARM machine (bench/arm), without QEMU."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
ARM = ROOT / "bench" / "arm"
DEMO = ROOT / "firmware_models" / "demo.wav"
MODULES = ("count_hops", "machines", "counts", "equality", "tables")


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> dict[str, ModuleType]:
    """Return the modules of bench/arm, which are scripts of a folder and no package."""
    monkeypatch.syspath_prepend(str(ARM))
    for name in MODULES:
        monkeypatch.delitem(sys.modules, name, raising=False)
    loaded = {name: importlib.import_module(name) for name in MODULES}
    for name in MODULES:
        monkeypatch.setitem(sys.modules, name, loaded[name])
    return loaded


def run_script(name: str, *arguments: str) -> str:
    """Run one of the scripts that run on both sides, on this machine, and return its output."""
    done = subprocess.run(
        [sys.executable, str(ARM / name), *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def write_marks(path: Path, counts: dict[str, list[int]], parts: tuple[str, ...]) -> None:
    """Write counts as the counter does: a line at each begin and end."""
    clock, lines = 1_000, []
    for part, values in counts.items():
        for value in values:
            mark = 2 * parts.index(part)
            lines += [f"{mark} {clock}", f"{mark + 1} {clock + value}"]
            clock += value + 7
    path.write_text("\n".join([*lines, f"total {clock}"]) + "\n")


COUNTED = {
    "nothing": [10, 10, 10],
    "whole": [1_010, 1_210],
    "front_end": [210, 210],
    "model": [510, 710],
    "smoothing": [30, 30],
    "decision": [50],
    "invoke": [110, 110, 110, 110],
}


def test_instructions_of_a_part_are_its_mean_per_hop_less_the_marks(tmp_path, arm):
    """
    Counts between marks are summed over a hop, less the cost of a marked call.
    """
    marks = tmp_path / "counts.txt"
    write_marks(marks, COUNTED, arm["count_hops"].PARTS)

    found = arm["counts"].per_hop(arm["counts"].read_marks(marks), 2)

    assert 1_100 == found["whole"]
    assert 1_200 == found["whole_max"]
    assert 200 == found["front_end"]
    assert 600 == found["model"]
    # Twice a hop, as where a hop takes two steps of the network.
    assert 200 == found["invoke"]
    # The decision ran in one hop of two.
    assert 20 + 20 == found["smoothing_and_decision"]
    assert 1_100 - 200 - 600 - 40 == found["rest"]


def test_a_part_that_was_never_marked_is_an_error(tmp_path, arm):
    """
    A stage that does not go through the marked method must not count as free.
    """
    marks = tmp_path / "counts.txt"
    counted = {part: values for part, values in COUNTED.items() if part != "invoke"}
    write_marks(marks, counted, arm["count_hops"].PARTS)

    with pytest.raises(arm["machines"].RunError, match="invoke"):
        arm["counts"].read_marks(marks)


def test_both_ends_of_the_counter_agree(arm):
    """
    The marks that a program sets are those that the plugin listens for.
    """
    source = (ARM / "icount.c").read_text()

    assert f"#define MARK UINT64_C(0x{arm['count_hops'].MARK:X})" in source
    assert "a2 - MARK < 256" in source
    assert 2 * len(arm["count_hops"].PARTS) <= 256


@pytest.mark.parametrize(("cpu", "part"), [("cortex-a53", "0xd03"), ("cortex-a72", "0xd08")])
def test_the_emulated_board_tells_the_cpu_that_is_played(arm, cpu, part):
    """
    The emulated /proc/cpuinfo names the emulated core, by which XNNPACK chooses its kernels.
    """
    cpuinfo = arm["machines"].tables(arm["machines"].BOARDS[cpu])["proc/cpuinfo"]

    assert 4 == cpuinfo.count(f"CPU part\t: {part}")
    assert 4 == cpuinfo.count("fp asimd evtstrm")


def test_every_part_of_a_hop_runs_where_it_is_marked(tmp_path):
    """
    The counting script goes through all laps of a real model, with or without a counter.
    """
    about = json.loads(run_script("count_hops.py", "--hops", "2", "--input", str(DEMO)))

    assert 2 == about["n_hops"]
    assert 100 == about["hop_ms"]
    assert "int8" == about["dtype"]


def test_a_machine_equals_itself_and_a_changed_frame_shows(tmp_path, arm):
    """
    The same audio on the same machine gives no difference; louder frames, replayed, do.
    """
    listen = ["--", "--input", str(DEMO), "--kernels", "reference"]
    first, second, other = (tmp_path / f"{name}.npz" for name in ("first", "second", "other"))
    run_script("dump_hops.py", "--out", str(first), *listen)
    louder = tmp_path / "louder.npz"
    np.savez(louder, frames=np.load(first)["frames"] + np.float32(0.5))

    run_script("dump_hops.py", "--out", str(second), *listen)
    run_script("dump_hops.py", "--out", str(other), "--replay", str(louder), *listen)

    same = arm["equality"].differences(first, second)
    assert 0 == same["features_differing"] == same["posteriors_differing"] == same["largest_lsb"]
    assert 10 == same["n_detections"]
    assert arm["equality"].is_as_promised({**same, "kernels": "reference"})
    changed = arm["equality"].differences(first, other)
    assert changed["features_differing"] > changed["features"] / 2
    assert changed["posteriors_differing"] > 0
    assert not arm["equality"].is_as_promised({**changed, "kernels": "reference"})


@pytest.mark.parametrize(
    ("words", "apart_s", "promised"),
    [
        ([("yes", 1.495), ("no", 3.295)], 0.0, True),
        ([("yes", 1.595), ("no", 3.295)], 0.1, True),
        ([("yes", 1.695), ("no", 3.295)], 0.2, False),
        ([("yes", 1.495), ("go", 3.295)], None, False),
        ([("yes", 1.495)], None, False),
    ],
)
def test_default_kernels_may_fire_a_hop_later(arm, words, apart_s, promised):
    """
    By default kernels a word may come a hop earlier or later, no more; other words are no match.
    By reference kernels nothing may differ.
    """
    row = {"largest_lsb": 9, "posteriors_differing": 451, "detections_equal": False}
    row["here"] = {"hop_ms": 100}
    expected = [("yes", 1.495), ("no", 3.295)]

    found = arm["equality"]._apart_s(expected, words)

    assert found == (None if apart_s is None else pytest.approx(apart_s))
    row["words_apart_s"] = found
    assert arm["equality"].is_as_promised({**row, "kernels": "default"}) is promised
    assert not arm["equality"].is_as_promised({**row, "kernels": "reference"})


def test_a_case_that_cannot_run_is_a_row_of_its_own(tmp_path, arm):
    """
    A machine that is missing gives a row with an error, which is not as promised.
    """
    case = arm["equality"].Case("tflite-runtime", "stream", "reference")
    options = {"cache": tmp_path, "cpu": "cortex-a53", "model": "default", "audio": DEMO}

    row = arm["equality"].compare(case, **options)

    assert row["ok"] is False
    assert "tflite-runtime" in row["error"]
    findings = {"command": "run.py", "date": "2026-11-21", "qemu": "none", "input": "demo.wav"}
    findings |= {"input_sha256": "0" * 64, "equality": [row], "equality_cpu": "cortex-a53"}
    assert "did not run" in arm["tables"].markdown({**findings, "on_arm": []})
