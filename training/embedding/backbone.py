"""Backbones: trained networks that turn windows of samples into embeddings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kws.config import FrontendConfig
from kws.dataclass_io import from_mapping
from kws.errors import ConfigError, ModelError
from kws.features.frontends import ClipFeatures
from kws.files import sha256
from kws.inference.interpreter import open_model
from kws.inference.quantization import FrameQuantizer, dequantize
from kws.inference.stream_model import NEXT, STATE
from kws.models import FIRMWARE_MODELS
from training.batches.features import float32_features
from training.embedding.truncate import truncate
from training.tflite.stream_rewrite import make_streaming

FloatArray = NDArray[np.float32]
SHIPPED = FIRMWARE_MODELS / "backbones"


@dataclass(frozen=True)
class Backbone:
    """A .tflite file from features to one embedding, and how to feed it."""

    name: str
    content: bytes
    """One input and one output ``(1, size)``, float32 or int8."""

    frontend: FrontendConfig
    window_frames: int
    window_samples: int
    hop_samples: int
    """Distance between windows of clips longer than one window."""

    licence: str = ""
    attribution: tuple[str, ...] = ()
    origin: Mapping[str, Any] = field(default_factory=dict)
    """Provenance for manifests: file, layers, checksum."""

    @property
    def fingerprint(self) -> str:
        """A hash of everything that determines the embeddings."""
        settings = [asdict(self.frontend), self.window_frames, self.window_samples]
        settings += [self.hop_samples, sha256(self.content)]
        return sha256(json.dumps(settings, sort_keys=True).encode())


@dataclass(frozen=True)
class WordBackbone:
    """An int8 backbone of this project, described by ``NAME.json`` beside its .tflite file."""

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
    """Network steps in an embedding, concatenated; each is one hop later than the last."""

    negatives: str
    licence: str
    attribution: tuple[str, ...]
    training: dict[str, Any]

    @classmethod
    def read(cls, name_or_path: str | Path) -> WordBackbone:
        """Return a shipped backbone by name, or the one described by a .json file.

        Raises
        ------
        ConfigError
            If there is no such backbone, or its file is invalid.
        """
        path = Path(name_or_path)
        shipped = SHIPPED / f"{name_or_path}.json"
        if path.name == str(name_or_path) and shipped.is_file():
            path = shipped
        if not path.is_file():
            raise ConfigError(
                f"backbone {str(name_or_path)!r}: expected a shipped one "
                f"({', '.join(shipped_names()) or 'none'}) or the path of its .json file"
            )
        try:
            table = {**json.loads(path.read_text(encoding="utf-8")), "path": path}
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{path}: expected the .json file of a backbone: {error}") from error
        return from_mapping(cls, table, where=str(path), sections={"frontend": FrontendConfig})

    @property
    def hop_s(self) -> float:
        """Time between two steps of the streaming model, in s."""
        return self.hop_frames * self.frontend.frame_step_ms / 1000

    @property
    def negatives_path(self) -> Path:
        """The file of negative examples, which need not exist."""
        return self.path.parent / self.negatives

    def read_file(self) -> bytes:
        """Return the .tflite file after checking its SHA-256."""
        content = (self.path.parent / self.file).read_bytes()
        if sha256(content) != self.sha256:
            raise ModelError(
                f"{self.path.parent / self.file}: its SHA-256 is not the one in {self.path.name}"
            )
        return content

    def truncated(self, layers: tuple[str, ...] = ()) -> Backbone:
        """Return it as a `Backbone` whose embedding is the output of `layers`; none: its own."""
        content = self.read_file()
        return Backbone(
            name=self.name,
            content=truncate(content, layers, where=self.file) if layers else content,
            frontend=self.frontend,
            window_frames=self.window_frames,
            window_samples=self.window_samples,
            hop_samples=self.window_samples // 2,
            licence=self.licence,
            attribution=self.attribution,
            origin={
                "backbone": f"{self.name} {self.version}",
                "file_sha256": self.sha256,
                "layers": list(layers),
                "left_out": list(self.training.get("left_out", ())),
            },
        )


def shipped_names() -> list[str]:
    """Return the names of the shipped backbones."""
    return sorted(path.stem for path in SHIPPED.glob("*.json"))


class Embedder:
    """Windows of int16 samples at 16 kHz in, float32 embeddings out.

    Features come from the runtime's own front end, so an exported model sees the same ones.
    """

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self._model = open_model(backbone.content, where=backbone.name)
        tensor, self._output_tensor = self._model.inputs[0], self._model.outputs[0]
        self._features = ClipFeatures(backbone.frontend)
        shape = (backbone.window_frames, backbone.frontend.n_bands)
        self._input = self._model.memory(tensor).reshape(shape)
        self._output = self._model.memory(self._output_tensor)
        self._quantizer = FrameQuantizer(
            mean=backbone.frontend.mean,
            std=backbone.frontend.std,
            scale=tensor.scale,
            zero_point=tensor.zero_point,
            dtype=tensor.dtype,
        )

    @property
    def size(self) -> int:
        """Length of an embedding."""
        return int(self._output.shape[-1])

    def embed(self, windows: Iterable[NDArray[np.int16]]) -> FloatArray:
        """Return the embeddings ``(n_windows, size)`` of windows ``(window_samples,)`` each."""
        return self.dequantize(np.array([self._run(window) for window in windows]))

    def dequantize(self, outputs: NDArray[Any]) -> FloatArray:
        """Return outputs of the network as float32 ``(n, size)``."""
        tensor = self._output_tensor
        if tensor.scale and len(outputs):
            outputs = dequantize(outputs, scale=tensor.scale, zero_point=tensor.zero_point)
        return np.asarray(outputs, np.float32).reshape(-1, self.size)

    def _run(self, window: NDArray[np.int16]) -> NDArray[Any]:
        self._quantizer.write(self._features(window)[: self.backbone.window_frames], self._input)
        self._model.interpreter.invoke()
        return np.array(self._output[0])


class WordEmbedder(Embedder):
    """An embedder for long recordings too: its streaming model computes each frame once.

    The int8 embeddings of both ways are equal.
    """

    def __init__(self, description: WordBackbone) -> None:
        super().__init__(description.truncated())
        # The runtime's features in float32, as the shipped negatives were made: half the cost.
        self._features = float32_features(description.frontend)
        self.description = description
        self.hop_s = description.hop_s
        made = make_streaming(
            self.backbone.content, hop_frames=description.hop_frames, where=description.file
        )
        self._stream = stream = open_model(made.content, where=description.file)
        inputs = {tensor.name: stream.memory(tensor) for tensor in stream.inputs}
        outputs = {tensor.name: stream.memory(tensor) for tensor in stream.outputs}
        self._stream_input = inputs.pop("log_mel")
        self._states = [(inputs[name], outputs[NEXT + name[len(STATE) :]]) for name in inputs]
        (self._stream_output,) = (
            array for name, array in outputs.items() if not name.startswith(NEXT)
        )

    def embed_recording(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        """Return the int8 embeddings at all hops of a recording, ``(n_hops, size)``."""
        frames = self._features(samples)
        if len(frames) < self.description.window_frames:
            return np.empty((0, self.size), np.int8)
        for state, _ in self._states:
            state[...] = 0
        hop = self.description.hop_frames
        # The first window must end with a step, as in `kws.inference.stream_model`.
        n_padding = -self.description.window_frames % hop
        n_steps = (len(frames) + n_padding) // hop
        first_whole = -(-self.description.window_frames // hop) - 1
        padded = np.zeros((n_steps * hop, frames.shape[1]), np.int8)
        self._quantizer.write(
            np.ascontiguousarray(frames[: len(padded) - n_padding]), padded[n_padding:]
        )
        embeddings = np.empty((n_steps - first_whole, self.size), np.int8)
        for step in range(n_steps):
            self._stream_input[0] = padded[step * hop : (step + 1) * hop]
            self._stream.interpreter.invoke()
            if step >= first_whole:
                embeddings[step - first_whole] = self._stream_output[0]
            for state, following in self._states:
                state[...] = following
        return embeddings

    def steps(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        """Return the network steps of a recording, ``(n_hops + moments - 1, size / moments)``.

        Each embedding is `moments` consecutive steps, so this stores the same values only once.
        """
        embeddings = self.embed_recording(samples)
        size = self.size // self.description.moments
        if not len(embeddings):
            return np.empty((0, size), np.int8)
        return np.concatenate([embeddings[:, :size], embeddings[-1, size:].reshape(-1, size)])
