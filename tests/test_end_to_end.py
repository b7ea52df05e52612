"""The main road in one test: a recipe becomes a model that is measured and that listens."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.small_recipes import PARAMS

from kws.cli import listen, models
from training.cli import evaluate, train


@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore:Statistics for quantized inputs were expected")
def test_a_recipe_becomes_a_model_that_listens(word_tree, tmp_path, capsys):
    """
    kws-train fit, kws-train export, kws-models, kws-eval clips and kws-listen follow on each other.
    """
    pytest.importorskip("tensorflow", reason="training needs the extra [train]")
    counts = {word: {"training": 8, "validation": 4} for word in ("yes", "no", "cat")}
    clips: Path = word_tree(counts, noise_s=30)
    sets = {
        "data.clips": str(clips),
        **dict.fromkeys(("data.speech", "data.environment", "data.rooms"), ""),
        "data.keywords": ["yes", "no"],
        "model.params": PARAMS,
        "fit.epochs": 1,
        "fit.clips_per_epoch": 32,
        "fit.batch_size": 16,
        "fit.ema_momentum": 0.0,
    }
    run, out, scores = tmp_path / "run", tmp_path / "models", tmp_path / "scores"

    def toml(value: object) -> str:
        if isinstance(value, dict):
            return (
                "{" + ", ".join(f"{key} = {json.dumps(item)}" for key, item in value.items()) + "}"
            )
        return json.dumps(value)

    changes = [part for key, value in sets.items() for part in ("--set", f"{key}={toml(value)}")]
    assert train.main(["fit", "simple", "--out", str(run), *changes]) == 0
    assert train.main(["export", str(run), "--out", str(out), "--name", "mine"]) == 0
    assert models.main(["verify", str(out / "mine.json")]) == 0
    capsys.readouterr()
    clips_arguments = [
        "--data",
        str(clips),
        "--split",
        "validation",
        "--json",
        "--out",
        str(scores),
    ]
    assert evaluate.main(["clips", "--model", str(out / "mine.json"), *clips_arguments]) == 0
    measured = json.loads(capsys.readouterr().out)
    heard = next((clips / "yes").glob("*.wav"))
    assert listen.main(["--model", str(out / "mine.json"), "--input", str(heard), "--json"]) == 0

    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {"yes", "no", "_unknown_", "_silence_"} == set(measured["labels"])
    assert (out / "mine.stream.tflite").is_file()
    assert (scores / "predictions.csv").is_file()
    assert records[-1]["type"] == "summary"
    assert records[-1]["audio_s"] == pytest.approx(1.0)


def _toml(value: object) -> str:
    """Return a value as TOML: JSON, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return json.dumps(value)
