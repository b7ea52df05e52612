"""The systemd units in examples/systemd, as systemd reads them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
UNITS = ROOT / "examples" / "systemd"
FILES = sorted(path.relative_to(UNITS) for path in UNITS.rglob("*.*") if path.is_file())
PAGE = ROOT / "docs" / "service.md"


@pytest.fixture
def analyze(tmp_path):
    """Run systemd-analyze on the units of a kind, with programs in them that exist here."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze")

    def run(verb, kind, name, *options):
        shutil.copytree(UNITS / kind, tmp_path / kind)
        for path in tmp_path.rglob("*.service"):
            text = path.read_text()
            for program in ("/opt/kws/bin/kws-listen", "/opt/kws/bin/python"):
                text = text.replace(program, sys.executable)
            path.write_text(text)
        command = ["systemd-analyze", verb, *options, str(tmp_path / kind / name)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    return run


@pytest.mark.parametrize(
    "path", [path for path in FILES if path.parent.name in ("system", "user")], ids=str
)
def test_systemd_accepts_the_unit(analyze, path):
    """
    `systemd-analyze verify` finds no fault, nor an option that it does not know.
    """
    options = ["--user"] if path.parts[0] == "user" else []

    done = analyze("verify", path.parts[0], path.name, "--man=no", *options)

    # It also reads what the machine itself has, whose faults are not ours.
    ours = [line for line in done.stderr.splitlines() if "kws" in line]
    assert [] == ours
    assert 0 == done.returncode or "kws" not in done.stderr


def test_a_misspelt_option_is_found(analyze, tmp_path):
    """
    The test above can fail.
    """
    done = analyze("verify", "system", "kws-listen.service", "--man=no")
    path = tmp_path / "system" / "kws-listen.service"
    path.write_text(path.read_text().replace("ProtectHome=", "ProtectHouse="))

    again = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert "ProtectHouse" not in done.stderr
    assert "ProtectHouse" in again.stderr


@pytest.mark.parametrize(
    ("name", "limit"), [("kws-listen.service", 10), ("kws-webhook.service", 25)]
)
def test_the_exposure_stays_low(analyze, name, limit):
    """
    systemd's own score, in tenths, from 0 (no permissions) to 100 (all), does not rise.
    """
    done = analyze(
        "security", "system", name, "--offline=true", f"--threshold={limit}", "--no-pager"
    )
    if "unrecognized option" in done.stderr:
        pytest.skip("systemd-analyze is older than 250: it cannot rate files")

    assert "Overall exposure level" in done.stdout
    assert 0 == done.returncode


@pytest.mark.parametrize("path", FILES, ids=str)
def test_each_option_is_explained(path):
    """
    docs/service.md names every option that the units of kws-listen set.
    """
    lines = (UNITS / path).read_text(encoding="utf-8").splitlines()
    options = {line.split("=")[0] for line in lines if "=" in line and not line.startswith("#")}
    page = PAGE.read_text(encoding="utf-8")

    assert set() == {option for option in options if f"`{option}" not in page}


def test_the_installed_program_is_the_same_everywhere():
    """
    Units and page agree on where kws is installed.
    """
    programs = {
        line.split("=")[1].split()[0].rpartition("/")[0]
        for path in FILES
        for line in (UNITS / path).read_text(encoding="utf-8").splitlines()
        if line.startswith("ExecStart=")
    }

    assert {"/opt/kws/bin"} == programs
    assert "python3 -m venv /opt/kws\n" in PAGE.read_text(encoding="utf-8")
