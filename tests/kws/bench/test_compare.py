"""Two models in turn, and fresh processes."""

import json
from pathlib import Path

import numpy as np
import pytest

from kws.bench import cold_start, compare, model_under_test, run, timing
from kws.bench.cold_start import Start
from kws.bench.model_under_test import ModelUnderTest, Round
from kws.errors import ConfigError, ModelError

DEFAULTS = {"name_or_path": "default", "mode": "auto", "runtime": None, "hop_ms": 100}


@pytest.mark.parametrize(
    ("text", "model", "mode", "runtime"),
    [
        ("stream", "default", "stream", None),
        ("window", "default", "window", None),
        ("mine", "mine", "auto", None),
        ("runs/mine.json", "runs/mine.json", "auto", None),
        ("mine:stream", "mine", "stream", None),
        (":window", "default", "window", None),
        ("runs/a.b/mine.json:window", "runs/a.b/mine.json", "window", None),
        ("window@tflite-runtime", "default", "window", "tflite-runtime"),
        ("mine:window@ai-edge-litert", "mine", "window", "ai-edge-litert"),
        ("@tensorflow", "default", "auto", "tensorflow"),
    ],
)
def test_a_side_says_model_mode_and_runtime(text, model, mode, runtime):
    """
    What a side of --compare leaves out comes from the other options.
    """
    options = compare.parse_side(text, defaults=DEFAULTS)

    expected = {"name_or_path": model, "mode": mode, "runtime": runtime, "hop_ms": 100}
    assert expected == options


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected MODEL, MODE or MODEL:MODE"),
        ("mine:fast", "expected one of auto, stream, window after the colon, got 'fast'"),
        ("mine@tflite", "expected one of ai-edge-litert, .* after @, got 'tflite'"),
    ],
)
def test_nonsense_sides_are_refused(text, message):
    """
    An unknown mode or runtime is named, with those there are.
    """
    with pytest.raises(ConfigError, match=message):
        compare.parse_side(text, defaults=DEFAULTS)


def test_a_path_may_hold_any_character(tmp_path, monkeypatch):
    """
    A manifest whose name looks like MODEL:MODE or MODEL@RUNTIME is still that file.
    """
    monkeypatch.chdir(tmp_path)
    for name in ("a:b.json", "a@b.json"):
        Path(name).touch()

        assert name == compare.parse_side(name, defaults=DEFAULTS)["name_or_path"]


def made_round(hop_s: float, invoke_s: float, cpu_s: float) -> Round:
    hops = np.full(4, hop_s)
    timings = timing.Timings(hops, cpu_s, 1.0, np.zeros(4))
    return Round(timings, {"invoke": np.full(4, invoke_s)})


def test_ratios_are_taken_round_by_round():
    """
    Each ratio is the median over the rounds of A over B, with its quartiles and its ends.
    """
    a = [made_round(1.0, 0.5, 2.0), made_round(2.0, 0.5, 4.0), made_round(9.0, 0.5, 2.0)]
    b = [made_round(2.0, 1.0, 4.0), made_round(2.0, 1.0, 4.0), made_round(3.0, 1.0, 4.0)]
    starts = [[Start(0.2, 40.0)], [Start(0.1, 30.0)], [Start(0.4, 80.0)], [Start(0.1, 30.0)]]

    ratios = compare.ratios((a, b), starts)

    hop = {"median": 1.0, "q1": 0.75, "q3": 2.0, "min": 0.5, "max": 3.0}
    assert hop == ratios["hop_us_p50"]
    assert {"median": 0.5, "q1": 0.5, "q3": 0.75, "min": 0.5, "max": 1.0} == ratios[
        "cpu_s_per_audio_s"
    ]
    halves = {name: ratios[name]["median"] for name in ("invoke_us_p50", "rss_mb", "cold_start_s")}
    assert {"invoke_us_p50": 0.5, "rss_mb": 0.5, "cold_start_s": 0.5} == halves


def test_hops_of_two_lengths_are_compared_by_the_second_of_audio():
    """
    Ten hops of 100 ms and ten of 80 ms that cost alike: the shorter ones cost more a second.
    """
    hops = np.full(10, 1e-3)
    stage_s = {"invoke": hops / 2}
    a, b = ([Round(timing.Timings(hops, 0.01, s, hops * 0), stage_s)] for s in (1.0, 0.8))
    starts = [[Start(0.2, 40.0)]] * 4

    ratios = compare.ratios((a, b), starts)

    assert 0.8 == ratios["cpu_s_per_audio_s"]["median"]
    assert 1.0 == ratios["hop_us_p50"]["median"]


def test_two_run_in_turn_and_neither_always_first(spotter_turns):
    """
    A B, B A, A B: both meet the same machine, and what drifts falls on both.
    """
    pair, turns = spotter_turns

    shown = []
    plan = run.Plan(timing.DEMO, 1.0, 3)

    rounds = run.run_in_turn(pair, np.zeros(0, dtype=np.int16), plan, progress=shown.append)

    assert ["A", "B", "B", "A", "A", "B"] == turns
    assert [[0, 3, 4], [1, 2, 5]] == rounds
    assert [f"run {number} of 6" for number in range(1, 7)] == shown


@pytest.fixture
def spotter_turns():
    """Two models that note their turn instead of running."""
    turns = []

    class Noted:
        def __init__(self, name):
            self.name = name

        def run_round(self, samples, *, paced):
            turns.append(self.name)
            return len(turns) - 1

    return (Noted("A"), Noted("B")), turns


def test_figures_pool_the_hops_of_all_rounds():
    """
    Percentiles are of all hops together, CPU is the median round's, parts are means,
    and overhead is the rest of the hop.
    """
    rounds = []
    for hop_s, cpu_s in ((1e-4, 0.001), (3e-4, 0.009), (2e-4, 0.002)):
        hops = np.full(4, hop_s)
        stage_s = {"front_end": hops / 4, "model": hops / 2, "invoke": hops / 4}
        stage_s.update(smoothing=hops / 16, decision=hops / 16)
        rounds.append(Round(timing.Timings(hops, cpu_s, 0.5, hops * 100), stage_s))

    figures = model_under_test.figures(rounds)
    late = model_under_test.lateness(rounds, hop_ms=100)

    hop = figures["hop_us"]
    assert (200.0, 200.0, 300.0) == (hop["mean"], hop["p50"], hop["max"])
    assert (50.0, 100.0, 25.0, 25.0) == tuple(
        hop[name] for name in ("front_end", "model", "decision", "overhead")
    )
    assert 50.0 == figures["invoke_us"]["p50"]
    assert 12 == figures["hops"]
    assert [100.0, 300.0, 200.0] == figures["p50_by_part_us"]
    assert 0.004 == figures["cpu_s_per_audio_s"]
    assert {"late_hops": 8, "latest_ms": 30.0} == late


@pytest.mark.parametrize("mode", ["window", "stream"])
def test_fresh_processes_of_model_and_baseline(mode, default_manifest):
    """
    Both kinds of process run; the baseline needs less than the spotter, and loads the same file.
    """
    model = ModelUnderTest({"name_or_path": "default", "mode": mode})
    samples = timing.looped(timing.DEMO, 2.0, sample_rate=16_000)
    form = default_manifest.stream if mode == "stream" else default_manifest.window

    own, baseline = cold_start.start_in_turn(model.programs(), samples, n_rounds=2)

    assert form.file == model.file.name
    assert form.sha256.startswith(model.facts()["sha256"])
    assert 2 == len(own) == len(baseline)
    found = cold_start.start_figures(own, baseline)
    assert 0 < found["rss_baseline_mb"] < found["rss_mb"] < 500
    assert found["rss_mb"] - found["rss_baseline_mb"] == pytest.approx(
        found["rss_over_baseline_mb"], abs=0.16
    )


def test_a_process_that_fails_says_why(tmp_path):
    """
    The error has the last line that a fresh process wrote.
    """
    program = cold_start.spotter_program({"name_or_path": tmp_path / "none.json"})

    assert json.dumps(dict(program.options))
    with pytest.raises(ModelError, match=r"failed with exit code 1: .*none\.json"):
        cold_start.start_in_turn([program], np.zeros(9, dtype=np.int16), n_rounds=1)
