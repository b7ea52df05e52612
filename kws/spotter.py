"""Samples in, detections out: everything between the ring buffer and the callback."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kws import models
from kws.decision.energy_gate import Due, EnergyGate
from kws.decision.policy import Detection, DetectionPolicy
from kws.decision.smoothing import PosteriorSmoother
from kws.decision.speech_context import SpeechContext
from kws.decision.thresholds import chosen_thresholds
from kws.features.decimation import SIDE_SAMPLES, Decimator
from kws.features.frontends import decimation_factor, open_frontend
from kws.features.streaming import check_samples
from kws.inference.model import PosteriorModel
from kws.inference.select import HOP_MS, MODES, open_form
from kws.leading_audio import Beginning
from kws.manifest import ModelManifest

__all__ = ["HOP_MS", "MODES", "KeywordSpotter", "PosteriorHook"]

PosteriorHook = Callable[[float, NDArray[np.float32], "NDArray[np.float32] | None"], None]


class KeywordSpotter:
    """Spot keywords in a stream of samples; no thread, no clock, no device.

    Time is counted in samples fed. The audio is worked on hop by hop, however it is cut, so
    that the detections, their times and their scores are the same to the last bit.

    Parameters
    ----------
    manifest : ModelManifest
        Describes the model: labels, front end, decision.
    model : PosteriorModel
        Either form of it.
    thresholds : mapping of str to float
        Keywords that may fire, with the score each needs.
    gate_db : float, optional
        See `from_model`.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        model: PosteriorModel,
        *,
        thresholds: Mapping[str, float],
        gate_db: float | None = None,
    ) -> None:
        frontend = manifest.frontend
        hop_ms = frontend.duration_ms(model.hop_frames)
        factor = decimation_factor(frontend)
        decision = manifest.decision
        self.manifest = manifest
        self.model = model
        self.thresholds = dict(thresholds)
        """The keywords that may fire, with the score each needs."""

        self.hop_ms = hop_ms
        self.sample_rate = frontend.sample_rate * factor
        """Rate of the samples that `process` takes: 16 kHz, for a model of 8 kHz too."""

        self._decimator = Decimator(factor) if factor > 1 else None
        self.frontend = open_frontend(frontend)
        self.smoother = PosteriorSmoother.spanning(decision.smoothing_ms, hop_ms=hop_ms)
        self.context = SpeechContext.of(manifest.labels, decision, hop_ms=hop_ms)
        """What was heard before."""

        self.policy = DetectionPolicy(
            manifest.labels, thresholds, suppression_s=decision.suppression_ms / 1000
        )
        self.on_posterior: PosteriorHook | None = None
        """Called with time, posterior and scores (or None) of every hop that the gate, if there is
        one, does not pass over; for meters and plots. The time goes back once where `flush` goes
        through short audio again."""

        self.gated_hops = 0
        """Hops that the gate has passed over since the last `reset`."""

        self.window_samples = factor * frontend.n_samples(model.window_frames)
        """Samples fed until the first posterior."""

        self.hop_samples = factor * model.hop_frames * frontend.frame_step_samples
        """Samples fed from one posterior to the next."""

        self._block = np.zeros(max(self.window_samples, self.hop_samples), dtype=np.int16)
        self._frames = np.zeros(
            (max(model.window_frames, model.hop_frames), frontend.n_bands), dtype=np.float32
        )
        self._lead_samples = (self.smoother.n_posteriors - 1) * self.hop_samples
        self._gate = None if gate_db is None else self._make_gate(gate_db, factor)
        self._beginning = Beginning(self.window_samples + self._lead_samples)
        self._filled = self._needed = self._n_samples = 0
        self.reset()

    @classmethod
    def from_model(
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
    ) -> KeywordSpotter:
        """Return a spotter with a model by name or by the path of its manifest.

        Parameters
        ----------
        name_or_path : str or Path
            A name in `firmware_models`, or a manifest.
        hop_ms : float, optional
            Time between windows, a multiple of the frame step; where that is no whole number of
            ms, the nearest number of frames is taken. Shorter: detections come sooner, and
            cost more. Without it the stream form's own (100 ms in the models that ship); 100 ms
            where there is none, or `mode` is ``window``.
        mode : {"auto", "stream", "window"}
            Form of the model; ``auto`` takes the stream form if there is one and `hop_ms` is
            a multiple of its own. Both give the same posteriors.
        runtime, kernels, n_threads
            See `kws.inference.interpreter.open_model`.
        thresholds : float or mapping of str to float, optional
            One for all keywords, or some keywords' own; the manifest's hold for the rest.
        keywords : sequence of str, optional
            The only ones that may fire; without it all of the model's.
        gate_db : float, optional
            Level in dB below full scale, -120 to 0. Hops whose scores would come from audio below
            it alone are passed over: neither front end nor model runs. All others are scored as
            without it, but that what was passed over counts as quiet before them. Higher: saves
            more, and loses words that stay below it.

        Raises
        ------
        KwsError
            If the model, a keyword or a setting does not fit; the message says which.
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
        chosen = chosen_thresholds(manifest, thresholds, keywords)
        return cls(manifest, model, thresholds=chosen, gate_db=gate_db)

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords that may fire."""
        return tuple(self.thresholds)

    @property
    def time_s(self) -> float:
        """Seconds of audio fed since the start, lost samples included."""
        return self._n_samples / self.sample_rate

    def reset(self) -> None:
        """Start anew: equals a new spotter, time included."""
        self._n_samples = self.gated_hops = 0
        self._lead_s = 0.0
        self._beginning.reset()
        self._restart_stages()

    def process(self, samples: NDArray[np.int16]) -> list[Detection]:
        """Return the detections that these samples bring.

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
        check_samples(samples)
        detections = []
        taken = 0
        while taken < len(samples):
            piece = samples[taken : taken + self._needed - self._filled]
            n = len(piece)
            self._beginning.push(piece)
            self._n_samples += n
            taken += n
            if n == self._needed:
                # A whole block at once, as a microphone set to the hop gives it: no copy.
                detection = self._hop(piece)
            else:
                self._block[self._filled : self._filled + n] = piece
                self._filled += n
                if self._filled < self._needed:
                    break
                detection = self._hop(self._block[: self._needed])
                self._filled = 0
            self._needed = self.hop_samples
            if detection is not None:
                self._beginning.give_up()
                detections.append(detection)
        return detections

    def skip(self, n_samples: int) -> None:
        """Tell of audio that was lost: time goes on, all stages start anew."""
        self._n_samples += n_samples
        self._beginning.give_up()
        self._restart_stages()

    def flush(self) -> list[Detection]:
        """Return what was still to come at the end of a file or pipe, then reset.

        Silence of one window plus the smoothing is fed, so that a last word, or audio shorter
        than a window, is heard. Audio that is over before the smoothing has filled is gone
        through again with silence before it too: a word at its very start would else have left
        the window before there are enough posteriors to average.
        """
        silence = np.zeros(self.window_samples + self._lead_samples, dtype=np.int16)
        whole = self._beginning.whole()
        if whole is not None:
            self.reset()
            self._lead_s = self._lead_samples / self.sample_rate
            self.process(silence[: self._lead_samples])
            detections = self.process(whole) + self.process(silence)
        else:
            detections = self.process(silence)
        self.reset()
        return detections

    def _restart_stages(self) -> None:
        self._forget_audio()
        if self._gate is not None:
            self._gate.reset()
        self.policy.reset()
        self.context.reset()
        self._filled = 0
        # The first block fills a whole window, each later one moves it on by a hop: what the
        # stages get, and so what they compute, never depends on how the caller cuts the audio.
        self._needed = self.window_samples

    def _forget_audio(self) -> None:
        if self._decimator is not None:
            self._decimator.reset()
        self.frontend.reset()
        self.model.reset()
        self.smoother.reset()

    def _hop(self, block: NDArray[np.int16]) -> Detection | None:
        """Return the detection at the end of this block, if there is one."""
        if self._gate is not None:
            due = self._gate.push(block)
            if due is None:
                # The policy need not know: it goes by the time of the scores that it is given.
                self.gated_hops += 1
                self.context.skip()
                return None
            block = self._catch_up(due)
        posterior = self._posterior(block)
        scores = self.smoother.push(posterior)
        self.context.push(posterior)
        if scores is not None:
            scores = self.context.weigh(scores)
        time_s = self.time_s - self._lead_s
        if self.on_posterior is not None:
            self.on_posterior(time_s, posterior, scores)
        return None if scores is None else self.policy.push(scores, time_s)

    def _posterior(self, block: NDArray[np.int16]) -> NDArray[np.float32]:
        if self._decimator is not None:
            block = self._decimator.push(block)
        posterior: NDArray[np.float32] = self.model.push(
            self.frontend.push(block, out=self._frames)
        )[0]
        return posterior

    def _make_gate(self, gate_db: float, factor: int) -> EnergyGate:
        return EnergyGate(
            gate_db,
            sample_rate=self.sample_rate,
            window_samples=self.window_samples,
            hop_samples=self.hop_samples,
            lead_samples=self._lead_samples,
            history_samples=2 * SIDE_SAMPLES * factor if factor > 1 else 0,
        )

    def _catch_up(self, due: Due) -> NDArray[np.int16]:
        """Let the stages hear what the gate passed over; return the block that ends this hop."""
        if due.before is not None:
            self._forget_audio()
            if self._decimator is not None:
                self._decimator.push(due.before)
        for block in due.blocks[:-1]:
            self.smoother.push(self._posterior(block))
        return due.blocks[-1]
