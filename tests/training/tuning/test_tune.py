"""Tuning on real files: cut from the demo recording, run by a copy of the shipped model."""

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
from training.tuning.posterior_cache import ScoreSettings, posteriors_of
from training.tuning.tuning_audio import AudioFolders

DEMO = models.FIRMWARE_MODELS / "demo.wav"
RATE = 16_000


@pytest.fixture(scope="module")
def spotter():
    """Return the shipped model."""
    return KeywordSpotter.from_model("default")


@pytest.fixture
def model(tmp_path):
    """Return a copy of the shipped model whose manifest may be written to."""
    manifest = models.load("default")
    (tmp_path / "model").mkdir()
    for name in (manifest.path.name, manifest.window.file, manifest.stream.file):
        shutil.copy(manifest.path.parent / name, tmp_path / "model" / name)
    return tmp_path / "model" / manifest.path.name


@pytest.fixture
def material(tmp_path, rng):
    """Return two folders: four speakers' noise, and the demo's words as two speakers'."""
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


def tune(capsys, model, material, tmp_path, *more):
    quiet, words = material
    arguments = ["--model", model, "--audio", quiet, "--misses", words, "--fa-per-hour", 100]
    # Few settings to try: what is tested does not depend on how many.
    settings = ["--smoothing-ms", 300, 500, "--suppression-ms", 500, "--json"]
    cache = ["--cache", tmp_path / "cache"]
    code = main(["tune", *map(str, (*arguments, *settings, *cache, *more))])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("weight", [0.0, 3.0])
@pytest.mark.parametrize("smoothing_ms", [100, 300, 500, 700])
@pytest.mark.parametrize("hop_ms", [100, 80])
def test_kept_posteriors_make_the_spotters_scores(request, tmp_path, hop_ms, smoothing_ms, weight):
    """
    Times and scores are to the last bit those that the spotter itself makes of a file, its flush
    at the end included, whatever the smoothing, the context and the hop of the stream form.
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


def test_a_file_is_heard_once(spotter, tmp_path):
    """
    The second time posteriors come from the cache; other audio and another hop have their own.
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


def test_tuning_on_a_half_never_opens_the_other_halfs_files(spotter, material):
    """
    Half A is heard although half B's files are no audio at all.
    """
    quiet, _ = material
    for speaker in ("11", "13"):
        (quiet / f"{speaker}-000.wav").write_bytes(b"no audio")

    heard = AudioFolders.of([quiet]).read(spotter, "half-a", cache=None, progress=lambda _: iter)

    assert ("10", "12") == heard.speakers
    assert 2 * 20 / 3600 == pytest.approx(heard.hours)
    with pytest.raises(AudioError, match="11-000"):
        AudioFolders.of([quiet]).read(spotter, "half-b", cache=None, progress=lambda _: iter)


def test_what_the_other_half_holds_changes_nothing_that_is_chosen(
    capsys, tmp_path, model, material
):
    """
    Half B full of false accepts: the choice stays, the report on half B tells of them.
    """
    _, before = tune(capsys, model, material, tmp_path, "--dry-run")
    shutil.copy(DEMO, material[0] / "11-000.wav")
    _, after = tune(capsys, model, material, tmp_path, "--dry-run")

    for key in ("thresholds", "smoothing_ms", "suppression_ms", "tuning"):
        assert before[key] == after[key]
    assert 0 == before["reporting"]["false_accepts"]
    assert after["reporting"]["false_accepts"] >= 8
    assert ["11", "13"] == after["reporting"]["speakers"]


def test_thresholds_are_tuned_at_the_hop_of_the_stream_form(
    capsys, tmp_path, eight_frame_model, material
):
    """
    Without --hop-ms a model of 80 ms is heard as it will run: streaming, every 80 ms.
    """
    _, report = tune(capsys, eight_frame_model, material, tmp_path, "--dry-run")

    assert ("stream", 80) == (report["mode"], report["hop_ms"])


def test_the_choice_goes_into_the_manifest_with_what_it_rests_on(capsys, tmp_path, model, material):
    """
    Smoothing, suppression and thresholds are the manifest's; beside them speakers, hours,
    figures of both halves and the command. A dry run leaves the file as it is.
    """
    table = json.loads(model.read_text())
    for key in ("context_weights", "context_ms", "context_delay_ms"):
        table["decision"].pop(key, None)
    model.write_text(json.dumps(table))
    before = model.read_bytes()
    _, planned = tune(capsys, model, material, tmp_path, "--dry-run", "--context-weights", 2.5)
    assert before == model.read_bytes()

    picture = tmp_path / "curve.png"
    more = ("--picture", str(picture), "--context-weights", 2.5)
    code, report = tune(capsys, model, material, tmp_path, *more)

    manifest = read_manifest(model)
    source = manifest.metrics["thresholds"]
    assert 0 == code
    assert planned["thresholds"] == report["thresholds"] == manifest.decision.thresholds
    assert report["smoothing_ms"] == manifest.decision.smoothing_ms
    assert report["suppression_ms"] == manifest.decision.suppression_ms
    assert dict.fromkeys(manifest.keywords, 2.5) == manifest.decision.context_weights
    assert (None, str(model)) == (planned.get("written"), report["written"])
    # Those were of the thresholds before.
    assert "stream" not in manifest.metrics
    assert ["10", "12"] == source["ways"][0]["tuned_on"]
    assert ["11", "13"] == source["reporting"]["speakers"]
    assert (10, 10) == (source["tuning"]["words"], source["reporting"]["words"])
    assert {"false_accepts_interval_95", "false_reject_interval_95"} < set(source["reporting"])
    assert picture.read_bytes()[:4] == b"\x89PNG"
    # Figures of the reporting half are those of the spotter itself with what was written.
    main(
        [
            "stream",
            "--model",
            str(model),
            "--audio",
            str(material[1]),
            "--truth",
            str(material[1] / "truth.csv"),
            "--json",
        ]
    )
    heard = json.loads(capsys.readouterr().out)
    missed = source["tuning"]["missed"] + source["reporting"]["missed"]
    assert missed == heard["events"] - heard["hits"]


def test_both_ways_reports_on_everybody(capsys, tmp_path, model, material):
    """
    Each half is reported on once, with the thresholds of the other; the reports are pooled.
    """
    _, report = tune(
        capsys, model, material, tmp_path, "--dry-run", "--split-speakers", "both-ways"
    )

    assert [["10", "12"], ["11", "13"]] == [way["tuned_on"] for way in report["ways"]]
    assert ["10", "11", "12", "13"] == sorted(report["reporting"]["speakers"])
    assert 80 / 3600 == pytest.approx(report["reporting"]["hours"], abs=1e-4)
    assert 20 == report["reporting"]["words"]


def test_without_test_words_there_is_one_threshold(capsys, tmp_path, model, material):
    """
    Nothing says what a higher threshold costs a keyword, so all have the same, and smoothing
    and suppression stay.
    """
    shutil.copy(DEMO, material[0] / "10-000.wav")
    code = main(
        [
            "tune",
            "--model",
            str(model),
            "--audio",
            str(material[0]),
            "--fa-per-hour",
            "600",
            "--cache",
            str(tmp_path / "cache"),
            "--json",
            "--dry-run",
        ]
    )
    report = json.loads(capsys.readouterr().out)

    assert 0 == code
    assert 1 == len(set(report["thresholds"].values()))
    assert min(report["thresholds"].values()) > 0.2
    own = models.load("default").decision
    assert (own.smoothing_ms, own.suppression_ms) == (
        report["smoothing_ms"],
        report["suppression_ms"],
    )
    assert own.context_weights == report["context_weights"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--fa-per-hour", "1"], "too short to tune for 1 false accepts per hour"),
        (["--fa-per-hour", "0"], "--fa-per-hour must be above 0"),
        (["--own-share", "2"], "own_share must lie in 0..1"),
        (["--max-latency-s", "-1"], "--max-latency-s must be above 0, got -1"),
        (["--smoothing-ms", "2000"], "--smoothing-ms: expected above 0 and up to 1000"),
        (["--fa-per-hour", "100", "--picture", "no/such/curve.png"], "there is no folder no/such"),
        (["--fa-per-hour", "100", "--picture", "curve.gif"], "expected one of .png, .svg, .pdf"),
    ],
)
def test_what_cannot_be_tuned_is_one_line(capsys, model, material, more, message):
    """
    Too few hours for so low a rate, and nonsense, are clear errors; the manifest stays.
    """
    before = model.read_bytes()
    quiet, words = material

    code = main(
        [
            "tune",
            "--model",
            str(model),
            "--audio",
            str(quiet),
            "--misses",
            str(words),
            *more,
            "--cache",
            str(quiet.parent / "cache"),
        ]
    )

    assert 1 == code
    assert message in capsys.readouterr().err
    assert before == model.read_bytes()


def test_folders_in_the_wrong_place_are_told(capsys, tmp_path, model, material):
    """
    Test words as quiet audio, and quiet audio as test words, are refused.
    """
    quiet, words = material
    arguments = ["tune", "--model", str(model), "--cache", str(tmp_path / "cache")]

    assert 1 == main([*arguments, "--audio", str(words), "--misses", str(words)])
    assert "expected audio without keywords" in capsys.readouterr().err
    assert 1 == main([*arguments, "--audio", str(quiet), "--misses", str(quiet)])
    assert "expected spoken keywords" in capsys.readouterr().err
