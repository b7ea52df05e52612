"""Run the programs in examples/ as a user does."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from kws import models
from support.listen_runs import obey_interrupts

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
DEMO = models.FIRMWARE_MODELS / "demo.wav"
ENVIRONMENT = {**os.environ, "GPIOZERO_PIN_FACTORY": "mock", "no_proxy": "*"}


def load(name):
    """Return an example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(name, *arguments, **options):
    """Run an example and return the finished process."""
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    options = {"env": ENVIRONMENT, "cwd": ROOT, **options}
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, check=False, **options
    )


def run_on_demo(name, *arguments, **options):
    """Run ``kws-listen --json | example`` on the demo recording."""
    listen = [sys.executable, "-m", "kws", "--json", "--input", str(DEMO)]
    with subprocess.Popen(
        listen, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as heard:
        done = run(name, *arguments, stdin=heard.stdout, **options)
        heard.stdout.close()
    return done


def interrupt_after_a_line(command, feed):
    """Start a program, feed it, wait for its first line, press Ctrl-C; return what came."""
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=obey_interrupts,
    ) as process:
        process.stdin.write(feed)
        process.stdin.flush()
        first = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    return first, errors, process.returncode


def fake_programs(
    folder: Path, *names: str, then: str = "exit 0"
) -> tuple[Mapping[str, str], Path]:
    """Make programs that write down how they were called; return an environment and the record."""
    record = folder / "record"
    record.touch()
    (folder / "bin").mkdir()
    for name in names:
        program = folder / "bin" / name
        program.write_text(f'#!/bin/sh\necho {name} "$@" >>{record}\n{then}\n')
        program.chmod(0o755)
    return {**ENVIRONMENT, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}, record
