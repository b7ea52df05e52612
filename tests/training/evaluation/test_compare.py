"""`kws-train compare`: runs side by side."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("tensorflow", reason="training needs the extra [train]")

from training.architectures.recipe_model import build_model, n_macs, n_parameters
from training.cli.train import main
from training.config import recipe as recipes
from training.config.run_folder import RunFolder

pytestmark = pytest.mark.timeout(240)
HEADER = "epoch,accuracy,loss,val_accuracy,val_loss\n"


@pytest.fixture
def made_run(tmp_path):
    """Make a run's folder with a history of validation accuracies."""

    def make(name: str, recipe: str, accuracies: list[float]) -> str:
        run = RunFolder(tmp_path / name)
        run.start(recipes.load(recipe))
        rows = [f"{i},{a / 2},{2 - a},{a},{1 - a}\n" for i, a in enumerate(accuracies)]
        run.history.write_text(HEADER + "".join(rows))
        return str(run.path)

    return make


def test_table_and_picture_hold_every_run(made_run, tmp_path, capsys):
    """
    Best and last validation accuracy, what the network costs, and one picture of all curves.
    """
    one = made_run("one", "conv1d-8k", [0.5, 0.75, 0.7])
    two = made_run("two", "tc-resnet-8", [0.25])
    picture = tmp_path / "curves.png"

    assert 0 == main(["compare", one, two, "--out", str(picture), "--json"])
    report = json.loads(capsys.readouterr().out)
    model = build_model(recipes.load("conv1d-8k"))

    assert report["runs"][0] == {
        "run": "one",
        "model": "conv1d",
        "front_end": "waveform",
        "epochs": 3,
        "best": 0.75,
        "best_epoch": 2,
        "last": 0.7,
        "parameters": n_parameters(model),
        "multiplications": n_macs(model),
        "minutes": None,
    }
    assert ("two", "tc_resnet", 0.25) == tuple(
        report["runs"][1][key] for key in ("run", "model", "best")
    )
    assert picture.read_bytes()[:4] == b"\x89PNG"


def test_the_table_is_markdown(made_run, capsys):
    """
    One line a run; runs of one name are told apart by their folders.
    """
    folders = [made_run(f"{parent}/same", "tc-resnet-8", [0.5]) for parent in ("a", "b")]

    assert 0 == main(["compare", *folders])
    lines = capsys.readouterr().out.splitlines()

    assert 4 == len(lines)
    assert lines[0].startswith("| run | network | front end |")
    assert set(lines[1]) <= set("|-")
    for line, folder in zip(lines[2:], folders):
        assert line.startswith(f"| {folder} | tc_resnet | log_mel | 1 | 50.00 % (epoch 1) |")
        assert line.endswith("| not logged |")


def test_minutes_are_the_logs(made_run, tmp_path, capsys):
    """
    Each part of a resumed run counts from its first entry to its last one.
    """
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.summary.writer.record_writer import RecordWriter

    folder = made_run("one", "tc-resnet-8", [0.5])
    logs = RunFolder(tmp_path / "one").tensorboard / "train"
    logs.mkdir(parents=True)
    for part, times in enumerate(([1_000.0, 1_060.0, 1_120.0], [9_000.0, 9_030.0])):
        with open(logs / f"events.out.tfevents.{part}", "wb") as handle:
            records = RecordWriter(handle)
            for time_s in times:
                records.write(Event(wall_time=time_s, step=0).SerializeToString())
            records.flush()

    assert 0 == main(["compare", folder, "--json"])

    assert 2.5 == json.loads(capsys.readouterr().out)["runs"][0]["minutes"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (["none/such"], "expected the folder of a training run"),
        (["RUN", "--out", "curves.txt"], "--out curves.txt: expected one of .png, .svg, .pdf"),
        (["EMPTY"], "history.csv: expected a finished epoch, found none"),
    ],
)
def test_nonsense_is_one_line(made_run, capsys, what, message):
    """
    No run, no epoch yet, no picture: exit code 1 and what was expected.
    """
    folders = {
        "RUN": made_run("run", "tc-resnet-8", [0.5]),
        "EMPTY": made_run("empty", "tc-resnet-8", []),
    }

    assert 1 == main(["compare", *(folders.get(text, text) for text in what)])
    error = capsys.readouterr().err

    assert message in error
    assert 1 == len(error.strip().splitlines())
