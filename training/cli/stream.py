"""`kws-train stream`: a stream form for a model that is exported already."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from kws import models
from kws.audio.files import read_file
from kws.cli import program
from kws.errors import ConfigError
from kws.features.frontends import WholeFeatures
from training.cli.terminal import check_picture

if TYPE_CHECKING:
    from training.tflite.stream_rewrite import StreamingModel

EXAMPLES = """\
  kws-train stream default --out my_models                   every 100 ms
  kws-train stream default --hop-frames 2 --out fast_models  every 20 ms
  kws-train stream default --picture stream.png --out my_models
"""


def add_parser(commands: Any) -> None:
    """Add the command to those of kws-train."""
    made = program.add_command(
        commands,
        "stream",
        examples=EXAMPLES,
        text="make a stream form of an exported model, equal to its window form",
    )
    made.add_argument("model", metavar="MODEL", help="name of a model, or its manifest")
    made.add_argument(
        "--hop-frames",
        type=int,
        default=10,
        metavar="N",
        help="new frames a step, a multiple of the network's stride in time (default: 10)",
    )
    made.add_argument("--out", type=Path, required=True, metavar="DIR")
    made.add_argument(
        "--picture", type=Path, metavar="FILE", help="draw what each layer keeps (.png, .svg, .pdf)"
    )
    made.add_argument(
        "--audio",
        type=Path,
        metavar="FILE",
        help="speech on which both forms must agree (default: the demo recording)",
    )
    made.add_argument("--json", action="store_true", help="one JSON object on stdout")


def stream(arguments: argparse.Namespace) -> int:
    """Write both forms and the manifest into a folder, and say what the stream form keeps."""
    from training.tflite.stream_export import add_streaming_model

    if arguments.picture:
        check_picture(arguments.picture)
    manifest = models.load(arguments.model)
    audio = arguments.audio or models.FIRMWARE_MODELS / "demo.wav"
    whole = WholeFeatures(manifest.frontend)
    samples = np.concatenate(
        list(read_file(audio, sample_rate=whole.input_rate)) or [np.zeros(0, dtype=np.int16)]
    )
    frames = whole(samples)
    if arguments.out.exists() and not arguments.out.is_dir():
        raise ConfigError(f"--out {arguments.out}: expected a folder, got a file")
    arguments.out.mkdir(parents=True, exist_ok=True)
    final, made = add_streaming_model(
        manifest, frames, hop_frames=arguments.hop_frames, out=arguments.out
    )
    assert final.stream is not None
    if arguments.picture:
        from training.tflite.stream_picture import draw_stream

        step_ms = manifest.frontend.duration_ms(arguments.hop_frames)
        title = f"{manifest.name}: one step of {step_ms:g} ms"
        draw_stream(made, arguments.picture, title=title)
    if arguments.json:
        report = summary(made)
        program.print_json({"manifest": str(final.path), "sha256": final.stream.sha256, **report})
    else:
        _print(final.path, made)
    return 0


def summary(made: StreamingModel) -> dict[str, Any]:
    """Return what a step costs and keeps, with the ratio that the layers' lengths give."""
    convolutions = [layer for layer in made.layers if layer.macs and layer.n_steps > 1]
    mean_length = float(np.mean([layer.n_steps for layer in convolutions]))
    mean_new = float(np.mean([layer.n_new for layer in convolutions]))
    return {
        "multiplications": made.macs,
        "window_multiplications": made.window_macs,
        "multiplications_ratio": round(made.macs / made.window_macs, 4),
        "length_ratio": round(mean_new / mean_length, 4),
        "state_bytes": sum(int(np.prod(state.shape)) for state in made.states),
        "states": {state.name: list(state.shape) for state in made.states},
    }


def _print(path: Path, made: StreamingModel) -> None:
    report = summary(made)
    print(f"{path}: stream form equal to the window form at every hop")
    print(
        f"a step: {made.macs} multiplications, {100 * report['multiplications_ratio']:.1f} % of "
        f"the window's {made.window_macs} (new over mean length of the layers: "
        f"{100 * report['length_ratio']:.1f} %)"
    )
    print(f"kept from step to step: {report['state_bytes']} values")
    for state in made.states:
        kept, total = state.n_steps, state.n_steps + state.n_new
        print(f"  {state.name:<28}{kept:>3} of {total:>3} steps, shape {list(state.shape)}")
