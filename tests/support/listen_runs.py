"""Running `kws-listen` as a process of its own, and reading the records that it prints."""

import json
import subprocess
import sys

from kws import models

DEMO = models.FIRMWARE_MODELS / "demo.wav"


def listen(*arguments, **options):
    """Run `python -m kws` and return the finished process."""
    command = [sys.executable, "-m", "kws", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=60, check=False, **options)


def records(text):
    return [json.loads(line) for line in text.splitlines()]


def of_type(kind, found):
    return [record for record in found if record["type"] == kind]
