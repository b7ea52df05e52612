"""`kws-train export`: from a training run to int8 files, and to C source."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from kws.cli import program
from kws.errors import ConfigError, MissingDependencyError, ModelError

EXAMPLES = """\
  kws-train export runs/default --out my_models          both forms and the manifest
  kws-train export runs/default --float --out my_models  in float32, as default-float
  kws-train export default --c-array --out firmware/src  C source of a model that is there
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands,
        "export",
        examples=EXAMPLES,
        text="int8 .tflite and manifest from a run, checked; C source from any model",
    )
    made.add_argument(
        "source",
        metavar="RUN|MODEL",
        help="folder of a training run, or with --c-array a model: its name or manifest",
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
        "--c-array",
        action="store_true",
        help="also write C source for TFLite Micro: NAME_model.h and NAME_model.cc",
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def export(arguments: argparse.Namespace) -> int:
    """Export a run, or only write C source of a model that is exported already."""
    written: dict[str, Any] = {}
    if _is_run(arguments.source):
        manifest, out = _export_run(arguments)
        written["manifest"] = str(manifest)
    else:
        manifest, out = _exported_model(arguments), arguments.out or Path()
    if arguments.c_array:
        written["c_array"] = [str(path) for path in _write_c_arrays(manifest, out)]
    if arguments.json:
        program.print_json(written)
    else:
        print(*filter(None, [written.get("manifest"), *written.get("c_array", [])]), sep="\n")
    return 0


def _write_c_arrays(manifest: Path, out: Path) -> list[Path]:
    from kws.manifest import read_manifest

    try:
        from training.export.c_source import write_c_source
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"kws-train export --c-array needs {error.name}; pip install ai-edge-litert "
            "(Python 3.10 and newer, 64 bit)"
        ) from error
    return write_c_source(read_manifest(manifest), out)


def _is_run(source: str) -> bool:
    """Return whether `source` is a run's folder; one named like a model must hold a run."""
    from kws import models

    return Path(source, "recipe.json").is_file() or (
        Path(source).is_dir() and source not in models.names()
    )


def _export_run(arguments: argparse.Namespace) -> tuple[Path, Path]:
    from training.config.run_folder import RunFolder
    from training.export.export import export as export_run

    out = arguments.out or Path("firmware_models")
    if arguments.float and arguments.c_array:
        raise ConfigError("--float and --c-array: C source is for int8 models; leave one out")
    run = RunFolder(Path(arguments.source))
    # Never in the place of the int8 model.
    name = arguments.name or (f"{run.read_recipe().name}-float" if arguments.float else None)
    manifest = export_run(
        run,
        out,
        name=name,
        version=arguments.model_version or "1",
        as_float=arguments.float,
    )
    return manifest, out


def _exported_model(arguments: argparse.Namespace) -> Path:
    """Return the manifest of a model that was exported before."""
    from kws import models

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
    if not arguments.c_array:
        raise ConfigError(f"{source}: exported already; add --c-array to write it as C source")
    return manifest
