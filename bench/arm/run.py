"""Run kws on an emulated ARM CPU: compare it with this machine, count instructions of a hop.

QEMU executes the instructions of an ARM CPU: the results are those of a board, and instructions can
be counted exactly. It says nothing about time on a board. The first run downloads 1 GB into a
folder (--cache), which takes a minute or two.

    python bench/arm/run.py                          everything, with the shipped model
    python bench/arm/run.py --equality --kernels reference --modes stream --seconds 6
    python bench/arm/run.py --counts --cpus cortex-a53 --modes window --float-model float.json
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
import wave
from pathlib import Path
from typing import Any

import counts
import equality
import tables
from machines import CPUS, HERE, RUNTIMES, RunError, here

PYTHON_VERSION = "3.11"


def main() -> int:
    """Return 0 if everything ran and is as promised, 1 otherwise."""
    given = _parser().parse_args()
    if not given.equality and not given.counts:
        given.equality = given.counts = True
    try:
        findings = run(given)
    except RunError as error:
        print(f"run.py: {error}", file=sys.stderr)
        return 1
    text = tables.markdown(findings)
    print(text, end="")
    if given.out is not None:
        given.out.mkdir(parents=True, exist_ok=True)
        (given.out / "arm.md").write_text(text)
        (given.out / "arm.json").write_text(json.dumps(findings, indent=2) + "\n")
    equal = all(row["ok"] for row in findings.get("equality", []))
    counted = all("error" not in row for row in findings.get("counts", []))
    return 0 if equal and counted else 1


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    default = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "kws-arm")
    made.add_argument("--cache", type=Path, default=default, help=f"default: {default}")
    made.add_argument("--wheel", type=Path, help="wheel of kws (default: builds this checkout's)")
    made.add_argument("--host-python", help=f"a Python {PYTHON_VERSION} of this machine")
    made.add_argument("--equality", action="store_true", help="only this, unless both are given")
    made.add_argument("--counts", action="store_true", help="only this, unless both are given")
    made.add_argument("--model", default="default", help="name or manifest")
    made.add_argument("--float-model", type=Path, metavar="MANIFEST", help="count this beside it")
    made.add_argument("--modes", nargs="+", choices=("window", "stream"), help="default: all")
    made.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=list(RUNTIMES))
    kernels = list(equality.KERNELS)
    made.add_argument("--kernels", nargs="+", choices=kernels, default=kernels, help="to compare")
    made.add_argument("--cpus", nargs="+", default=list(CPUS), help="what qemu-aarch64 -cpu takes")
    made.add_argument("--input", type=Path, help="audio file (default: the demo recording)")
    made.add_argument("--seconds", type=float, help="compare only so much of a WAV file")
    made.add_argument("--hops", type=int, default=100, help="hops to count (default: 100)")
    made.add_argument("--repeats", type=int, default=2, help="runs a count (default: 2)")
    made.add_argument("--out", type=Path, help="folder for arm.md and arm.json")
    return made


def run(given: argparse.Namespace) -> dict[str, Any]:
    """Set up, compare, count, and return all findings."""
    cache = given.cache.resolve()
    _set_up(cache, given)
    installed = cache / "kws/firmware_models"
    audio = (given.input or installed / "demo.wav").resolve()
    findings: dict[str, Any] = {
        "command": _command(given),
        "date": datetime.date.today().isoformat(),
        "qemu": _first_line("qemu-aarch64", "--version"),
        "input": audio.name,
        "input_sha256": hashlib.sha256(audio.read_bytes()).hexdigest(),
    }
    model = _model(given.model, installed)
    if given.equality:
        short = audio if given.seconds is None else _shortened(audio, given.seconds, cache)
        _compare(findings, given, model=model, audio=short)
    if given.counts:
        _count(findings, given, model=model, audio=audio)
    return findings


def _command(given: argparse.Namespace) -> str:
    """Return the command without paths of this machine."""
    local = ("cache", "wheel", "host_python", "out")
    words = ["python", "bench/arm/run.py"]
    for key, value in vars(given).items():
        if not value or key in local or value == _parser().get_default(key):
            continue
        values = value if isinstance(value, list) else [] if value is True else [value]
        words += [f"--{key.replace('_', '-')}"]
        words += [v.name if isinstance(v, Path) else str(v) for v in values]
    return shlex.join(words)


def _compare(findings: dict[str, Any], given: argparse.Namespace, *, model: Path, audio: Path):
    cache, cpu, modes = given.cache.resolve(), given.cpus[-1], _modes(given, model)
    # Remove the dumps of earlier runs.
    shutil.rmtree(cache / "hops", ignore_errors=True)
    rows = []
    for case in equality.cases(given.runtimes, modes, given.kernels):
        _progress(f"compare {case.runtime}, {case.mode} form, {case.kernels} kernels")
        options = {"cache": cache, "cpu": cpu, "model": str(model), "audio": audio}
        rows.append(equality.compare(case, **options))
    findings["equality_cpu"] = cpu
    findings["equality"] = rows
    findings["on_arm"] = equality.pairs_on_arm(cache, given.runtimes, modes)


def _count(findings: dict[str, Any], given: argparse.Namespace, *, model: Path, audio: Path):
    cache = given.cache.resolve()
    manifests = [model, *([given.float_model.resolve()] if given.float_model else [])]
    rows = []
    for manifest in manifests:
        for mode in _modes(given, manifest):
            for runtime in given.runtimes:
                for cpu in given.cpus:
                    _progress(f"count {manifest.stem}, {mode} form, {runtime}, {cpu}")
                    case = counts.Case(runtime, cpu, str(manifest), mode)
                    options = {"n_hops": given.hops, "repeats": given.repeats}
                    rows.append(counts.count(case, cache=cache, audio=audio, **options))
                    rows[-1]["model"] = manifest.stem
    findings["counts"] = rows
    findings["stream_over_window"] = counts.stream_over_window(rows)


def _modes(given: argparse.Namespace, manifest: Path) -> list[str]:
    """Return the forms to run; a requested one even if the manifest has none."""
    if given.modes:
        return given.modes
    table = json.loads(manifest.read_text())
    return [mode for mode in ("window", "stream") if table.get(mode)]


def _model(name: str, installed: Path) -> Path:
    """Return the manifest: of the installed wheel, or by its path."""
    path = installed / f"{name}.json" if "/" not in name and "." not in name else Path(name)
    if not path.is_file():
        raise RunError(f"{path}: expected a manifest, found none")
    return path.resolve()


def _set_up(cache: Path, given: argparse.Namespace) -> None:
    python = given.host_python or _find_python()
    environment = {**os.environ, "HOST_PYTHON": python, "RUNTIMES": " ".join(given.runtimes)}
    wheel = [] if given.wheel is None else [str(given.wheel.resolve())]
    done = subprocess.run([str(HERE / "setup.sh"), str(cache), *wheel], env=environment)
    if done.returncode:
        raise RunError("the set-up failed; see its output above")
    emulator = here(cache, RUNTIMES[0])
    if _version(emulator.command()[0]) != PYTHON_VERSION:
        raise RunError(f"{cache / 'host'}: expected Python {PYTHON_VERSION}; delete it and retry")


def _find_python() -> str:
    """Return a Python of the emulated version, since both machines run the same packages."""
    name = f"python{PYTHON_VERSION}"
    pyenv = sorted(Path.home().glob(f".pyenv/versions/{PYTHON_VERSION}*/bin/{name}"))
    for python in (sys.executable, shutil.which(name), *map(str, pyenv)):
        if python and _version(python) == PYTHON_VERSION:
            return python
    raise RunError(f"expected a Python {PYTHON_VERSION} on this machine; name it: --host-python P")


def _version(python: str) -> str:
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    return _first_line(python, "-c", code)


def _first_line(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.partition("\n")[0].strip()


def _shortened(audio: Path, seconds: float, cache: Path) -> Path:
    """Return a copy of the beginning of a WAV file."""
    path = cache / "short.wav"
    with wave.open(str(audio)) as whole, wave.open(str(path), "wb") as short:
        short.setparams(whole.getparams())
        short.writeframes(whole.readframes(int(seconds * whole.getframerate())))
    return path


def _progress(text: str) -> None:
    print(f"== {time.monotonic() - BEGAN:.0f} s: {text}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


if __name__ == "__main__":
    sys.exit(main())
