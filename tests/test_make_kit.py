"""The public originals, laid out as the recipes expect their data."""

import csv
import importlib.util
from pathlib import Path

import numpy as np
import pytest
import soundfile

from training.datasets.aligned_speech import read_utterances, read_word_times
from training.datasets.noise import esc_noise
from training.datasets.phrases import read_phrases
from training.datasets.rooms import read_rooms

SCRIPT = Path(__file__).parents[1] / "tools" / "make_kit.py"
RATE = 16_000
WORDS = [("", 0.0, 0.5), ("GO", 0.5, 0.9), ("", 0.9, 1.2), ("DON'T", 1.2, 1.5), ("", 1.5, 2.0)]


@pytest.fixture(scope="module")
def make_kit():
    """Return the script's main function."""
    spec = importlib.util.spec_from_file_location("make_kit", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda *arguments: module.main(list(map(str, arguments)))


def write_sound(path, *, rate=RATE, seconds=2.0, channels=1):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.name.encode()))
    soundfile.write(path, rng.uniform(-0.3, 0.3, (round(seconds * rate), channels)), rate)


def text_grid(words):
    """Return the long form that Praat and the Montreal Forced Aligner write."""
    rows = [
        f"        intervals [{number}]:\n            xmin = {first} \n"
        f'            xmax = {last} \n            text = "{text}" \n'
        for number, (text, first, last) in enumerate(words, 1)
    ]
    tiers = [
        f'    item [{number}]:\n        class = "IntervalTier" \n        name = "{name}" \n'
        f"        intervals: size = {len(rows)} \n{''.join(rows)}"
        for number, name in enumerate(("words", "phones"), 1)
    ]
    head = 'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0 \nxmax = 2 \ntiers? '
    return f"{head}<exists> \nsize = 2 \nitem []: \n{''.join(tiers)}"


def test_speech_has_word_times_of_either_form(make_kit, tmp_path, capsys):
    """
    TextGrids and condensed alignments give the same table; a recording without one is left out.
    """
    for number in range(3):
        write_sound(tmp_path / "dev-clean" / "1272" / "128104" / f"1272-128104-000{number}.flac")
    times = tmp_path / "times" / "1272"
    times.mkdir(parents=True)
    (times / "1272-128104-0000.TextGrid").write_text(text_grid(WORDS))
    words, ends = ",".join(text for text, _, _ in WORDS), ",".join(str(end) for *_, end in WORDS)
    (times / "1272-128104.alignment.txt").write_text(f'1272-128104-0001 "{words}" "{ends}"\n')

    assert 0 == make_kit(
        "--out", tmp_path / "kit", "--librispeech", tmp_path / "dev-clean",
        "--alignments", tmp_path / "times",
    )  # fmt: skip

    found = read_utterances(tmp_path / "kit" / "librispeech", "dev_clean")
    assert ["1272-128104-0000", "1272-128104-0001"] == [one.path.stem for one in found]
    for one in found:
        spans = [(word.text, word.start, word.n_samples) for word in one.words]
        assert [("go", 8_000, 6_400), ("don't", 19_200, 4_800)] == spans
    assert "1 recordings without word times" in capsys.readouterr().err


def test_sounds_rooms_and_phrases(make_kit, tmp_path):
    """
    Of ESC-50 the ten classes of ESC-10 are kept, under the names of the recipes; all audio becomes
    mono at 16 kHz.
    """
    esc, room, an4 = tmp_path / "ESC-50-master", tmp_path / "responses", tmp_path / "an4-original"
    rows = [
        ("5-1-A-20.wav", 5, "crying_baby"),
        ("2-7-B-10.wav", 2, "rain"),
        ("1-2-A-9.wav", 1, "cow"),
    ]
    for name, *_ in rows:
        write_sound(esc / "audio" / name, rate=44_100, seconds=1)
    (esc / "meta").mkdir()
    with open(esc / "meta" / "esc50.csv", "w", newline="") as handle:
        csv.writer(handle).writerows([("filename", "fold", "category"), *rows])
    write_sound(room / "hall" / "far.wav", rate=48_000, seconds=0.2, channels=2)
    (an4 / "wav" / "fash").mkdir(parents=True)
    soundfile.write(
        an4 / "wav" / "fash" / "an251-fash-b.sph", np.full(RATE, 0.1), RATE, format="NIST"
    )
    (an4 / "etc").mkdir()
    (an4 / "etc" / "an4_train.transcription").write_text("<s> YES FIVE </s> (an251-fash-b)\n")

    kit = tmp_path / "kit"
    assert 0 == make_kit("--out", kit, "--esc50", esc, "--rooms", room, "--an4", an4)

    assert ["baby_cry", "rain"] == sorted(path.name for path in (kit / "esc10").iterdir())
    (sound,) = esc_noise(kit / "esc10", "testing").recordings
    assert RATE == len(sound) == soundfile.info(kit / "esc10/baby_cry/5-1-A.wav").samplerate
    assert 1 == len(read_rooms(kit / "room_impulse_responses"))
    (phrase,) = read_phrases(kit / "an4")
    assert (("yes", "five"), "fash", True) == (phrase.words, phrase.speaker, phrase.path.is_file())


def test_missing_originals_are_one_line(make_kit, tmp_path, capsys):
    """
    Speech without alignments, and a folder that is none of the originals, end in one line.
    """
    for arguments in (("--librispeech", tmp_path), ("--esc50", tmp_path), ("--an4", tmp_path),
                      ("--rooms", tmp_path)):  # fmt: skip
        assert 1 == make_kit("--out", tmp_path / "kit", *arguments)
        assert "expected" in capsys.readouterr().err
    assert not (tmp_path / "kit").exists()


def test_real_speech_packed_as_published_comes_back(make_kit, kws_data, tmp_path):
    """
    A chapter of dev-clean with its word times as a condensed alignment gives the same table.
    """
    times = read_word_times(kws_data / "librispeech" / "dev_clean.words.csv")
    names = [name for name in sorted(times) if name.startswith("1272-128104-")][:3]
    lines = []
    for name in names:
        samples, rate = soundfile.read(kws_data / "librispeech" / "dev_clean" / f"{name}.wav")
        (tmp_path / "dev-clean" / "1272").mkdir(parents=True, exist_ok=True)
        soundfile.write(tmp_path / "dev-clean" / "1272" / f"{name}.flac", samples, rate)
        spans, position = [], 0
        for word in times[name]:
            spans += [("", word.start)] if word.start > position else []
            spans.append((word.text.upper(), word.end))
            position = word.end
        ends = ",".join(f"{end / RATE:.3f}" for _, end in spans)
        lines.append(f'{name} "{",".join(text for text, _ in spans)}" "{ends}"\n')
    (tmp_path / "times").mkdir()
    (tmp_path / "times" / "1272-128104.alignment.txt").write_text("".join(lines))

    arguments = ("--librispeech", tmp_path / "dev-clean", "--alignments", tmp_path / "times")
    assert 0 == make_kit("--out", tmp_path / "kit", *arguments)

    again = read_word_times(tmp_path / "kit" / "librispeech" / "dev_clean.words.csv")
    assert {name: times[name] for name in names} == again
    for name in names:
        one, other = (
            soundfile.read(root / "dev_clean" / f"{name}.wav", dtype="int16")[0]
            for root in (kws_data / "librispeech", tmp_path / "kit" / "librispeech")
        )
        np.testing.assert_array_equal(one, other)
