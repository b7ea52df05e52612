"""`kws-eval tune` on real files: the demo recording and noise, with a copy of a shipped model."""

import json
import shutil

import numpy as np
import pytest
import soundfile

from kws import KeywordSpotter, models
from kws.audio.files import read_file
from kws.errors import AudioError
from kws.manifest import read_manifest
from training.cli.evaluate import main
from training.evaluation.long_audio import run_file
from training.evaluation.stream_scores import tally_files
from training.tuning.operating_point import OperatingPoint
from training.tuning.posterior_cache import ScoreSettings, posteriors_of
from training.tuning.tuning_audio import Source, read_set

DEMO = models.FIRMWARE_MODELS / "demo.wav"
RATE = 16_000
# The values to try do not matter for these tests, so there are few.
FEW = ("--smoothing-ms", 300, "--suppression-ms", 500, "--context-weights", 3)


@pytest.fixture(scope="module")
def spotter():
    """Return the shipped model."""
    return KeywordSpotter.from_model("default")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Return a folder for posteriors; files of equal content share an entry."""
    return tmp_path_factory.mktemp("posteriors")


@pytest.fixture
def model(tmp_path):
    """Return a copy of the shipped model with a writable manifest."""
    manifest = models.load("default")
    (tmp_path / "model").mkdir()
    for name in (manifest.path.name, manifest.window.file, manifest.stream.file):
        shutil.copy(manifest.path.parent / name, tmp_path / "model" / name)
    return tmp_path / "model" / manifest.path.name


@pytest.fixture
def folders(tmp_path, rng):
    """Return two folders: noise of four speakers, and the demo's words by two speakers."""
    quiet, words = tmp_path / "quiet", tmp_path / "words"
    quiet.mkdir()
    words.mkdir()
    for speaker in ("10", "11", "12", "13"):
        noise = rng.normal(0, 300, 20 * RATE).astype(np.int16)
        soundfile.write(quiet / f"{speaker}-000.wav", noise, RATE)
    truth = (models.FIRMWARE_MODELS / "demo.csv").read_text().splitlines()
    rows = [truth[0]]
    for name in ("a-000.wav", "b-000.wav"):
        shutil.copy(DEMO, words / name)
        rows += [row.replace("demo.wav", name) for row in truth[1:]]
    (words / "truth.csv").write_text("\n".join(rows) + "\n")
    return quiet, words


@pytest.fixture
def tune(capsys, folders, cache):
    """Return a function that runs the command and returns its report."""

    def run(model, *more, misses=True):
        quiet, words = folders
        arguments = ["tune", "--model", model, "--audio", quiet, "--cache", cache, "--json"]
        arguments += ["--misses", words] if misses else []
        assert 0 == main([*map(str, (*arguments, "--fa-per-hour", 100, *FEW, *more))])
        return json.loads(capsys.readouterr().out)

    return run


@pytest.mark.parametrize("weight", [0.0, 3.0])
@pytest.mark.parametrize("smoothing_ms", [100, 300, 500, 700])
@pytest.mark.parametrize("hop_ms", [100, 80])
def test_cached_posteriors_give_the_spotters_scores(
    request, tmp_path, hop_ms, smoothing_ms, weight
):
    """
    Times and scores equal those of the spotter with its flush to the last bit, for every
    smoothing, context weight and hop.
    """
    path = "default" if hop_ms == 100 else request.getfixturevalue("eight_frame_model")
    manifest, spotter = models.load(path), KeywordSpotter.from_model(path)
    table = json.loads(manifest.path.read_text())
    table["decision"]["smoothing_ms"] = smoothing_ms
    table["decision"]["context_weights"] = dict.fromkeys(manifest.keywords, weight)
    for name in (manifest.window.file, manifest.stream.file):
        shutil.copy(manifest.path.parent / name, tmp_path / name)
    (tmp_path / "other.json").write_text(json.dumps(table))

    expected = run_file(KeywordSpotter.from_model(tmp_path / "other.json"), DEMO)
    scores = ScoreSettings(smoothing_ms, weight).scores(
        posteriors_of(spotter, DEMO, cache=None), manifest
    )

    np.testing.assert_array_equal(expected.scores, scores.scores)
    np.testing.assert_array_equal(expected.times_s, scores.times_s)
    assert expected.duration_s == scores.duration_s
    assert hop_ms == spotter.hop_ms


def test_a_file_is_processed_once(spotter, tmp_path):
    """
    The second time, posteriors come from the cache; other audio or another hop has its own.
    """
    first = posteriors_of(spotter, DEMO, cache=tmp_path)
    (kept,) = tmp_path.iterdir()
    with np.load(kept) as values:
        changed = {**values, "rows": values["rows"] * 0.5}
    np.savez_compressed(kept, **changed)

    again = posteriors_of(spotter, DEMO, cache=tmp_path)
    soundfile.write(tmp_path / "other.wav", np.concatenate(list(read_file(DEMO)))[:-1], RATE)
    posteriors_of(spotter, tmp_path / "other.wav", cache=tmp_path)
    posteriors_of(KeywordSpotter.from_model("default", hop_ms=200), DEMO, cache=tmp_path)

    np.testing.assert_array_equal(first.rows * np.float32(0.5), again.rows)
    assert 3 == len(list(tmp_path.glob("*.npz")))


def test_the_half_for_the_report_is_not_opened(spotter, folders, cache):
    """
    Half A is read although the files of half B are no audio at all.
    """
    quiet, _ = folders
    for speaker in ("11", "13"):
        (quiet / f"{speaker}-000.wav").write_bytes(b"no audio")

    source = Source((quiet,))
    found = read_set(spotter, source, "half-a", cache=cache, progress=lambda _: iter)

    assert ("10", "12") == found.speakers
    assert 2 * 20 / 3600 == pytest.approx(found.hours)
    with pytest.raises(AudioError, match="11-000"):
        read_set(spotter, source, "half-b", cache=cache, progress=lambda _: iter)


def test_folders_of_one_name_are_counted_apart(spotter, folders, tmp_path):
    """
    Detections and words of two files count, though folder and file have the same names.
    """
    _, words = folders
    shutil.copytree(words, tmp_path / "again" / "words")
    source = Source((words, tmp_path / "again" / "words"))
    part = read_set(spotter, source, None, cache=None, progress=lambda _: iter)
    decision = spotter.manifest.decision
    point = OperatingPoint(
        ScoreSettings(decision.smoothing_ms, None), decision.suppression_ms, spotter.thresholds
    )

    files = point.detect(part, spotter.manifest)
    found = tally_files(((file.file, file.detections) for file in files), part.events)

    assert 4 == len({file.file for file in part.files})
    assert dict.fromkeys(spotter.keywords, 4) == found.events == found.hits


def test_the_half_for_the_report_does_not_affect_the_choice(model, folders, tune):
    """
    With false accepts in half B only, thresholds stay and the report on half B counts them.
    """
    before = tune(model, "--dry-run")
    shutil.copy(DEMO, folders[0] / "11-000.wav")
    after = tune(model, "--dry-run")

    for key in ("thresholds", "smoothing_ms", "suppression_ms", "tuning"):
        assert before[key] == after[key]
    alarms = [row["reporting"]["conditions"]["audio"]["false_alarms"] for row in (before, after)]
    assert 0 == alarms[0]
    assert alarms[1] >= 8
    assert after["reporting"]["budgets"]["audio"]["used"] > 1
    assert ["11", "13", "b"] == after["reporting"]["speakers"]


def test_a_streaming_model_is_tuned_at_its_own_hop(eight_frame_model, tune):
    """
    Without --hop-ms, a model with a hop of 80 ms is run streaming every 80 ms.
    """
    report = tune(eight_frame_model, "--dry-run")

    assert ("stream", 80) == (report["mode"], report["hop_ms"])


def test_the_result_is_written_into_the_manifest(capsys, tmp_path, model, folders, tune):
    """
    The manifest gets smoothing, context weights, suppression and thresholds, and beside them the
    report with speakers, figures and command. A dry run does not change it.
    """
    before = model.read_bytes()
    planned = tune(model, "--dry-run", "--context-weights", 2.5)
    assert before == model.read_bytes()

    picture = tmp_path / "curve.png"
    report = tune(model, "--picture", picture, "--context-weights", 2.5)

    manifest = read_manifest(model)
    source = manifest.metrics["thresholds"]
    assert planned["thresholds"] == report["thresholds"] == manifest.decision.thresholds
    assert report["smoothing_ms"] == manifest.decision.smoothing_ms
    assert report["suppression_ms"] == manifest.decision.suppression_ms
    assert dict.fromkeys(manifest.keywords, 2.5) == manifest.decision.context_weights
    assert (None, str(model)) == (planned.get("written"), report["written"])
    # Figures of the former thresholds are removed.
    assert "stream" not in manifest.metrics
    assert ["10", "12", "a"] == source["ways"][0]["tuned_on"]
    assert ["11", "13", "b"] == source["reporting"]["speakers"]
    rows = [source[name]["conditions"]["misses"] for name in ("tuning", "reporting")]
    assert [10, 10] == [row["events"] for row in rows]
    assert {"false_alarms_per_hour_interval_95", "missed_interval_95"} < set(rows[1])
    assert picture.read_bytes()[:4] == b"\x89PNG"
    # The spotter with the new manifest gives the same figures.
    words = folders[1]
    arguments = ("--model", model, "--audio", words, "--truth", words / "truth.csv", "--json")
    main(["stream", *map(str, arguments)])
    streamed = json.loads(capsys.readouterr().out)
    missed = sum(10 * row["missed"] for row in rows)
    assert missed == streamed["events"] - streamed["hits"]


def test_both_ways_reports_on_all_speakers(model, tune):
    """
    Each half is reported on once, with the thresholds of the other; the reports are pooled.
    """
    report = tune(model, "--dry-run", "--half", "both")

    assert [["10", "12", "a"], ["11", "13", "b"]] == [way["tuned_on"] for way in report["ways"]]
    assert ["10", "11", "12", "13", "a", "b"] == report["reporting"]["speakers"]
    rows = report["reporting"]["conditions"]
    assert 80 / 3600 == pytest.approx(rows["audio"]["hours"])
    assert 20 == rows["misses"]["events"]


def test_all_budgets_hold_together(capsys, tmp_path, model, folders, cache):
    """
    A budget per hour and one of other words, on a folder of conditions: the stricter one decides,
    and the table has a row for each.
    """
    quiet, words = folders
    home = tmp_path / "home"
    for name in ("noise-alone", "other-words"):
        (home / name).mkdir(parents=True)
    for half, speaker in (("a", "10"), ("b", "11")):
        shutil.copy(quiet / f"{speaker}-000.wav", home / "noise-alone" / f"{half}-000.wav")
        # Real keywords stand in for other words that sound like one.
        shutil.copy(DEMO, home / "other-words" / f"{half}-000.wav")
    shutil.copytree(words, home / "quiet")
    (home / "noise-alone" / "truth.csv").write_text("file,keyword,start_s,end_s\n")
    rows = (words / "truth.csv").read_text().splitlines()
    other = [",".join([row.split(",")[0], "_other_", *row.split(",")[2:]]) for row in rows[1:]]
    (home / "other-words" / "truth.csv").write_text("\n".join([rows[0], *other]) + "\n")
    table = {"schema_version": 1, "conditions": {path.name: {} for path in home.iterdir()}}
    (home / "conditions.json").write_text(json.dumps(table))
    levels = {}
    for share in (60, 90):
        budget = ["noise-alone=500", f"other-words={share}%"]
        arguments = ["--model", model, "--conditions", home, "--budget", *budget, *FEW]
        more = ["--cache", cache, "--dry-run"]
        assert 0 == main(["tune", *map(str, (*arguments, *more, "--json"))])
        report = json.loads(capsys.readouterr().out)
        levels[share] = min(report["thresholds"].values())
        assert report["reporting"]["conditions"]["other-words"]["other_words"] == 10
        assert report["tuning"]["budgets"]["other-words"]["used"] <= 1
        assert 0 == report["tuning"]["conditions"]["noise-alone"]["false_alarms"]
    assert levels[60] > levels[90]
    assert 0 == main(["tune", *map(str, (*arguments, *more))])
    shown = capsys.readouterr().out
    for text in ("noise-alone", "other-words", "fired %", "of 90", "missed on average"):
        assert text in shown


def test_without_test_words_there_is_one_threshold(model, folders, tune):
    """
    All keywords get the same threshold; smoothing, suppression and context weights stay.
    """
    shutil.copy(DEMO, folders[0] / "10-000.wav")

    report = tune(model, "--fa-per-hour", 600, "--dry-run", misses=False)

    own = models.load("default").decision
    assert 1 == len(set(report["thresholds"].values()))
    assert min(report["thresholds"].values()) > 0.2
    assert own.smoothing_ms == report["smoothing_ms"]
    assert own.suppression_ms == report["suppression_ms"]
    assert own.context_weights == report["context_weights"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fa-per-hour", "1"], "too few to tune for audio=1; expected at least 0.5 h"),
        (["--fa-per-hour", "0"], "expected a rate above 0, got 0"),
        (["--margin", "1"], "--margin: expected 0 to below 1, got 1"),
        (["--budget", "digits=5%"], "--budget digits: expected one of audio, misses"),
        (["--budget", "digits"], "--budget: expected NAME=VALUE, got 'digits'"),
        (["--budget", "digits=many"], "expected a rate per hour such as 3"),
        (["--budget", "digits=120%"], "expected a share above 0 and below 100 %, got 120%"),
        (["--weights", "misses=-1"], "--weights misses: expected 0 or above, got -1"),
        (["--conditions", "{quiet}"], "expected what kws-eval make-conditions writes"),
        (["--own-share", "2"], "--own-share: expected 0 to 1"),
        (["--max-latency-s", "-1"], "--max-latency-s: expected above 0, got -1"),
        (["--smoothing-ms", "2000"], "--smoothing-ms: expected above 0 and up to 1000"),
        *((["--context-weights", value], "weights: expected 0 to 20") for value in ("-1", "nan")),
        (["--picture", "no/such/curve.png"], "there is no folder no/such"),
        (["--picture", "curve.gif"], "expected one of .png, .svg, .pdf"),
        (["--fa-per-hour", "100", "--audio", "{words}"], "expected audio without keywords"),
        (["--fa-per-hour", "100", "--misses", "{quiet}"], "expected spoken keywords"),
    ],
)
def test_wrong_input_is_one_line(capsys, model, folders, cache, more, message):
    """
    Values out of range, too little audio and exchanged folders are one-line errors; the manifest
    stays.
    """
    before = model.read_bytes()
    quiet, words = folders
    arguments = ["--model", model, "--audio", quiet, "--misses", words, "--cache", cache]

    code = main(
        ["tune", *map(str, arguments), *(text.format(quiet=quiet, words=words) for text in more)]
    )

    error = capsys.readouterr().err
    assert (1, 1) == (code, error.count("\n"))
    assert message in error
    assert before == model.read_bytes()
