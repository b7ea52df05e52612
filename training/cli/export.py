"""`kws-train export`: from a training run to int8 models, and from a model to C source."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kws import models
from kws.audio.files import read_file
from kws.cli import program
from kws.errors import ConfigError, ModelError
from kws.features.frontends import ClipFeatures
from kws.manifest import ModelManifest, read_manifest

if TYPE_CHECKING:
    from training.tflite.stream_rewrite import StreamingModel

EXAMPLES = """\
  kws-train export runs/default --out my_models           both models and the manifest
  kws-train export runs/default --float --out my_models   in float32, as default-float
  kws-train export default --hop-frames 2 --out fast      a streaming model with steps of 20 ms
  kws-train export default --c-array --out firmware/src   C source for TFLite Micro
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands,
        "export",
        examples=EXAMPLES,
        text="int8 .tflite files and manifest from a run; streaming model and C source of a model",
    )
    made.set_defaults(handler=export)
    made.add_argument(
        "source",
        metavar="RUN|MODEL",
        help="folder of a training run, or the name or manifest of an exported model",
    )
    made.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="folder to write to (default: firmware_models; for a MODEL this folder)",
    )
    made.add_argument("--name", help="name of the model (default: the recipe's)")
    made.add_argument("--model-version", help="version for the manifest (default: 1)")
    made.add_argument(
        "--float", action="store_true", help="float32 instead of int8, as NAME-float, to compare"
    )
    made.add_argument(
        "--hop-frames",
        type=int,
        metavar="N",
        help="make a streaming model with N new frames a step, a multiple of the network's stride "
        "in time (default for a RUN: the recipe's, mostly 10; 0 makes none)",
    )
    made.add_argument(
        "--audio",
        type=Path,
        metavar="FILE",
        help="speech on which a MODEL and its streaming model must agree (default: the demo)",
    )
    made.add_argument(
        "--c-array",
        action="store_true",
        help="also write C source for TFLite Micro: NAME_model.h and NAME_model.cc",
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def export(arguments: argparse.Namespace) -> int:
    """Export a run, or add a streaming model or C source to a model."""
    report: dict[str, Any] = {}
    lines: list[str] = []
    if _is_run(arguments.source):
        path, out = _export_run(arguments)
        report["manifest"] = str(path)
        lines.append(str(path))
    else:
        path, out = _exported_model(arguments), arguments.out or Path()
        if arguments.hop_frames is not None:
            manifest, made = _add_streaming_model(read_manifest(path), arguments, out)
            path = manifest.path
            assert manifest.stream is not None
            report |= {"manifest": str(path), "sha256": manifest.stream.sha256, **_summary(made)}
            lines.append(_text(path, made))
    if arguments.c_array:
        report["c_array"] = [str(file) for file in _write_c_source(path, out)]
        lines += report["c_array"]
    if arguments.json:
        program.print_json(report)
    elif lines:
        print("\n".join(lines))
    return 0


def _is_run(source: str) -> bool:
    """Return whether `source` is a run's folder; a folder named like a model must hold a run."""
    return Path(source, "recipe.json").is_file() or (
        Path(source).is_dir() and source not in models.names()
    )


def _export_run(arguments: argparse.Namespace) -> tuple[Path, Path]:
    """Return the manifest of an exported run, and its folder."""
    from training.config.run_folder import RunFolder
    from training.export.export import export as export_run

    out = arguments.out or Path("firmware_models")
    if arguments.float and arguments.c_array:
        raise ConfigError("--float and --c-array: C source is for int8 models; leave one out")
    if arguments.audio:
        raise ConfigError("--audio: a run is compared on its validation clips; leave it out")
    run = RunFolder(Path(arguments.source))
    # A float model never replaces the int8 model.
    name = arguments.name or (f"{run.read_recipe().name}-float" if arguments.float else None)
    manifest = export_run(
        run,
        out,
        name=name,
        version=arguments.model_version or "1",
        as_float=arguments.float,
        hop_frames=arguments.hop_frames,
    )
    return manifest, out


def _exported_model(arguments: argparse.Namespace) -> Path:
    """Return the manifest of a model that is already exported."""
    source = arguments.source
    try:
        manifest = models.find(source)
    except ModelError as error:
        if Path(source).exists():
            raise
        raise ModelError(
            f"{source}: expected the folder of a training run, the path of a manifest, "
            f"or one of {', '.join(models.names())}"
        ) from error
    if arguments.name or arguments.model_version:
        raise ConfigError(
            f"{source}: --name and --model-version are for a training run; "
            "this model has its name and version already"
        )
    if arguments.float:
        raise ConfigError(f"{source}: --float needs the training run; this model is made already")
    if arguments.hop_frames is None and not arguments.c_array:
        raise ConfigError(
            f"{source}: exported already; add --hop-frames for a streaming model, or --c-array for "
            "C source"
        )
    return manifest


def _add_streaming_model(
    manifest: ModelManifest, arguments: argparse.Namespace, out: Path
) -> tuple[ModelManifest, StreamingModel]:
    from training.tflite.stream_export import add_streaming_model

    audio = arguments.audio or models.FIRMWARE_MODELS / "demo.wav"
    features = ClipFeatures(manifest.frontend)
    blocks = list(read_file(audio, sample_rate=features.input_rate))
    frames = features(np.concatenate([np.zeros(0, dtype=np.int16), *blocks]))
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out {out}: expected a folder, got a file")
    out.mkdir(parents=True, exist_ok=True)
    return add_streaming_model(manifest, frames, hop_frames=arguments.hop_frames, out=out)


def _write_c_source(manifest: Path, out: Path) -> list[Path]:
    from training.export.c_source import write_c_source

    return write_c_source(read_manifest(manifest), out)


def _summary(made: StreamingModel) -> dict[str, Any]:
    """Return what a step costs and keeps."""
    return {
        "multiplications": made.macs,
        "window_multiplications": made.window_macs,
        "multiplications_ratio": round(made.macs / made.window_macs, 4),
        "state_bytes": sum(int(np.prod(state.shape)) for state in made.states),
        "states": {state.name: list(state.shape) for state in made.states},
    }


def _text(path: Path, made: StreamingModel) -> str:
    report = _summary(made)
    lines = [
        f"{path}: streaming model equal to the non-streaming model at every hop",
        f"a step: {made.macs} multiplications, {100 * report['multiplications_ratio']:.1f} % of "
        f"the window's {made.window_macs}",
        f"kept from step to step: {report['state_bytes']} values",
    ]
    for state in made.states:
        kept, total = state.n_steps, state.n_steps + state.n_new
        lines.append(f"  {state.name:<28}{kept:>3} of {total:>3} steps, shape {list(state.shape)}")
    return "\n".join(lines)
