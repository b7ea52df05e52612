"""Long test audio: levels, truth and seeds."""

import numpy as np
import pytest
import soundfile

from kws.errors import ConfigError
from training.cli.evaluate import main
from training.datasets.clips import Clip
from training.datasets.noise import loud_level
from training.evaluation.mix_stream import Background, StreamConfig, mix_clips
from training.evaluation.test_audio import build_streams
from training.evaluation.truth import read_truth

RATE = 16_000


@pytest.fixture
def clip(tmp_path):
    """Return a one-second clip with a tone from 0.4 s to 0.7 s."""
    samples = np.zeros(RATE, dtype=np.int16)
    t = np.arange(int(0.3 * RATE)) / RATE
    samples[int(0.4 * RATE) : int(0.7 * RATE)] = 3_000 * np.sin(2 * np.pi * 440 * t)
    path = tmp_path / "yes" / "a.wav"
    path.parent.mkdir()
    soundfile.write(path, samples, RATE)
    return Clip(path, "yes")


def noise(rng, seconds):
    return (rng.standard_normal(seconds * RATE) * 500).astype(np.int16)


def test_words_have_the_stated_level(rng, clip):
    """
    The loudest 300 ms of each word are `snr_db` above the RMS of the background.
    """
    background = Background(noise(rng, 60))
    config = StreamConfig(snr_db=20.0, keywords_per_minute=6)

    mix, events = mix_clips([clip], background, config, file="s.wav")

    alone, _ = mix_clips([], background, config, file="s.wav")
    first = int(events[0].start_s * RATE)
    word = mix[first : first + int(0.3 * RATE)].astype(float) - alone[first : first + 4_800]
    rms = np.sqrt(np.mean(alone.astype(float) ** 2))
    assert 20.0 == pytest.approx(20 * np.log10(loud_level(word) / rms), abs=0.3)


def test_truth_has_the_span_of_the_word_only(rng, clip):
    """
    An event spans the sound, here 0.3 s, not the whole clip of one second.
    """
    _, events = mix_clips([clip], Background(noise(rng, 60)), StreamConfig(), file="s.wav")

    assert len(events) >= 5
    for event in events:
        assert 0.3 == pytest.approx(event.end_s - event.start_s, abs=0.03)


def test_the_seed_fixes_the_audio(rng, clip):
    """
    The same seed gives the same audio, another seed other audio.
    """
    background = Background(noise(rng, 30))

    one, same, other = (
        mix_clips([clip], background, StreamConfig(seed=seed), file="s.wav")[0]
        for seed in (1, 1, 2)
    )

    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_folder_has_audio_and_truth_with_ignored_spans(tmp_path, rng, clip):
    """
    Files have the stated length. Keywords of the repeated background are ignored spans in the
    truth.
    """
    soundfile.write(tmp_path / "talk.wav", noise(rng, 10), RATE)
    (tmp_path / "words.csv").write_text(
        "utterance,word,start_sample,n_samples\ntalk,YES,16000,8000\ntalk,hello,40000,8000\n"
    )

    report = build_streams(
        [clip],
        [tmp_path / "talk.wav"],
        tmp_path / "out",
        StreamConfig(minutes=0.5, file_minutes=0.25),
        word_times=tmp_path / "words.csv",
        keywords=("yes",),
        progress=lambda items: items,
    )

    files = sorted(path.name for path in (tmp_path / "out").glob("*.wav"))
    events = read_truth(tmp_path / "out" / "truth.csv", files=files)
    ignored = [(e.file, e.start_s, e.end_s) for e in events if e.keyword == "_ignore_"]
    assert ["stream-000.wav", "stream-001.wav"] == files
    assert 15.0 == soundfile.info(tmp_path / "out" / "stream-000.wav").duration
    assert report["events"] == sum(event.keyword == "yes" for event in events) > 2
    # The background lasts 10.3 s with its pause: the word at 1.0 s returns at 11.3 s, then 6.6 s.
    expected = [("stream-000.wav", 1.0), ("stream-000.wav", 11.3), ("stream-001.wav", 6.6)]
    assert expected == [(file, pytest.approx(start)) for file, start, _ in ignored]


def build(clips, backgrounds, out, grouping):
    return build_streams(
        clips,
        backgrounds,
        out,
        StreamConfig(keywords_per_minute=20, file_minutes=1, grouping=grouping),
        word_times=None,
        keywords=("yes",),
        progress=lambda items: items,
    )


def test_each_speaker_gets_separate_files(tmp_path, rng, clip):
    """
    Grouped by speaker, a file has the speaker's name and no other speaker.
    """
    for name, seconds in (("84-1-0000", 4), ("84-1-0001", 5), ("1272-9-0000", 7)):
        soundfile.write(tmp_path / f"{name}.wav", noise(rng, seconds), RATE)

    build([], sorted(tmp_path.glob("*.wav")), tmp_path / "out", "speaker")

    lengths = {
        path.name: soundfile.info(path).duration for path in (tmp_path / "out").glob("*.wav")
    }
    # A pause of 0.3 s follows each recording.
    assert {"84-000.wav": 9.6, "1272-000.wav": 7.3} == lengths


def test_halves_share_no_speaker_and_no_recording(tmp_path, rng, clip):
    """
    Words and background of a-*.wav and b-*.wav have different speakers and sources.
    """
    clips = []
    for speaker, hz in (("aa", 500), ("bb", 3_000)):
        samples = 3_000 * np.sin(2 * np.pi * hz * np.arange(RATE) / RATE)
        soundfile.write(tmp_path / f"{speaker}_nohash_0.wav", samples.astype(np.int16), RATE)
        clips.append(Clip(tmp_path / f"{speaker}_nohash_0.wav", "yes"))
    for source in ("5-1-A", "5-2-A"):
        soundfile.write(tmp_path / f"{source}.wav", noise(rng, 20), RATE)

    report = build(clips, sorted(tmp_path.glob("5-*.wav")), tmp_path / "out", "halves")

    assert 2 == report["files"]
    for name, own, other in (("a", 500, 3_000), ("b", 3_000, 500)):
        samples, _ = soundfile.read(tmp_path / "out" / f"{name}-000.wav")
        power = np.abs(np.fft.rfft(samples)) ** 2
        hz = np.fft.rfftfreq(len(samples), 1 / RATE)
        near = [power[np.abs(hz - tone) < 20].sum() for tone in (own, other)]
        assert near[0] > 50 * near[1]


def test_other_audio_in_the_output_folder_is_refused(tmp_path, rng, clip):
    """
    The same call may write again. A shorter one would leave a file without truth, which is an
    error before anything is written.
    """
    out = tmp_path / "out"
    soundfile.write(tmp_path / "long.wav", noise(rng, 70), RATE)
    soundfile.write(tmp_path / "short.wav", noise(rng, 10), RATE)
    build([clip], [tmp_path / "long.wav"], out, "all")
    build([clip], [tmp_path / "long.wav"], out, "all")
    before = {path.name: path.read_bytes() for path in out.iterdir()}

    with pytest.raises(ConfigError, match=r"other audio, got stream-001\.wav; name another"):
        build([clip], [tmp_path / "short.wav"], out, "all")
    assert {"stream-000.wav", "stream-001.wav", "truth.csv"} == set(before)
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--snr-db=nan"], "snr_db must be finite, got nan"),
        (["--snr-db=-inf"], "snr_db must be finite, got -inf"),
        (["--minutes", "0"], "--minutes and --file-minutes must be above 0"),
        (["--per-minute", "31"], "must be above 0 and at most 30, got 31"),
        (["--group", "halves"], "at least two speakers"),
        (["--keywords", "banana"], "no clips of banana"),
    ],
)
def test_invalid_options_are_one_line(tmp_path, rng, clip, capsys, options, message):
    """
    Invalid values are errors before anything is written.
    """
    soundfile.write(tmp_path / "noise.wav", noise(rng, 20), RATE)
    folders = ["--clips", clip.path.parent.parent, "--background", tmp_path / "noise.wav"]

    code = main(["make-stream", *map(str, folders), *options, "--out", str(tmp_path / "out")])

    error = capsys.readouterr().err
    assert (1, 1) == (code, error.count("\n"))
    assert message in error
    assert not (tmp_path / "out").exists()
