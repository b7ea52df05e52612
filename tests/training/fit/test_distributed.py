"""Several worker processes train what one would, and none waits forever."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from training.cli import train
from training.config import recipe as recipes
from training.fit import trainer as fits
from training.fit.callbacks import read_history

# Each process loads TensorFlow: seconds on an idle machine, minutes on a busy one.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]
LIMIT_S = 900
# A lost worker is noticed after about ten seconds; a busy machine may be slower.
LOST_S = 120
RECIPE = """
name = "small"
[data]
clips = {clips}
speech = ""
environment = ""
rooms = ""
keywords = ["yes", "no"]
[frontend]
mean = -4.0
std = 4.5
[augmentation]
mixup_probability = 0.5
[model]
params = {{stem_filters = 8, blocks = [[8, 5, 1]], head_filters = 8, dropout = 0.0}}
[fit]
epochs = 2
clips_per_epoch = 105
batch_size = 7
learning_rate = 0.02
warmup_epochs = 0.2
ema_momentum = 0.5
"""


def free_addresses(n: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    try:
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    finally:
        for one in sockets:
            one.close()


class Worker:
    """A `kws-train fit` process whose output is read line by line."""

    def __init__(self, addresses: list[str], index: int, *arguments: str | Path) -> None:
        task = {"type": "worker", "index": index}
        config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        one_thread = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "training.cli.train", "fit", *map(str, arguments)],
            cwd=Path(fits.__file__).parents[2],
            env={**os.environ, **one_thread, "TF_CONFIG": config},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.lines.append(line)
                self._news.notify_all()

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        with self._news:
            seen = self._news.wait_for(
                lambda: words in self.text or not self._reader.is_alive(), timeout=LIMIT_S
            )
        assert seen, self.text
        assert words in self.text, self.text

    def end(self, limit_s: float = LIMIT_S) -> int:
        """Return the exit code."""
        code = self.process.wait(limit_s)
        self._reader.join(limit_s)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def start():
    """Start workers; those still running at the end of the test are killed."""
    workers: list[Worker] = []

    def begin(*outs: Path, recipe: Path, options: tuple[str, ...] = ()) -> list[Worker]:
        addresses = free_addresses(len(outs))
        started = [
            Worker(addresses, index, recipe, "--out", out, *options)
            for index, out in enumerate(outs)
        ]
        workers.extend(started)
        return started

    yield begin
    for worker in workers:
        worker.process.kill()
        worker.end()


@pytest.fixture(scope="module")
def recipe(tmp_path_factory, write_tree) -> Path:
    """A recipe whose batches of 7 clips divide unevenly."""
    folder = tmp_path_factory.mktemp("data")
    counts = {word: {"training": 8, "validation": 3} for word in ("yes", "no", "cat")}
    clips = write_tree(folder / "clips", counts, noise_s=20)
    path = folder / "small.toml"
    path.write_text(RECIPE.format(clips=json.dumps(str(clips))), encoding="utf-8")
    return path


def test_two_workers_train_what_one_does(recipe, start, tmp_path):
    """
    One worker is killed and the other ends; both resume, and the curves are those of one worker.
    """
    chief, other = start(tmp_path / "run", tmp_path / "other", recipe=recipe)
    chief.wait_for("Epoch 2/2")
    os.kill(other.process.pid, signal.SIGKILL)

    assert chief.end(LOST_S) == 1
    assert re.search(r"error: worker 0 of 2 \(\S+\): lost worker 1 of 2 \(\S+\)", chief.lines[-1])
    assert "start all workers again with --resume" in chief.lines[-1]

    first = read_history(tmp_path / "run" / "history.csv")
    workers = start(tmp_path / "run", tmp_path / "other", recipe=recipe, options=("--resume",))

    assert [0, 0] == [worker.end() for worker in workers], workers[0].text + workers[1].text
    alone = fits.fit(recipes.load(str(recipe)), tmp_path / "alone", verbose=0)
    together = read_history(tmp_path / "run" / "history.csv")
    assert together[: len(first)] == first
    assert len(together) == 2
    for expected, got in zip(read_history(alone.history), together):
        # Sums in another order: 3e-5 in the loss after a hundred steps on one machine, 0.014 on
        # one with AVX-512. Without adding up gradients it was 0.2 off after one epoch, with
        # batch statistics per worker 0.07.
        assert got == pytest.approx(expected, abs=0.03)
    assert not (tmp_path / "other").exists()


def test_a_missing_worker_ends_fit_in_time(recipe, monkeypatch, capsys, tmp_path):
    """
    If another worker never starts, one line names it, and no run folder is left.
    """
    first, second = free_addresses(2)
    task = {"type": "worker", "index": 0}
    cluster = {"worker": [first, second]}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": cluster, "task": task}))

    code = train.main(
        ["fit", str(recipe), "--out", str(tmp_path / "run"), "--worker-timeout", "0.5"]
    )

    assert code == 1
    assert (
        f"kws-train: error: worker 0 of 2 ({first}): no answer from worker 1 of 2 ({second}) "
        "within 0.5 s; start all workers with the same addresses\n"
    ) == capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_malformed_variable_ends_fit(recipe, monkeypatch, capsys, tmp_path):
    """
    The command refuses a malformed TF_CONFIG instead of training alone.
    """
    monkeypatch.setenv("TF_CONFIG", "worker 1 of 2")

    assert train.main(["fit", str(recipe), "--out", str(tmp_path / "run")]) == 1
    assert "error: TF_CONFIG: expected JSON" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
