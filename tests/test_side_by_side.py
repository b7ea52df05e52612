"""How tests are shared among processes, and what a process that dies leaves behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("xdist", reason="tests run one after the other here")

pytestmark = pytest.mark.slow

# A small suite: a.py runs to its end before a process dies in the middle of b.py.
CONFTEST = """
def pytest_xdist_make_scheduler(config, log):
    from support.side_by_side import FilesAndLive
    return FilesAndLive(config, log)
"""
WHOLE = """
import pytest

@pytest.mark.parametrize("number", range(6))
def test_passes(number):
    pass
"""
DIES = """
import os, time
import pytest

@pytest.mark.parametrize("number", range(6))
def test_dies_at_two(number):
    time.sleep(0.05)
    if number == 2:
        os._exit(9)
"""


SLOW = WHOLE.replace("    pass", "    import time; time.sleep(0.05)")
DIES_EARLY = """
import os

def pytest_collection_modifyitems(config):
    if getattr(config, "workerinput", {}).get("workerid") == "gw0":
        os._exit(9)
"""


def _run(suite: Path, n_processes: int) -> subprocess.CompletedProcess[str]:
    pytest_here = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-v"]
    return subprocess.run(
        [*pytest_here, "-n", str(n_processes), "--dist", "loadfile", str(suite)],
        cwd=suite,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("n_processes", [1, 2])
def test_a_process_that_dies_costs_one_test(tmp_path, n_processes):
    """
    Its current test fails and is not run again; all others run once, and the run ends.
    """
    (tmp_path / "conftest.py").write_text(CONFTEST)
    for name, text in {"a": WHOLE, "b": DIES, "c": WHOLE, "d": WHOLE}.items():
        (tmp_path / f"test_{name}.py").write_text(text)
    told = _run(tmp_path, n_processes)

    assert told.returncode == 1
    assert told.stdout.splitlines()[-1].strip("= ").startswith("1 failed, 23 passed")
    assert "crashed while running 'test_b.py::test_dies_at_two[2]'" in told.stdout


def test_a_process_that_dies_early_leaves_the_work_to_two(tmp_path):
    """
    Where one dies before there is anything to share, another takes its place, and both work.
    """
    (tmp_path / "conftest.py").write_text(CONFTEST + DIES_EARLY)
    for name in "abcd":
        (tmp_path / f"test_{name}.py").write_text(SLOW)

    told = _run(tmp_path, 2)

    assert told.returncode == 0, told.stdout
    workers = {line.split()[0] for line in told.stdout.splitlines() if "PASSED" in line}
    assert len(workers) == 2
