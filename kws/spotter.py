"""Samples in, detections out: front end, model, smoothing and decision in one object."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from kws import models
from kws.decision.energy_gate import Due, EnergyGate
from kws.decision.policy import Detection, DetectionPolicy, choose_thresholds
from kws.decision.smoothing import PosteriorSmoother
from kws.decision.speech_context import SpeechContext
from kws.features.frontends import (
    decimation_factor,
    history_samples,
    input_rate,
    open_frontend,
)
from kws.features.streaming import check_samples
from kws.inference.model import PosteriorModel
from kws.inference.select import open_form
from kws.manifest import ModelManifest

PosteriorHook = Callable[[float, NDArray[np.float32], "NDArray[np.float32] | None"], None]
Call = TypeVar("Call", bound=Callable[..., Any])
STAGES = ("front_end", "model", "invoke", "smoothing", "decision")
"""Names of the calls that `StageTimers` can time; ``invoke`` is part of ``model``."""


class StageTimers(Protocol):
    """Times, counts or records the calls of the stages of a spotter."""

    def around(self, stage: str, call: Call) -> Call:
        """Return a function that calls `call`, one of `STAGES`, and does its work around it."""


class KeywordSpotter:
    """Spot keywords in a stream of samples; no thread, no clock, no device.

    Time is counted in samples. The audio is processed hop by hop however the caller cuts it, so
    the detections, their times and their scores are always the same to the last bit.
    `from_model` makes one from a model's name; see there for the parameters.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        model: PosteriorModel,
        *,
        thresholds: Mapping[str, float],
        gate_db: float | None = None,
        timers: StageTimers | None = None,
    ) -> None:
        frontend = manifest.frontend
        factor = decimation_factor(frontend)
        decision = manifest.decision
        self.manifest = manifest
        self.model = model
        self.thresholds = dict(thresholds)
        self.hop_ms = frontend.duration_ms(model.hop_frames)
        self.sample_rate = input_rate(frontend)
        """Rate of the samples that `process` takes: 16 kHz, for a model of 8 kHz too."""

        self.window_samples = factor * frontend.n_samples(model.window_frames)
        """Samples until the first posterior."""

        self.hop_samples = factor * model.hop_frames * frontend.frame_step_samples
        """Samples from one posterior to the next."""

        self.frontend = open_frontend(frontend)
        self.smoother = PosteriorSmoother.spanning(decision.smoothing_ms, hop_ms=self.hop_ms)
        self.context = SpeechContext(manifest.labels, decision, hop_ms=self.hop_ms)
        self.policy = DetectionPolicy(
            manifest.labels, thresholds, suppression_s=decision.suppression_ms / 1000
        )
        self.on_posterior: PosteriorHook | None = None
        """Called with time, posterior and scores (or None) of every hop that the gate does not
        skip; for meters and plots. The time goes back once if `flush` processes short audio a
        second time."""

        self.gated_hops = 0
        """Hops that the gate has skipped since the last `reset`."""

        self._block = np.zeros(max(self.window_samples, self.hop_samples), dtype=np.int16)
        self._frames = np.zeros(
            (max(model.window_frames, model.hop_frames), frontend.n_bands), dtype=np.float32
        )
        self._lead_samples = (self.smoother.n_posteriors - 1) * self.hop_samples
        self._gate: EnergyGate | None = None
        if gate_db is not None:
            self._gate = EnergyGate(
                gate_db,
                sample_rate=self.sample_rate,
                window_samples=self.window_samples,
                hop_samples=self.hop_samples,
                lead_samples=self._lead_samples,
                history_samples=history_samples(frontend),
            )
        # The whole stream while it is short, for `flush`; -1 samples once it is not.
        self._leading = np.zeros(self.window_samples + self._lead_samples, dtype=np.int16)
        self._filled = self._needed = self._n_samples = 0
        self._bind_stages(timers)
        self.reset()

    def _bind_stages(self, timers: StageTimers | None) -> None:
        self._extract, self._predict = self.frontend.push, self.model.push
        self._smooth, self._decide_hop = self.smoother.push, self._decide
        if timers is not None:
            self._extract = timers.around("front_end", self._extract)
            self._predict = timers.around("model", self._predict)
            self._smooth = timers.around("smoothing", self._smooth)
            self._decide_hop = timers.around("decision", self._decide_hop)
            self.model.time_invoke(lambda invoke: timers.around("invoke", invoke))

    @classmethod
    def from_model(  # noqa: PLR0913 - every setting of a spotter, all optional
        cls,
        name_or_path: str | Path = "default",
        *,
        hop_ms: float | None = None,
        mode: str = "auto",
        runtime: str | None = None,
        kernels: str = "default",
        thresholds: Mapping[str, float] | float | None = None,
        keywords: Sequence[str] | None = None,
        n_threads: int = 1,
        gate_db: float | None = None,
        timers: StageTimers | None = None,
    ) -> KeywordSpotter:
        """Return a spotter with a model by name or by the path of its manifest.

        Parameters
        ----------
        name_or_path : str or Path
            A name in `firmware_models`, or a manifest.
        hop_ms : float, optional
            Time between windows, a multiple of the frame step. If the step is not a whole number
            of ms, the nearest number of frames is taken. Shorter: earlier detections at a higher
            cost. Default: that of the stream form (100 ms in the shipped models); 100 ms if there
            is none, or if `mode` is ``window``.
        mode : {"auto", "stream", "window"}
            Form of the model. ``auto`` takes the stream form if there is one and `hop_ms` is a
            multiple of its step. Both give the same posteriors.
        runtime, kernels, n_threads
            See `kws.inference.interpreter.open_model`.
        thresholds : float or mapping of str to float, optional
            One for all keywords, or those of some; the rest are the manifest's.
        keywords : sequence of str, optional
            Those that may fire; default: all of the model's.
        gate_db : float, optional
            Level in dB below full scale, -120 to 0. A hop is skipped, with neither front end nor
            model running, if all audio behind its scores is below this level. Other hops are
            scored as without a gate, except that skipped audio counts as quiet for the speech
            context. Higher: saves more CPU, and misses words that stay below it.
        timers : StageTimers, optional
            Times the stages, for benchmarks; without it nothing is added to a hop.

        Raises
        ------
        KwsError
            If the model, a keyword or a setting is invalid.
        """
        manifest = models.load(name_or_path)
        model = open_form(
            manifest,
            hop_ms=hop_ms,
            mode=mode,
            runtime=runtime,
            kernels=kernels,
            n_threads=n_threads,
        )
        chosen = choose_thresholds(manifest, thresholds, keywords)
        return cls(manifest, model, thresholds=chosen, gate_db=gate_db, timers=timers)

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords that may fire."""
        return tuple(self.thresholds)

    @property
    def time_s(self) -> float:
        """Seconds of audio since the start, lost samples included."""
        return self._n_samples / self.sample_rate

    def reset(self) -> None:
        """Return to the state of a new spotter, time included."""
        self._n_samples = self.gated_hops = 0
        self._lead_s = 0.0
        self._n_leading = 0
        self._reset_stages()

    def process(self, samples: NDArray[np.int16]) -> list[Detection]:
        """Return the detections in these samples.

        Parameters
        ----------
        samples : ndarray of int16, shape (n_samples,)
            Mono audio at `sample_rate` (16 kHz) that follows directly on the last call's;
            any number of samples.

        Returns
        -------
        detections : list of Detection
            In order of time, often empty.

        Raises
        ------
        AudioError
            If `samples` is not a one-dimensional int16 array.
        """
        if type(samples) is not np.ndarray or samples.dtype != np.int16 or samples.ndim != 1:
            check_samples(samples)
        detections = []
        taken, n_samples = 0, len(samples)
        while taken < n_samples:
            piece = samples[taken : taken + self._needed - self._filled]
            n = len(piece)
            if self._n_leading >= 0:
                self._keep_leading(piece)
            self._n_samples += n
            taken += n
            filled = self._filled + n
            if n < self._needed:
                self._block[self._filled : filled] = piece
                if filled < self._needed:
                    self._filled = filled
                    break
                piece = self._block[:filled]
            detection = self._hop(piece)
            self._filled = 0
            self._needed = self.hop_samples
            if detection is not None:
                # `flush` must not report it a second time.
                self._n_leading = -1
                detections.append(detection)
        return detections

    def skip(self, n_samples: int) -> None:
        """Account for lost audio: time advances, all stages are reset."""
        self._n_samples += n_samples
        self._n_leading = -1
        self._reset_stages()

    def flush(self) -> list[Detection]:
        """Return the detections still pending at the end of a file or pipe, then reset.

        Silence of one window plus the smoothing span follows the audio, so that a last word, or
        audio shorter than a window, can fire. Audio that ends before the smoothing span is full is
        processed a second time, with silence before it too: otherwise a word at its very start
        would leave the window before there are enough posteriors to average.
        """
        silence = np.zeros(self.window_samples + self._lead_samples, dtype=np.int16)
        if self._n_leading > 0:
            whole = self._leading[: self._n_leading].copy()
            self.reset()
            self._lead_s = self._lead_samples / self.sample_rate
            self.process(silence[: self._lead_samples])
            detections = self.process(whole) + self.process(silence)
        else:
            detections = self.process(silence)
        self.reset()
        return detections

    def _keep_leading(self, samples: NDArray[np.int16]) -> None:
        end = self._n_leading + len(samples)
        if end > len(self._leading):
            self._n_leading = -1
            return
        self._leading[self._n_leading : end] = samples
        self._n_leading = end

    def _reset_stages(self) -> None:
        self._reset_audio()
        if self._gate is not None:
            self._gate.reset()
        self.policy.reset()
        self.context.reset()
        self._filled = 0
        # The first block fills a window, each later one moves it on by a hop: the input of the
        # stages never depends on how the caller cuts the audio.
        self._needed = self.window_samples

    def _reset_audio(self) -> None:
        self.frontend.reset()
        self.model.reset()
        self.smoother.reset()

    def _hop(self, block: NDArray[np.int16]) -> Detection | None:
        """Return the detection at the end of this block, if there is one."""
        if self._gate is not None:
            due = self._gate.push(block)
            if due is None:
                # The policy needs no update: it uses the times of the scores.
                self.gated_hops += 1
                self.context.skip()
                return None
            block = self._catch_up(due)
        posterior = self._predict(self._extract(block, out=self._frames))[0]
        return self._decide_hop(posterior, self._smooth(posterior))

    def _decide(
        self, posterior: NDArray[np.float32], scores: NDArray[np.float32] | None
    ) -> Detection | None:
        self.context.push(posterior)
        if self.on_posterior is None and (scores is None or not self.policy.is_reached(scores)):
            # The speech context only lowers scores, so nothing can fire.
            return None
        if scores is not None:
            scores = self.context.apply(scores)
        time_s = self._n_samples / self.sample_rate - self._lead_s
        if self.on_posterior is not None:
            self.on_posterior(time_s, posterior, scores)
        return None if scores is None else self.policy.push(scores, time_s)

    def _catch_up(self, due: Due) -> NDArray[np.int16]:
        """Process the audio that the gate held back; return the block that ends this hop."""
        if due.before is not None:
            self._reset_audio()
            self.frontend.prime(due.before)
        for block in due.blocks[:-1]:
            self._smooth(self._predict(self._extract(block, out=self._frames))[0])
        return due.blocks[-1]
