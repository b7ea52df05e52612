"""The truth table: what is refused, and that nothing is lost on the way."""

import pytest

from kws.errors import AudioError
from training.evaluation.truth import Event, read_truth, write_truth


def test_truth_survives_a_round_trip(tmp_path):
    """
    What is written is read again, in order of file and time.
    """
    events = [Event("b.wav", "no", 1.5, 2.0), Event("a.wav", "_ignore_", 0.0, 0.25)]
    write_truth(events, tmp_path / "truth.csv")

    found = read_truth(tmp_path / "truth.csv", files=["a.wav", "b.wav"])

    assert [events[1], events[0]] == found


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("file,keyword,start_s\n", "expected the columns"),
        ("file,keyword,start_s,end_s\na.wav,yes,x,2\n", "line 2: expected start_s and end_s"),
        ("file,keyword,start_s,end_s\na.wav,yes,3,2\n", "line 2: expected 0 <= start_s"),
        ("file,keyword,start_s,end_s\nc.wav,yes,1,2\n", "line 2: no audio file 'c.wav'"),
    ],
)
def test_nonsense_is_refused_with_its_line(tmp_path, text, message):
    """
    A table that makes no sense is one clear error that names the line.
    """
    path = tmp_path / "truth.csv"
    path.write_text(text)

    with pytest.raises(AudioError, match=message):
        read_truth(path, files=["a.wav"])
