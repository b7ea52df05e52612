"""Print the time steps and multiplications of each layer of a model's forms, as JSON.

What a hop must cost follows from these: the stream form computes fewer steps of the same layers.
Instruction counts are held against that ratio. Runs on any machine, in the environment of kws.

    python layer_lengths.py --model default --modes window stream
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np

from kws import models
from kws.inference.interpreter import open_model


def layer_costs(interpreter: Any) -> dict[str, float]:
    """Return the summed time steps and the multiplications of the layers with weights."""
    shapes = {item["index"]: item["shape"] for item in interpreter.get_tensor_details()}
    steps = multiplications = 0
    # Private, but there is no other way to ask which tensors are weights.
    for operation in interpreter._get_ops_details():
        name = operation["op_name"]
        if name not in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            continue
        output, weights = shapes[operation["outputs"][0]], shapes[operation["inputs"][1]]
        if name == "FULLY_CONNECTED":
            # After the pooling there is no time: it costs the same in both forms.
            multiplications += int(np.prod(weights))
            continue
        # Weights are (out, height, width, in), or (1, height, width, channels) if depthwise.
        depth = int(weights[3]) if name == "CONV_2D" else 1
        steps += int(output[1])
        multiplications += int(np.prod(output)) * int(weights[1]) * int(weights[2]) * depth
    return {"steps": steps, "multiplications": multiplications}


def main() -> None:
    """Print one JSON object, a key a form."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--modes", nargs="+", default=["window"])
    given = parser.parse_args()
    manifest = models.load(given.model)
    table = {}
    for mode in given.modes:
        form = getattr(manifest, mode)
        content = manifest.read_form(form)
        # Reference kernels: no delegate takes layers together.
        opened = open_model(content, where=form.file, kernels="reference")
        table[mode] = layer_costs(opened.interpreter)
    print(json.dumps(table))


if __name__ == "__main__":
    main()
