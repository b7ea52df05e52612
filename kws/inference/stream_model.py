"""A model that is run on new frames only and carries what it must remember in state tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError, ModelError
from kws.inference.interpreter import Tensor
from kws.inference.model import FormModel, check_tensor
from kws.inference.quantization import FloatArray
from kws.manifest import ModelManifest

# Names of the tensors in a stream form; `training.tflite.stream_rewrite` writes them.
INPUT, OUTPUT, STATE, NEXT = "log_mel", "posterior", "state/", "next/"


class StreamModel(FormModel):
    """Run the stream form of a model: the same posteriors as the window form, for less.

    A step takes `StreamForm.hop_frames` new frames and gives the posterior of the window that ends
    with them. Each kept step of the network depends on frames of the last window alone, so
    after a window's worth of frames nothing is left of what was there before: states need no
    preparation, and the first posterior, after a full window, is the window form's.

    Parameters
    ----------
    manifest : ModelManifest
        A model that has a stream form; its file is refused unless its SHA-256 fits.
    hop_frames : int
        Frames from one window to the next, a multiple of the form's own.
    runtime, kernels, n_threads
        See `kws.inference.interpreter.open_model`.

    Raises
    ------
    ConfigError
        If the form cannot be run at this hop.
    ManifestError
        If the file is not the manifest's.
    ModelError
        If there is no stream form, or its tensors do not fit the manifest.
    """

    mode = "stream"

    def __init__(
        self,
        manifest: ModelManifest,
        *,
        hop_frames: int,
        runtime: str | None = None,
        kernels: str = "default",
        n_threads: int = 1,
    ) -> None:
        form = manifest.stream
        if form is None:
            raise ModelError(f"{manifest.path}: this model has no stream form; use --mode window")
        if hop_frames % form.hop_frames:
            duration_ms = manifest.frontend.duration_ms
            raise ConfigError(
                f"hop: the stream form of {manifest.name} runs every "
                f"{duration_ms(form.hop_frames):g} ms or a multiple of it, got "
                f"{duration_ms(hop_frames):g} ms; use --mode window, or make a stream form for "
                "it with kws-train stream, as far as the network's strides allow"
            )
        super().__init__(
            manifest,
            form,
            hop_frames=hop_frames,
            runtime=runtime,
            kernels=kernels,
            n_threads=n_threads,
        )
        where = self._where
        self._step_frames = form.hop_frames
        inputs = {tensor.name: tensor for tensor in self.opened.inputs}
        outputs = {tensor.name: tensor for tensor in self.opened.outputs}
        if INPUT not in inputs or OUTPUT not in outputs:
            raise ModelError(
                f"{where}: expected an input {INPUT!r} and an output {OUTPUT!r}, got "
                f"{', '.join(inputs)} and {', '.join(outputs)}"
            )
        self._bind(inputs.pop(INPUT), outputs.pop(OUTPUT), n_frames=self._step_frames)
        pairs = _state_pairs(inputs, outputs, manifest, where)
        self._states = [
            (_bytes(self.opened.memory(before)), _bytes(self.opened.memory(after)))
            for before, after in pairs
        ]
        self._check_memory(where)
        self._fresh = np.zeros_like(self._input_memory)
        self.reset()

    def reset(self) -> None:
        """Forget all frames: the next posterior comes after a full window."""
        for before, _ in self._states:
            before[:] = bytes(before.nbytes)
        # Steps are laid so that the first window ends with one; what stands in the frames before
        # the first is no part of any window.
        self._n_fresh = -self.window_frames % self._step_frames
        self._n_missing = self.window_frames

    def _push(self, frames: FloatArray) -> list[FloatArray]:
        posteriors = []
        taken = 0
        while taken < len(frames):
            n = min(len(frames) - taken, self._step_frames - self._n_fresh)
            self._quantizer.write(
                frames[taken : taken + n], self._fresh[0, self._n_fresh : self._n_fresh + n]
            )
            taken += n
            self._n_fresh += n
            self._n_missing -= n
            if self._n_fresh == self._step_frames:
                self._step()
                self._n_fresh = 0
                if self._n_missing == 0:
                    posteriors.append(self._posterior())
                    self._n_missing = self.hop_frames
        return posteriors

    def _predict(self, window: FloatArray) -> FloatArray:
        kept = (
            [bytes(before) for before, _ in self._states],
            self._fresh.copy(),
            self._n_fresh,
            self._n_missing,
        )
        self.reset()
        try:
            posterior: FloatArray = self.push(window)[0]
        finally:
            states, self._fresh, self._n_fresh, self._n_missing = kept
            for (before, _), state in zip(self._states, states):
                before[:] = state
        return posterior

    def _step(self) -> None:
        """Run the network on the new frames, and hand its states on to the next step."""
        np.copyto(self._input_memory, self._fresh)
        self._interpreter.invoke()
        for before, after in self._states:
            before[:] = after

    def _posterior(self) -> FloatArray:
        return self._read(self._output_memory)

    def _check_memory(self, where: str) -> None:
        """Refuse to hand states on where a state's way out lies over one's way in."""
        opened = self.opened
        arrays = [opened.memory(tensor) for tensor in (*opened.inputs, *opened.outputs)]
        starts = sorted((array.__array_interface__["data"][0], array.nbytes) for array in arrays)
        for (start, size), (following, _) in zip(starts, starts[1:]):
            if start + size > following:
                raise ModelError(
                    f"{where}: {opened.runtime} lays inputs and outputs over each other; "
                    "use --mode window"
                )


def _bytes(array: NDArray[Any]) -> memoryview:
    # As bytes, because copying between memoryviews takes a fifth of the time of numpy's.
    return array.data.cast("B")


def _state_pairs(
    inputs: dict[str, Tensor], outputs: dict[str, Tensor], manifest: ModelManifest, where: str
) -> list[tuple[Tensor, Tensor]]:
    """Return each state's input and output, which must fit each other and the manifest."""
    form = manifest.stream
    assert form is not None
    pairs = []
    for name, description in form.states.items():
        before, after = inputs.pop(STATE + name, None), outputs.pop(NEXT + name, None)
        if before is None or after is None:
            raise ModelError(
                f"{where}: {manifest.path.name} says that there is a state {name!r}, got none"
            )
        shape = tuple(description["shape"]) if isinstance(description, dict) else ()
        for tensor in (before, after):
            check_tensor(
                tensor, role=f"state {name!r}", shape=shape, manifest=manifest, where=where
            )
        # Handed on as integers, so both must mean the same by them.
        if _meaning(before) != _meaning(after):
            raise ModelError(
                f"{where}: state {name!r} comes out with scale and zero point {_meaning(after)} "
                f"but goes in with {_meaning(before)}; export the model again"
            )
        pairs.append((before, after))
    if inputs or outputs:
        raise ModelError(
            f"{where}: {manifest.path.name} does not tell of {', '.join((*inputs, *outputs))}"
        )
    return pairs


def _meaning(tensor: Tensor) -> tuple[Any, ...]:
    return (np.dtype(tensor.dtype).name, tensor.scale, tensor.zero_point)
