"""The manifest of a model, the contract between training and runtime; checked when loaded."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kws.config import SILENCE, UNKNOWN, DecisionConfig, FrontendConfig
from kws.dataclass_io import check_range, from_mapping
from kws.errors import ConfigError, ManifestError
from kws.files import (
    is_printable,
    one_line,
    read_bounded,
    read_json,
    sha256,
    write_atomically,
)

SCHEMA_VERSION = 1
# Far beyond any use: larger values are another file, or would exhaust the memory.
MAX_MANIFEST_BYTES = 4 * 2**20
MAX_MODEL_BYTES = 256 * 2**20
MAX_TEXT = 200
MAX_WINDOW_S = 60
MAX_WINDOW_VALUES = 4_000_000


@dataclass(frozen=True)
class WindowForm:
    """The form of a model that takes a whole window at every hop."""

    file: str
    """Name of the .tflite file, in the folder of the manifest."""

    sha256: str
    """Its SHA-256 in hexadecimal."""

    window_samples: int
    """Length of a window in samples at the front end's rate (1 second)."""

    window_frames: int
    """Frames of the input, ``(1, window_frames, n_bands)``; the samples of a waveform,
    ``(1, window_frames)``."""

    def __post_init__(self) -> None:
        _check_file(self.file, self.sha256)
        check_range("window_samples", self.window_samples, 1)
        check_range("window_frames", self.window_frames, 1)


@dataclass(frozen=True)
class StreamForm:
    """The form of a model that takes new frames only and carries state."""

    file: str
    sha256: str
    hop_frames: int
    """New frames per step."""

    states: Mapping[str, Any] = field(default_factory=dict)
    """For each layer with a state, a table with at least the ``shape`` of the tensors
    ``state/LAYER`` and ``next/LAYER``."""

    def __post_init__(self) -> None:
        _check_file(self.file, self.sha256)
        check_range("hop_frames", self.hop_frames, 1)
        for name, state in self.states.items():
            _check_text("states", name)
            shape = state.get("shape") if isinstance(state, Mapping) else None
            sizes = isinstance(shape, list) and all(type(size) is int for size in shape)
            if not shape or not sizes or min(shape) < 1:
                raise ConfigError(f"states.{name}: expected a shape of integers, got {state!r}")


@dataclass(frozen=True)
class ModelManifest:
    """Everything the runtime needs to know about a model."""

    name: str
    version: str
    labels: tuple[str, ...]
    """In output order; those that begin with ``_`` are not keywords."""

    frontend: FrontendConfig
    window: WindowForm
    decision: DecisionConfig
    description: str = ""
    licence: str = ""
    attribution: tuple[str, ...] = ()
    stream: StreamForm | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    path: Path = Path()
    """Of the manifest itself; not written into it."""

    def __post_init__(self) -> None:
        for text in (self.name, self.version, *self.labels):
            _check_text("name, version, labels", text)
        for text in (self.description, self.licence, *self.attribution):
            if not is_printable(text.replace("\n", " ").replace("\t", " ")):
                raise ConfigError(f"expected text that can be printed, got {text!r}")
        self._check_labels()
        self._check_window()

    def _check_labels(self) -> None:
        if "" in self.labels or len(set(self.labels)) != len(self.labels) or not self.keywords:
            raise ConfigError(f"labels must be distinct and hold a keyword, got {self.labels}")
        for name in ("thresholds", "context_weights"):
            for keyword in getattr(self.decision, name):
                if keyword not in self.keywords:
                    raise ConfigError(
                        f"decision.{name}: {keyword!r} is none of {', '.join(self.keywords)}"
                    )
        if any(self.decision.context_weights.values()) and not self.tells_speech:
            raise ConfigError(
                f"decision.context_weights: expected the labels {UNKNOWN} and {SILENCE}, "
                f"got {', '.join(self.labels)}"
            )

    def _check_window(self) -> None:
        limit = MAX_WINDOW_S * self.frontend.sample_rate
        check_range("window_samples", self.window.window_samples, 1, limit)
        if self.stream:
            longest = self.window.window_frames - 1
            check_range("stream.hop_frames", self.stream.hop_frames, 1, longest)
        available = self.frontend.n_frames(self.window.window_samples)
        if self.window.window_frames > available:
            raise ConfigError(
                f"window_frames: {self.window.window_samples} samples give {available} frames, "
                f"got {self.window.window_frames}"
            )
        if self.window.window_frames * self.frontend.n_bands > MAX_WINDOW_VALUES:
            raise ConfigError(
                f"window_frames: expected at most {MAX_WINDOW_VALUES} values a window, got "
                f"{self.window.window_frames} frames of {self.frontend.n_bands}"
            )

    @property
    def keywords(self) -> tuple[str, ...]:
        """The labels that may fire."""
        return tuple(label for label in self.labels if not label.startswith("_"))

    @property
    def tells_speech(self) -> bool:
        """Whether other speech and silence have separate labels.

        In a model with `_unknown_` only, that label covers silence too.
        """
        return UNKNOWN in self.labels and SILENCE in self.labels

    def read_form(self, form: WindowForm | StreamForm) -> bytes:
        """Return the bytes of a model file, after checking their SHA-256.

        Raises
        ------
        ManifestError
            If the file is missing or does not match the manifest.
        """
        path = self.path.parent / form.file
        try:
            content = read_bounded(path, MAX_MODEL_BYTES)
        except OSError as error:
            raise ManifestError(
                f"{path}: expected the model file that {self.path.name} names: "
                f"{error.strerror or error}"
            ) from error
        found = sha256(content)
        if found != form.sha256:
            raise ManifestError(
                f"{path}: expected sha256 {form.sha256[:16]}… from {self.path.name}, got "
                f"{found[:16]}…; the file was changed or belongs to another manifest"
            )
        return content


SECTIONS: dict[str, type] = {
    "frontend": FrontendConfig,
    "window": WindowForm,
    "stream": StreamForm,
    "decision": DecisionConfig,
}


def read_manifest(path: Path) -> ModelManifest:
    """Return the manifest at `path`; the model files are not checked.

    Raises
    ------
    ManifestError
        If the file is unreadable, not JSON, of another schema version, or invalid.
    """
    try:
        table = read_json(path, MAX_MANIFEST_BYTES)
    except OSError as error:
        raise ManifestError(f"{path}: expected a manifest, {error}") from error
    except ValueError as error:
        raise ManifestError(f"{path}: expected JSON, got: {one_line(str(error))}") from error
    if not isinstance(table, dict):
        raise ManifestError(f"{path}: expected a JSON object, got {type(table).__name__}")
    version = table.pop("schema_version", None)
    if type(version) is not int or version != SCHEMA_VERSION:
        raise ManifestError(
            f"{path}: expected schema_version {SCHEMA_VERSION}, got {one_line(str(version))}; "
            "use the kws release that made it, or export the model again"
        )
    try:
        if "path" in table:
            raise ConfigError(f"{path}: unknown key path")
        manifest = from_mapping(ModelManifest, table, where=str(path), sections=SECTIONS)
    except ConfigError as error:
        raise ManifestError(one_line(str(error))) from error
    return dataclasses.replace(manifest, path=path)


def write_manifest(manifest: ModelManifest, path: Path) -> None:
    """Write a manifest as JSON; an existing file is replaced only once all is written."""
    write_atomically(path, json.dumps(to_table(manifest), indent=2) + "\n")


def to_table(manifest: ModelManifest) -> dict[str, Any]:
    """Return the manifest as plain JSON values."""
    table = dataclasses.asdict(manifest)
    del table["path"]
    # Settings that this kind of front end does not use would only confuse readers.
    table["frontend"] = {
        key: value for key, value in table["frontend"].items() if key in manifest.frontend.settings
    }
    if manifest.stream is None:
        del table["stream"]
    # An older kws refuses unknown keys, so write these only if they are used.
    for key in ("context_weights", "context_ms", "context_delay_ms"):
        if table["decision"][key] == getattr(DecisionConfig(), key) and not any(
            manifest.decision.context_weights.values()
        ):
            del table["decision"][key]
    first = ("name", "version", "description", "licence", "attribution", "labels", "frontend")
    return {
        "schema_version": SCHEMA_VERSION,
        **{key: table.pop(key) for key in first},
        **table,
    }


def _check_text(what: str, text: str) -> None:
    """Refuse text that is not safe in a terminal, a line of output or an environment variable."""
    if len(text) > MAX_TEXT or not is_printable(text):
        raise ConfigError(
            f"{what}: expected text of at most {MAX_TEXT} characters that can be printed, "
            f"got {text!r}"
        )


def _check_file(file: str, sha256: str) -> None:
    """Refuse names outside the manifest's folder, and text that is not a SHA-256."""
    if not file or Path(file).name != file or file == ".." or not is_printable(file):
        raise ConfigError(f"file must be a name without folders, got {file!r}")
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ConfigError(f"sha256 must be 64 lower-case hexadecimal digits, got {sha256!r}")
