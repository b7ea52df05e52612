"""Run the tests of both forms in an environment that has both light interpreters.

Not a test file: ai-edge-litert and tflite-runtime want different numpys, so the usual test
environment has one of them. `.ci/run` and `make equality` call this.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TESTS = ("stream_equality", "stream_model", "window_model", "interpreter")
LEFT_OUT = (".*", "build", "dist", "runs", "reports", "*.egg-info", "__pycache__")
# The last Python that tflite-runtime has wheels for.
PYTHON = "python3.11"


def main() -> int:
    """Return pytest's exit code, or 1 if the environment cannot be made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="Python 3.10 or 3.11 (default: python3.11, or this one)")
    parser.add_argument(
        "--minutes", type=float, default=10, help="speech to compare the forms on (default: 10)"
    )
    arguments = parser.parse_args()
    python = arguments.python or shutil.which(PYTHON) or sys.executable
    version = subprocess.run(
        [python, "-c", "import sys; print(*sys.version_info[:2], sep='.')"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    if version not in ("3.10", "3.11"):
        sys.stderr.write(
            f"check_interpreters: expected Python 3.10 or 3.11, which both interpreters have "
            f"wheels for, got {version}; name one with --python\n"
        )
        return 1
    if not Path(os.environ.get("KWS_DATA", ""), "librispeech", "dev_clean").is_dir():
        sys.stderr.write(
            "check_interpreters: expected KWS_DATA to name a folder with librispeech/dev_clean, "
            f"got {os.environ.get('KWS_DATA')!r}\n"
        )
        return 1
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([python, "-m", "venv", folder], check=True)
        there = str(Path(folder, "bin", "python"))
        pip = [there, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        needed = ["pytest>=8", "pytest-timeout>=2", "hypothesis>=6"]
        # From a copy, because building leaves a folder behind; only what it depends on is needed,
        # since the tests are to test the checkout.
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        subprocess.run([*pip, f"{copy}[tflite]", *needed], check=True)
        subprocess.run([*pip[:3], "uninstall", "--quiet", "--yes", "kws"], check=True)
        tests = [str(ROOT / "tests/kws/inference" / f"test_{name}.py") for name in TESTS]
        return subprocess.run(
            [there, "-m", "pytest", "-q", *tests],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "KWS_EQUALITY_MINUTES": f"{arguments.minutes:g}",
                "KWS_REQUIRE_EQUALITY": "1",
            },
            check=False,
        ).returncode


if __name__ == "__main__":
    sys.exit(main())
