"""A backbone over long audio, by its stream form: each frame is computed once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kws.inference.interpreter import open_model
from kws.inference.quantization import FloatArray, FrameQuantizer
from training.tflite.stream_rewrite import make_streaming

STATE, NEXT = "state/", "next/"


class StreamSteps:
    """Embeddings at every hop, the same integers as those of whole windows.

    Parameters
    ----------
    content : bytes
        The window form.
    quantizer : FrameQuantizer
        Writes frames as its input takes them.
    window_frames, hop_frames : int
    """

    def __init__(
        self, content: bytes, quantizer: FrameQuantizer, *, window_frames: int, hop_frames: int
    ) -> None:
        made = make_streaming(content, hop_frames=hop_frames, where="backbone")
        self._opened = opened = open_model(made.content, where="backbone")
        inputs = {tensor.name: opened.memory(tensor) for tensor in opened.inputs}
        outputs = {tensor.name: opened.memory(tensor) for tensor in opened.outputs}
        self._input = inputs.pop("log_mel")
        self._states = [(inputs[name], outputs[NEXT + name[len(STATE) :]]) for name in inputs]
        (self._output,) = (array for name, array in outputs.items() if not name.startswith(NEXT))
        self._quantizer = quantizer
        self._window_frames, self._hop_frames = window_frames, hop_frames

    def embed(self, frames: FloatArray) -> NDArray[np.int8]:
        """Return ``(n_hops, size)`` of the frames ``(n_frames, n_bands)`` of a recording."""
        for before, _ in self._states:
            before[...] = 0
        # Steps are laid so that the first window ends with one, as in `kws.inference.stream_model`.
        before_first = -self._window_frames % self._hop_frames
        n_steps = (len(frames) + before_first) // self._hop_frames
        first_whole = -(-self._window_frames // self._hop_frames) - 1
        fed = np.zeros((n_steps * self._hop_frames, frames.shape[1]), self._input.dtype)
        self._quantizer.write(
            np.ascontiguousarray(frames[: len(fed) - before_first]), fed[before_first:]
        )
        found = np.empty((max(0, n_steps - first_whole), self._output.shape[-1]), np.int8)
        for step in range(n_steps):
            start = step * self._hop_frames
            self._input[0] = fed[start : start + self._hop_frames]
            self._opened.interpreter.invoke()
            if step >= first_whole:
                found[step - first_whole] = self._output[0]
            for before, after in self._states:
                before[...] = after
        return found
