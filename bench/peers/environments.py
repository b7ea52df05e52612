"""A virtual environment for every peer, kept between runs."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
# What setup.cfg needs to build the wheel.
FILES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")
PACKAGES = ("kws", "training", "firmware_models")
INSTALL_TIMEOUT_S = 900
# One thread each, whatever library asks.
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class PeerError(Exception):
    """A peer does not install or run; the message is the reason, in one line."""


def clean_environment() -> dict[str, str]:
    """Return the environment of the drivers: none of the caller's Python settings, one thread."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in os.environ}
    # PYTHONPATH and the like would hide the installed packages.
    return {**kept, **ONE_THREAD, "PYTHONNOUSERSITE": "1"}


class Environments:
    """Makes and finds virtual environments below one folder.

    Parameters
    ----------
    folder : Path
        Holds one environment a peer; made when missing.
    python : str
        The interpreter of all of them.
    """

    def __init__(self, folder: Path, python: str) -> None:
        self.folder = folder
        self.base_python = python
        self.python_version = _python_version(python)
        self._ready: dict[str, Path] = {}

    def prepare(self, name: str, requirements: tuple[str, ...]) -> Path:
        """Return the interpreter of an environment that meets the requirements.

        Parameters
        ----------
        name : str
            Name of its folder.
        requirements : tuple of str
            As for pip; ``.`` stands for this checkout, with extras as in ``.[tflite]``.

        Raises
        ------
        PeerError
            If it cannot be made, with pip's own reason.
        """
        if name not in self._ready:
            self._ready[name] = self._made(name, requirements)
        return self._ready[name]

    def _made(self, name: str, requirements: tuple[str, ...]) -> Path:
        home = self.folder / f"{name}-py{self.python_version}"
        python = home / "bin" / "python"
        stamp = home / "installed.txt"
        wanted = "\n".join(requirements)
        fits = stamp.exists() and stamp.read_text() == wanted
        if not fits:
            shutil.rmtree(home, ignore_errors=True)
            _call([self.base_python, "-m", "venv", str(home)])
        # The checkout may have changed: install it again.
        if not fits or any(requirement.startswith(".") for requirement in requirements):
            print(f"{name}: installing {' '.join(requirements) or 'nothing'}", file=sys.stderr)
            if requirements:
                _pip_install(python, requirements)
        stamp.write_text(wanted)
        return python


def _pip_install(python: Path, requirements: tuple[str, ...]) -> None:
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Builds leave files in the folder, so build in a copy.
    with tempfile.TemporaryDirectory() as folder:
        if any(requirement.startswith(".") for requirement in requirements):
            _copy_checkout(Path(folder))
        places = [
            folder + requirement[1:] if requirement.startswith(".") else requirement
            for requirement in requirements
        ]
        _call([*pip, "--no-input", "--prefer-binary", *places])


def _copy_checkout(to: Path) -> None:
    for name in FILES:
        shutil.copy(CHECKOUT / name, to / name)
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(CHECKOUT / name, to / name, ignore=ignored)


def _python_version(python: str) -> str:
    code = "import sys; print('%d.%d.%d' % sys.version_info[:3])"
    return _call([python, "-c", code]).strip()


def _call(command: list[str]) -> str:
    """Return the standard output of a command, or raise its error."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=clean_environment(),
            timeout=INSTALL_TIMEOUT_S,
            check=True,
        )
    except OSError as error:
        raise PeerError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"not installed after {INSTALL_TIMEOUT_S} s") from error
    except subprocess.CalledProcessError as error:
        raise PeerError(error_line(error.stderr or error.stdout)) from error
    return done.stdout


def error_line(output: str) -> str:
    """Return the line of a program's output that explains its failure best."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if line.startswith("ERROR:"):
            return line[len("ERROR:") :].strip()
    return lines[-1] if lines else "failed without a message"
