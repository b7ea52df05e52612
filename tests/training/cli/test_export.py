"""`kws-train export MODEL`: a streaming model for a model that is already exported."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("ai_edge_litert", reason="reading a .tflite needs ai-edge-litert's schema")

from kws import KeywordSpotter
from kws.manifest import read_manifest
from training.cli.train import main


@pytest.mark.slow
def test_a_faster_hop_is_made_from_the_shipped_model(tmp_path, capsys, demo_audio):
    """
    Steps of 20 ms: the spotter gets the same posteriors in both modes.
    """
    arguments = ["export", "default", "--hop-frames", "2", "--out", str(tmp_path), "--json"]

    assert 0 == main(arguments)
    report = json.loads(capsys.readouterr().out)
    manifest = read_manifest(tmp_path / "default.json")
    assert 2 == manifest.stream.hop_frames
    assert manifest.stream.sha256 == report["sha256"]
    # One new step of each layer of every window.
    assert 207_680 == report["multiplications"]
    assert {"shape": [1, 2, 42, 1], "steps": 2, "step_frames": 1} == manifest.stream.states[
        "mel0_pad"
    ]
    found = {}
    for mode in ("window", "stream"):
        posteriors: list[bytes] = []
        spotter = KeywordSpotter.from_model(
            manifest.path, hop_ms=20, mode=mode, kernels="reference"
        )
        spotter.on_posterior = lambda _, posterior, __, kept=posteriors: kept.append(
            posterior.tobytes()
        )
        spotter.process(demo_audio[:48_000])
        found[mode] = posteriors
    assert len(found["window"]) == (48_000 - 15_920) // 320 + 1
    assert found["window"] == found["stream"]


def test_the_text_says_what_is_kept(tmp_path, capsys):
    """
    Without --json: the cost of a step and of a window, and every state with its steps.
    """
    assert 0 == main(["export", "default", "--hop-frames", "10", "--out", str(tmp_path)])
    text = capsys.readouterr().out

    assert "1026112 multiplications, 16.2 % of the window's 6327040" in text
    assert "head_relu                     5 of  10 steps, shape [1, 5, 1, 256]" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["default", "--hop-frames", "3"], "multiple of the network's total stride in time, 2"),
        (["default", "--hop-frames", "98"], "less than a window"),
        (["default", "--hop-frames", "-2"], "expected 1 to 97"),
        (["nothing", "--hop-frames", "2"], "nothing: expected the folder of a training run"),
        (["default", "--hop-frames", "2", "--audio", "nothing.wav"], "nothing.wav"),
        (["default"], "default: exported already; add --hop-frames"),
    ],
)
def test_wrong_options_are_one_line_and_nothing_is_written(tmp_path, capsys, arguments, message):
    """
    A wrong value is one clear line, exit code 1, and leaves no file behind.
    """
    out = tmp_path / "out"

    assert 1 == main(["export", *arguments, "--out", str(out)])
    error = capsys.readouterr().err
    assert message in error
    assert 1 == len(error.strip().splitlines())
    assert not out.exists() or [] == list(out.iterdir())


def test_the_former_command_names_the_new_one(capsys):
    """
    ``kws-train stream`` ends with one line that names the new command.
    """
    with pytest.raises(SystemExit):
        main(["stream", "default", "--out", "x"])

    assert "replaced by 'kws-train export MODEL --hop-frames N'" in capsys.readouterr().err
