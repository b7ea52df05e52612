"""The backbones that a recipe can name: YAMNet, Google's speech embedding, our own networks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kws.config import FrontendConfig
from kws.errors import ConfigError
from kws.files import sha256
from kws.inference.interpreter import open_model
from training.config.data_sections import expand_path
from training.config.sections import TransferConfig
from training.embedding.backbone import Backbone
from training.embedding.truncate import cut
from training.tflite.multi_window import multi_window

if TYPE_CHECKING:
    from training.embedding.extract import Embedder

# Its own framing: 0.96 s of frames of 25 ms, one every half of it.
YAMNET_WINDOW, YAMNET_HOP = 15_600, 7_680
YAMNET_LAYER = "global_average_pooling2d/Mean"
SPEECH_EMBEDDING_LAYER = "embedding"


def open_backbone(config: TransferConfig) -> Backbone:
    """Return the backbone that a recipe names, cut at the recipe's layers.

    Raises
    ------
    ConfigError
        If there is none of this name, or it has no such layer.
    """
    name = config.backbone
    if not name:
        raise ConfigError("transfer.backbone: the recipe names none; see kws-train recipes")
    backbone = _open(name, config)
    if config.windows > 1 and backbone.frontend.kind != "waveform":
        raise ConfigError(
            f"transfer.windows: {name} takes frames; only a network that takes samples can have "
            f"more than 1, got {config.windows}"
        )
    return backbone


def _open(name: str, config: TransferConfig) -> Backbone:
    if name in NAMED:
        return NAMED[name](config)
    path = expand_path(name, where="transfer.backbone")
    if path is not None and (path / "recipe.json").is_file():
        return _run(path, config)
    if path is not None and path.suffix == ".tflite" and path.is_file():
        return _file(path, config)
    return _own(name if path is None or not path.is_file() else str(path), config)


def _yamnet(config: TransferConfig) -> Backbone:
    path = expand_path(config.file, where="transfer.file")
    if path is None or not path.is_file():
        raise ConfigError(
            f"transfer.file: expected YAMNet's .tflite file, found no {path or 'name of one'}; "
            "kws-train fetch yamnet --out $KWS_DATA"
        )
    return _waveform_backbone(
        "yamnet",
        path,
        config.layers or (YAMNET_LAYER,),
        hop_samples=YAMNET_HOP,
        n_windows=config.windows,
        licence="Apache-2.0",
        attribution=("YAMNet, Google, trained on AudioSet, Apache-2.0",),
    )


def _file(path: Path, config: TransferConfig) -> Backbone:
    """Return any .tflite file that takes samples -1..1; its windows lap over by half."""
    return _waveform_backbone(
        path.stem, path, config.layers, hop_samples=0, n_windows=config.windows
    )


def _waveform_backbone(
    name: str, path: Path, layers: tuple[str, ...], *, hop_samples: int, n_windows: int, **said: Any
) -> Backbone:
    content = path.read_bytes()
    embedding = cut(content, layers, where=str(path))
    shape = open_model(embedding, where=str(path)).inputs[0].shape
    if len(shape) != 2:
        raise ConfigError(
            f"{path}: expected a network that takes samples (1, n), got an input {shape}; name "
            "the .json file of a backbone, or the folder of a run, to say what it is fed"
        )
    hop_samples = hop_samples or max(1, shape[1] // 2)
    n_samples = shape[1] + (n_windows - 1) * hop_samples
    if n_windows > 1:
        embedding = multi_window(
            embedding, n_windows=n_windows, hop_samples=hop_samples, where=str(path)
        )
    return Backbone(
        name=name,
        content=embedding,
        frontend=FrontendConfig(kind="waveform"),
        window_frames=n_samples,
        window_samples=n_samples,
        hop_samples=n_windows * hop_samples,
        origin={"backbone": name, "file_sha256": sha256(content), "layers": list(layers)},
        **said,
    )


def _speech_embedding(config: TransferConfig) -> Backbone:
    """Return Google's speech embedding: its weights are in the package pyopen-wakeword."""
    from training.architectures import pretrained
    from training.architectures.recipe_model import build_model
    from training.config import recipe as recipes
    from training.embedding.extract import Embedder

    recipe = recipes.load("embedding")
    model = build_model(recipe)
    pretrained.load_speech_embedding(model)
    layers = config.layers or (SPEECH_EMBEDDING_LAYER,)
    return _keras_backbone(
        "speech-embedding",
        Embedder(model, recipe, taps=layers),
        licence="Apache-2.0",
        attribution=("Speech embedding, Google (Lin et al. 2020), Apache-2.0",),
        origin={"backbone": "speech-embedding", "layers": list(layers)},
    )


def _run(path: Path, config: TransferConfig) -> Backbone:
    """Return the network of a training run, in float32."""
    from training.config.run_folder import RunFolder
    from training.embedding.extract import Embedder

    run = RunFolder(path)
    embedder = Embedder.open(run, taps=config.layers)
    recipe = embedder.recipe
    return _keras_backbone(
        path.name,
        embedder,
        licence=recipe.data.licence,
        attribution=tuple(recipe.data.attribution),
        origin={
            "backbone": recipe.name,
            "weights_sha256": sha256(run.best.read_bytes()),
            "layers": list(config.layers),
            "left_out": list(recipe.words.excluded),
        },
    )


def _keras_backbone(name: str, embedder: Embedder, **said: Any) -> Backbone:
    from training.tflite.convert import convert_float

    recipe = embedder.recipe
    return Backbone(
        name=name,
        content=convert_float(embedder.model),
        frontend=recipe.frontend,
        window_frames=recipe.model.window_frames,
        window_samples=recipe.clip_samples,
        hop_samples=recipe.clip_samples // 2,
        **said,
    )


def _own(name_or_path: str, config: TransferConfig) -> Backbone:
    """Return a backbone of this project, int8, as `kws-enroll` uses it."""
    from training.embedding.word_backbone import SHIPPED, BackboneFile

    if not (SHIPPED / f"{name_or_path}.json").is_file() and not Path(name_or_path).is_file():
        shipped = sorted(path.stem for path in SHIPPED.glob("*.json"))
        raise ConfigError(
            f"transfer.backbone: expected {', '.join([*NAMED, *shipped])}, the folder of a run, "
            f"or a .json or .tflite file, got {name_or_path!r}"
        )
    file = BackboneFile.read(name_or_path)
    content = file.read_file()
    return Backbone(
        name=file.name,
        content=cut(content, config.layers, where=file.file) if config.layers else content,
        frontend=file.frontend,
        window_frames=file.window_frames,
        window_samples=file.window_samples,
        hop_samples=file.window_samples // 2,
        licence=file.licence,
        attribution=file.attribution,
        origin={
            "backbone": f"{file.name} {file.version}",
            "file_sha256": file.sha256,
            "layers": list(config.layers),
            "left_out": list(file.training.get("left_out", ())),
        },
    )


NAMED: dict[str, Callable[[TransferConfig], Backbone]] = {
    "yamnet": _yamnet,
    "speech-embedding": _speech_embedding,
}
