"""Run `kws-listen --json` and record every hop, to compare machines.

Runs on both machines. It is the real command with a recorder in the spotter's stages: the log-mel
frames, and the tensors just before and after each invoke. `--replay` uses the frames of another
machine instead, to separate differences of the front end from those of the model.

    python dump_hops.py --out hops.npz [--replay other.npz] -- --input demo.wav --kernels reference
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import platform
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from kws import models
from kws.cli import listen
from kws.inference.interpreter import Tensor
from kws.inference.select import default_hop_ms
from kws.spotter import KeywordSpotter


class HopRecorder:
    """Record the frames, tensors and posteriors of a spotter."""

    def __init__(self, replay: Path | None) -> None:
        self.frames: list[np.ndarray] = []
        self.features: list[np.ndarray] = []
        self.outputs: list[np.ndarray] = []
        self.posteriors: list[np.ndarray] = []
        self.spotter: KeywordSpotter | None = None
        self._last: np.ndarray | None = None
        self._replayed = None if replay is None else np.load(replay)["frames"]
        self._n_replayed = 0

    def attach(self, spotter: KeywordSpotter) -> None:
        """Record from now on."""
        self.spotter = spotter
        spotter.on_posterior = self._on_posterior
        opened = spotter.model.opened
        self._features = only_one(opened.inputs, but="state/")
        self._output = only_one(opened.outputs, but="next/")

    def around(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return what the spotter is to call in place of a stage (`kws.spotter.StageTimers`)."""
        if stage == "front_end":
            return lambda *arguments, **options: self._on_frames(call(*arguments, **options))
        return partial(self._on_invoke, call) if stage == "invoke" else call

    def _on_frames(self, frames: np.ndarray) -> np.ndarray:
        if self._replayed is not None:
            start, end = self._n_replayed, self._n_replayed + len(frames)
            frames[:] = self._replayed[start:end]
            self._n_replayed = end
        self.frames.append(frames.copy())
        return frames

    def _on_invoke(self, invoke: Callable[[], Any]) -> None:
        interpreter = self.spotter.model.opened.interpreter
        self._before_invoke(interpreter)
        invoke()
        self._last = interpreter.get_tensor(self._output.index)[0].copy()

    def _before_invoke(self, interpreter: Any) -> None:
        n_mels = self.spotter.manifest.frontend.n_mels
        rows = interpreter.get_tensor(self._features.index).reshape(-1, n_mels)
        # Of a window only its new frames, so that each frame counts once.
        new = rows[-self.spotter.model.hop_frames :] if self.features else rows
        self.features.append(new.copy())

    def _on_posterior(self, time_s: float, posterior: np.ndarray, scores: Any) -> None:
        self.posteriors.append(np.array(posterior, dtype=np.float32))
        self.outputs.append(self._last)

    def write(self, path: Path, *, listened: str) -> None:
        """Write the recording and its conditions as .npz."""
        spotter = self.spotter
        opened = spotter.model.opened
        form = getattr(spotter.manifest, spotter.model.mode)
        about = {
            "architecture": platform.machine(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "runtime": opened.runtime,
            "runtime_version": opened.runtime_version,
            "kernels": opened.kernels,
            "mode": spotter.model.mode,
            "file": form.file,
            "sha256": form.sha256,
            "hop_ms": spotter.hop_ms,
        }
        np.savez(
            path,
            frames=np.concatenate(self.frames),
            features=np.concatenate(self.features),
            outputs=np.stack(self.outputs),
            posteriors=np.stack(self.posteriors),
            listened=listened,
            about=json.dumps(about),
        )


def only_one(tensors: tuple[Tensor, ...], *, but: str) -> Tensor:
    """Return the tensor that carries no state."""
    fits = [tensor for tensor in tensors if not tensor.name.startswith(but)]
    if len(fits) != 1:
        names = ", ".join(tensor.name for tensor in tensors)
        raise SystemExit(f"dump_hops.py: expected one tensor besides {but}*, got {names}")
    return fits[0]


def main() -> int:
    """Run the command with a recorder and return its exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--replay", type=Path)
    parser.add_argument("arguments", nargs="+", help="what to give to kws-listen, after --")
    given = parser.parse_args()
    recorder = HopRecorder(given.replay)
    make = KeywordSpotter.from_model.__func__

    def from_model(kind: type[KeywordSpotter], model: str, **options: Any) -> KeywordSpotter:
        if options["hop_ms"] is None:
            # Both forms at the hop of the stream form, because they are compared.
            options["hop_ms"] = default_hop_ms(models.load(model))
        spotter = make(kind, model, **options, timers=recorder)
        recorder.attach(spotter)
        return spotter

    KeywordSpotter.from_model = classmethod(from_model)
    with contextlib.redirect_stdout(io.StringIO()) as stdout:
        code = listen.main(["--json", *given.arguments])
    if code == 0:
        recorder.write(given.out, listened=stdout.getvalue())
    return code


if __name__ == "__main__":
    sys.exit(main())
