"""The published points that a report is set beside."""

import pytest

pytest.importorskip("jinja2", reason="the page needs the extra [eval]")

from kws.errors import ConfigError
from training.report import published


def test_every_point_has_its_source():
    """
    Each point says on which test, in which form and by whom; names are distinct in a form.
    """
    points = published.points()

    assert len(points) > 40
    assert all(len(point["source"]) > 10 for point in points)
    assert {"V1-12", "V2-12", "12 words"} == {point["set"] for point in points}
    names = [(point["name"], point["form"]) for point in points]
    assert len(set(names)) == len(names)


def test_figures_are_those_of_the_papers():
    """
    BC-ResNet-8 with 98.7 % and 89.1 M multiplications, MicroNet-S with 95.3 % in 115 kB.
    """
    found = {(point["name"], point["form"]): point for point in published.points()}

    best, small = found["BC-ResNet-8", "float"], found["MicroNet-S", "int8"]
    assert (0.987, 89_100_000, 321_000) == (best["accuracy"], best["macs"], best["parameters"])
    assert (0.953, 115_000, None) == (small["accuracy"], small["bytes"], small["macs"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('source = "nobody"', "expected a source"),
        ('source = "a"\naccuracy = 0.97', "accuracy in %"),
        ('source = "a"\nmacs = 1', "unknown key macs"),
    ],
)
def test_point_without_sense_is_refused(tmp_path, line, words):
    """
    A point that nobody published, or with another unit, is an error and not a dot.
    """
    path = tmp_path / "points.toml"
    accuracy = "" if "accuracy" in line else "accuracy = 97.0\n"
    path.write_text(
        f'[sources]\na = "somebody"\n[[point]]\nname = "x"\nset = "V2-12"\nform = "int8"\n'
        f"{accuracy}{line}\n"
    )

    with pytest.raises(ConfigError, match=words):
        published.points(path)
