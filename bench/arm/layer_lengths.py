"""Print the time steps and multiplications of a model's streaming and non-streaming file, as JSON.

The cost of a hop follows from these: the streaming model computes fewer steps of the same layers.
Instruction counts are compared with that ratio. Runs where kws and ai-edge-litert are installed.

    python layer_lengths.py --model default --modes window stream
"""

from __future__ import annotations

import argparse
import json

from kws import models
from training.tflite.cost import file_cost
from training.tflite.graph import Graph


def layer_costs(content: bytes, *, where: str) -> dict[str, int]:
    """Return the summed time steps of the convolutions, and all multiplications."""
    graph = Graph(content, where=where)
    steps = [
        graph.shape(int(operator.outputs[0]))[1]
        for operator in graph.operators
        if graph.op_name(operator) in ("CONV_2D", "DEPTHWISE_CONV_2D")
    ]
    return {"steps": sum(steps), "multiplications": file_cost(content, where=where).macs}


def main() -> None:
    """Print one JSON object, a key a mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="default")
    parser.add_argument("--modes", nargs="+", default=["window"])
    given = parser.parse_args()
    manifest = models.load(given.model)
    forms = {mode: getattr(manifest, mode) for mode in given.modes}
    table = {
        mode: layer_costs(manifest.read_form(form), where=form.file) for mode, form in forms.items()
    }
    print(json.dumps(table))


if __name__ == "__main__":
    main()
