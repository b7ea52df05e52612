"""Install a wheel into a fresh virtual environment and check that it detects the words of the demo.

Not a test file: `.ci/run` calls it once for each interpreter and TFLite runtime.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

MODELS = Path(__file__).resolve().parent.parent / "firmware_models"


def main() -> int:
    """Return 0 if all words of the truth are detected in order, 1 otherwise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", default=sys.executable, help="makes the environment")
    parser.add_argument("--extra", help="extra of the wheel to install")
    parser.add_argument("--runtime", required=True, help="TFLite runtime to use")
    arguments = parser.parse_args()
    with open(MODELS / "demo.csv", newline="") as handle:
        expected = [row["keyword"] for row in csv.DictReader(handle)]
    wheel = str(arguments.wheel.resolve()) + (f"[{arguments.extra}]" if arguments.extra else "")
    with tempfile.TemporaryDirectory() as folder:
        environment = Path(folder, "environment")
        empty = Path(folder, "empty")
        empty.mkdir()
        subprocess.run([arguments.python, "-m", "venv", str(environment)], check=True)
        pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", wheel], check=True)
        listen = [str(environment / "bin" / "kws-listen"), "--input", str(MODELS / "demo.wav")]
        result = subprocess.run(
            [*listen, "--json"],
            cwd=empty,
            env={**os.environ, "KWS_RUNTIME": arguments.runtime},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=60,
        )
    records = [json.loads(line) for line in result.stdout.splitlines()]
    heard = [record["keyword"] for record in records if record["type"] == "detection"]
    runtime = next(record["runtime"] for record in records if record["type"] == "status")
    verdict = "ok" if heard == expected and runtime.startswith(arguments.runtime) else "WRONG"
    sys.stdout.write(f"{verdict}: {arguments.python}, {runtime}, detected {' '.join(heard)}\n")
    return 0 if verdict == "ok" else 1


if __name__ == "__main__":
    sys.exit(main())
