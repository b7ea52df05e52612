"""The embedding that words are learned on: the project's own network, cut before its head."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.errors import ConfigError, ModelError
from kws.files import sha256
from kws.inference.interpreter import open_model
from kws.inference.quantization import FrameQuantizer, dequantize
from kws.models import FIRMWARE_MODELS
from training.batches.features import FeatureMaker
from training.embedding.stream_steps import StreamSteps

FloatArray = NDArray[np.float32]
SHIPPED = FIRMWARE_MODELS / "backbones"


@dataclass(frozen=True)
class BackboneFile:
    """``NAME.json`` beside the backbone's .tflite file: what makes an embedding of samples."""

    path: Path
    name: str
    version: str
    frontend: FrontendConfig
    file: str
    sha256: str
    window_frames: int
    window_samples: int
    hop_frames: int
    moments: int
    """Steps of the network that are laid end to end to an embedding: each later by a hop."""

    negatives: str
    licence: str
    attribution: tuple[str, ...]
    training: dict[str, Any]

    @classmethod
    def read(cls, name_or_path: str | Path) -> BackboneFile:
        """Return a shipped backbone by its name, or the one whose .json file is given.

        Raises
        ------
        ConfigError
            If there is none, or its file says nonsense.
        """
        path = Path(name_or_path)
        shipped = SHIPPED / f"{name_or_path}.json"
        if path.name == str(name_or_path) and shipped.is_file():
            path = shipped
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.json"))) or "none"
            raise ConfigError(
                f"backbone {str(name_or_path)!r}: expected one that ships ({known}) or the path "
                "of its .json file"
            )
        try:
            table = json.loads(path.read_text(encoding="utf-8"))
            frontend = FrontendConfig(**table.pop("frontend"))
            attribution = tuple(table.pop("attribution"))
            return cls(path=path, frontend=frontend, attribution=attribution, **table)
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError(f"{path}: expected the .json file of a backbone: {error}") from error

    def read_file(self) -> bytes:
        """Return the .tflite file, but only if its SHA-256 is the one that is written down."""
        content = (self.path.parent / self.file).read_bytes()
        if sha256(content) != self.sha256:
            raise ModelError(f"{self.path.parent / self.file}: not the file {self.path.name} names")
        return content


class Backbone:
    """Windows of samples in, embeddings out; int8 inside, as the exported model is."""

    def __init__(self, file: BackboneFile) -> None:
        self.file = file
        self.content = file.read_file()
        opened = open_model(self.content, where=file.file)
        tensor = opened.inputs[0]
        self._opened = opened
        self._input = opened.memory(tensor)
        self._output = opened.memory(opened.outputs[0])
        self._quantizer = FrameQuantizer(
            mean=file.frontend.mean,
            std=file.frontend.std,
            scale=tensor.scale,
            zero_point=tensor.zero_point,
            dtype=tensor.dtype,
        )
        self._long = StreamSteps(
            self.content,
            self._quantizer,
            window_frames=file.window_frames,
            hop_frames=file.hop_frames,
        )
        self._features = FeatureMaker(file.frontend)

    @property
    def size(self) -> int:
        """Numbers in an embedding."""
        return int(self._output.shape[-1])

    def embed(self, windows: Iterable[NDArray[np.int16]]) -> FloatArray:
        """Return the embeddings of windows of samples, ``(n_windows, size)``.

        Parameters
        ----------
        windows : iterable of ndarray of int16, shape (window_samples,)
        """
        return self.real(np.array([self._ints(self._frames(w)) for w in windows], np.int8))

    @property
    def hop_s(self) -> float:
        """Time from one hop of the stream form to the next, in s."""
        return self.file.hop_frames * self.file.frontend.frame_step_ms / 1000

    def embed_long(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        """Return the int8 embeddings at all hops of a recording, ``(n_hops, size)``."""
        frames = self._frames(samples)
        if len(frames) < self.file.window_frames:
            return np.empty((0, self.size), np.int8)
        return self._long.embed(frames)

    def steps(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        """Return the steps of a recording, ``(n_hops + moments - 1, size / moments)``.

        An embedding is `moments` of them in a row: the same as `embed_long`, said once.
        """
        found = self.embed_long(samples)
        size = self.size // self.file.moments
        if not len(found):
            return np.empty((0, size), np.int8)
        return np.concatenate([found[:, :size], found[-1, size:].reshape(-1, size)])

    def real(self, embeddings: NDArray[np.int8]) -> FloatArray:
        """Return the real values of int8 embeddings."""
        tensor = self._opened.outputs[0]
        values = dequantize(embeddings, scale=tensor.scale, zero_point=tensor.zero_point)
        return values.reshape(-1, self.size)

    def _frames(self, samples: NDArray[np.int16]) -> FloatArray:
        """Return frames as the runtime's front end gives them, before normalisation."""
        config = self.file.frontend
        return self._features.frames(samples) * np.float32(config.std) + np.float32(config.mean)

    def _ints(self, frames: FloatArray) -> NDArray[np.int8]:
        self._quantizer.write(frames[: self.file.window_frames], self._input)
        self._opened.interpreter.invoke()
        return np.array(self._output[0])
