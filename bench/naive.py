"""Compare `kws` with the obvious plain script, both measured in one run.

Every hop it recomputes the features of the whole window with numpy and invokes the same model
with the same interpreter. It uses `kws` only for the manifest and for opening the interpreter.

    python bench/naive.py [--model default] [--seconds 60] [--repeats 5] [--runtime R] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

# Before numpy loads: for matrices this small, BLAS threads only spin, which would make the naive
# script look ten times as expensive.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from kws import models
from kws.bench.timing import DEMO, looped, run
from kws.config import FrontendConfig
from kws.features.log_mel import mel_filterbank
from kws.inference.interpreter import open_model
from kws.inference.select import default_hop_ms
from kws.manifest import ModelManifest
from kws.spotter import KeywordSpotter


class NaiveSpotter:
    """Whole-window features and one invoke, every hop."""

    def __init__(self, manifest: ModelManifest, runtime: str | None) -> None:
        self.frontend: FrontendConfig = manifest.frontend
        content = manifest.read_form(manifest.window)
        opened = open_model(content, where=manifest.window.file, runtime=runtime)
        self.interpreter = opened.interpreter
        self.runtime = opened.runtime
        self.input, self.output = opened.inputs[0], opened.outputs[0]
        self.hann = np.hanning(self.frontend.frame_length_samples + 1)[:-1].astype(np.float32)
        self.filters = mel_filterbank(self.frontend)

    def features(self, window: np.ndarray) -> np.ndarray:
        """Return normalised log-mel of one second."""
        config = self.frontend
        samples = window.astype(np.float32) / 32768
        frames = np.lib.stride_tricks.sliding_window_view(samples, config.frame_length_samples)
        frames = frames[:: config.frame_step_samples] * self.hann
        power = np.abs(np.fft.rfft(frames, n=config.n_fft)) ** 2
        mel = np.log(np.maximum(power.astype(np.float32) @ self.filters, config.log_floor))
        return (mel - config.mean) / config.std

    def posterior(self, window: np.ndarray) -> np.ndarray:
        """Return the model's output for one second of samples."""
        quantized = np.round(self.features(window) / self.input.scale) + self.input.zero_point
        tensor = np.clip(quantized, -128, 127).astype(np.int8)[None]
        self.interpreter.set_tensor(self.input.index, tensor)
        self.interpreter.invoke()
        output = self.interpreter.get_tensor(self.output.index)[0].astype(np.float32)
        return (output - self.output.zero_point) * self.output.scale


def naive_cpu(spotter: NaiveSpotter, samples: np.ndarray, hop: int) -> tuple[float, list]:
    """Return CPU seconds per second of audio, and the posteriors."""
    window = 16_000
    for _ in range(20):
        spotter.posterior(samples[:window])
    starts = range(0, len(samples) - window + 1, hop)
    began = time.process_time()
    posteriors = [spotter.posterior(samples[start : start + window]) for start in starts]
    return (time.process_time() - began) / (len(starts) * hop / 16_000), posteriors


def main() -> None:
    """Measure both in turns, so that both meet the same machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--runtime")
    parser.add_argument("--input", type=Path, default=DEMO)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    samples = looped(arguments.input, arguments.seconds, sample_rate=16_000)
    manifest = models.load(arguments.model)
    naive = NaiveSpotter(manifest, arguments.runtime)
    # All three at the stream form's hop.
    hop_ms = default_hop_ms(manifest)
    ours = {
        mode: KeywordSpotter.from_model(
            arguments.model, hop_ms=hop_ms, mode=mode, runtime=arguments.runtime
        )
        for mode in ("window", "stream")
    }
    cpus: dict[str, list[float]] = {"naive": [], "window": [], "stream": []}
    for _ in range(arguments.repeats):
        cpus["naive"].append(naive_cpu(naive, samples, ours["stream"].hop_samples)[0])
        for mode, spotter in ours.items():
            timings = run(spotter, samples)
            cpus[mode].append(timings.cpu_s / timings.audio_s)
    report = {
        "runtime": naive.runtime,
        "cpu_s_per_audio_s": {name: float(np.median(found)) for name, found in cpus.items()},
        "ratio": {
            mode: float(np.median(np.array(cpus[mode]) / np.array(cpus["naive"]))) for mode in ours
        },
    }
    if arguments.json:
        print(json.dumps(report))
        return
    for name, cpu in report["cpu_s_per_audio_s"].items():
        label = "naive script" if name == "naive" else f"kws, {name} form"
        ratio = f"   {report['ratio'][name]:.2f} of the naive script" if name in ours else ""
        print(f"{label:<18}{1000 * cpu:7.3f} ms CPU per second{ratio}")


if __name__ == "__main__":
    main()
