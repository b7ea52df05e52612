"""The model cards and tables match the manifests."""

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("ai_edge_litert", reason="multiplications are counted with its schema")

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "tools" / "make_cards.py"


def test_every_page_is_up_to_date():
    """
    Cards and tables equal those made from the manifests now.
    """
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--check"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (0, "", "") == (done.returncode, done.stdout, done.stderr)
