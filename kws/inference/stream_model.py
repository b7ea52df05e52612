"""The stream form of a model: it takes new frames only and carries state tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.errors import ConfigError, ModelError
from kws.inference.interpreter import Tensor
from kws.inference.model import PosteriorModel, check_tensor
from kws.inference.quantization import FloatArray
from kws.manifest import ModelManifest

# Names of the tensors in a stream form; `training.tflite.stream_rewrite` writes them.
INPUT, OUTPUT, STATE, NEXT = "log_mel", "posterior", "state/", "next/"


class StreamModel(PosteriorModel):
    """Run the stream form of a model: the posteriors of the window form at less cost.

    A step takes `StreamForm.hop_frames` new frames and gives the posterior of the window that ends
    with them. States depend on frames of the last window only, so they need no preparation: the
    first posterior comes after a full window, and equals that of the window form.
    The parameters are those of `PosteriorModel`; `hop_frames` is a multiple of the form's step.
    """

    mode = "stream"

    def __init__(self, manifest: ModelManifest, *, hop_frames: int, **settings: Any) -> None:
        form = manifest.stream
        if form is None:
            raise ModelError(f"{manifest.path}: this model has no stream form; use --mode window")
        if hop_frames % form.hop_frames:
            duration_ms = manifest.frontend.duration_ms
            raise ConfigError(
                f"hop: the stream form of {manifest.name} runs every "
                f"{duration_ms(form.hop_frames):g} ms or a multiple of it, got "
                f"{duration_ms(hop_frames):g} ms; use --mode window, or make a stream form for "
                "it with kws-train export, if the network's strides allow it"
            )
        super().__init__(manifest, form, hop_frames=hop_frames, **settings)
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
        # Steps are aligned so that the first window ends with one. Rows before its first frame
        # belong to no window.
        self._n_fresh = -self.window_frames % self._step_frames
        self._n_missing = self.window_frames

    def push(self, frames: FloatArray) -> FloatArray:
        """Return the posteriors that these frames complete (see `PosteriorModel.push`)."""
        self._check_frames(frames)
        posteriors = []
        taken, step_frames = 0, self._step_frames
        while taken < len(frames):
            n = min(len(frames) - taken, step_frames - self._n_fresh)
            piece = frames[taken : taken + n]
            taken += n
            self._n_missing -= n
            if n == step_frames:
                self._quantizer.write(piece, self._input_memory)
            else:
                self._quantizer.write(piece, self._fresh[0, self._n_fresh : self._n_fresh + n])
                self._n_fresh += n
                if self._n_fresh < step_frames:
                    break
                self._input_memory[...] = self._fresh
                self._n_fresh = 0
            self._invoke()
            for before, after in self._states:
                before[:] = after
            if self._n_missing == 0:
                posteriors.append(self._posterior())
                self._n_missing = self.hop_frames
        return self._stacked(posteriors)

    def _predict(self, window: FloatArray) -> FloatArray:
        kept = (
            [bytes(before) for before, _ in self._states],
            self._fresh.copy(),
            self._n_fresh,
            self._n_missing,
        )
        self.reset()
        try:
            # A waveform's window is a plain row of samples.
            frames = window.reshape(len(window), self._n_bands)
            posterior: FloatArray = self.push(frames)[0]
        finally:
            states, self._fresh, self._n_fresh, self._n_missing = kept
            for (before, _), state in zip(self._states, states):
                before[:] = state
        return posterior

    def _check_memory(self, where: str) -> None:
        """Refuse overlapping memory of inputs and outputs: states could not be copied."""
        opened = self.opened
        arrays = [opened.memory(tensor) for tensor in (*opened.inputs, *opened.outputs)]
        starts = sorted((array.__array_interface__["data"][0], array.nbytes) for array in arrays)
        for (start, size), (following, _) in zip(starts, starts[1:]):
            if start + size > following:
                raise ModelError(
                    f"{where}: the inputs and outputs of {opened.runtime} overlap; "
                    "use --mode window"
                )


def _bytes(array: NDArray[Any]) -> memoryview:
    # Copying between memoryviews of bytes takes a fifth of the time of numpy's copy.
    return array.data.cast("B")


def _state_pairs(
    inputs: dict[str, Tensor], outputs: dict[str, Tensor], manifest: ModelManifest, where: str
) -> list[tuple[Tensor, Tensor]]:
    """Return each state's input and output, checked against each other and the manifest."""
    form = manifest.stream
    assert form is not None
    pairs = []
    for name, description in form.states.items():
        before, after = inputs.pop(STATE + name, None), outputs.pop(NEXT + name, None)
        if before is None or after is None:
            raise ModelError(
                f"{where}: {manifest.path.name} names a state {name!r}, but the file has none"
            )
        shape = tuple(description["shape"]) if isinstance(description, dict) else ()
        for tensor in (before, after):
            check_tensor(
                tensor, role=f"state {name!r}", shape=shape, manifest=manifest, where=where
            )
        if _quantization(before) != _quantization(after):
            raise ModelError(
                f"{where}: state {name!r} has scale and zero point {_quantization(after)} as "
                f"output but {_quantization(before)} as input; export the model again"
            )
        pairs.append((before, after))
    if inputs or outputs:
        raise ModelError(
            f"{where}: {manifest.path.name} does not name {', '.join((*inputs, *outputs))}"
        )
    return pairs


def _quantization(tensor: Tensor) -> tuple[Any, ...]:
    return (np.dtype(tensor.dtype).name, tensor.scale, tensor.zero_point)
