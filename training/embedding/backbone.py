"""A trained network that turns windows of samples into embeddings, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.features.frontends import ClipFeatures
from kws.files import sha256
from kws.inference.interpreter import open_model
from kws.inference.quantization import FrameQuantizer, dequantize

FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Backbone:
    """A .tflite file from features to one embedding, and what it needs to be run."""

    name: str
    content: bytes
    """With one input and one output ``(1, size)``, float32 or int8."""

    frontend: FrontendConfig
    window_frames: int
    window_samples: int
    hop_samples: int
    """From one window to the next, in clips longer than one."""

    licence: str = ""
    attribution: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest of a model on it tells: file, layers, checksum."""

    @property
    def fingerprint(self) -> str:
        """What tells its embeddings from those of every other backbone."""
        settings = [asdict(self.frontend), self.window_frames, self.window_samples]
        settings += [self.hop_samples, sha256(self.content)]
        return sha256(json.dumps(settings, sort_keys=True).encode())


class Embedder:
    """Windows of int16 samples at 16 kHz in, float32 embeddings out.

    Features are those of the runtime's own front end, so that an exported model hears the same.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        opened = open_model(backbone.content, where=backbone.name)
        tensor, self._made = opened.inputs[0], opened.outputs[0]
        self._opened = opened
        self._features = ClipFeatures(backbone.frontend)
        self._n_bands = backbone.frontend.n_bands
        self._input = opened.memory(tensor).reshape(backbone.window_frames, self._n_bands)
        self._output = opened.memory(self._made)
        self._quantizer = FrameQuantizer(
            mean=backbone.frontend.mean,
            std=backbone.frontend.std,
            scale=tensor.scale,
            zero_point=tensor.zero_point,
            dtype=tensor.dtype,
        )

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return int(self._output.shape[-1])

    def embed(self, windows: Iterable[NDArray[np.int16]]) -> FloatArray:
        """Return the embeddings ``(n_windows, size)`` of windows ``(window_samples,)`` each."""
        found = [self._run(window) for window in windows]
        return np.array(found, np.float32).reshape(-1, self.size)

    def _run(self, window: NDArray[np.int16]) -> FloatArray:
        frames = self._features(window)[: self.backbone.window_frames]
        self._quantizer.write(frames, self._input)
        self._opened.interpreter.invoke()
        made = self._made
        if made.scale:
            return dequantize(self._output[0], scale=made.scale, zero_point=made.zero_point)
        return np.array(self._output[0], np.float32)
