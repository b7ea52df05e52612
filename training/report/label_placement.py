"""Names beside the points of a picture, where they cover neither a point nor each other."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.transforms import Bbox

# Offset in points, horizontal and vertical alignment: above, below, right, left, then the corners.
PLACES = (
    ((0, 5), "center", "bottom"),
    ((0, -5), "center", "top"),
    ((6, 0), "left", "center_baseline"),
    ((-6, 0), "right", "center_baseline"),
    ((5, 4), "left", "bottom"),
    ((-5, 4), "right", "bottom"),
    ((5, -4), "left", "top"),
    ((-5, -4), "right", "top"),
)
POINT_SIZE = 4.0


def name_points(
    axes: Axes,
    points: Sequence[tuple[float, float, str]],
    *,
    taken: Sequence[tuple[float, float]] = (),
    colour: str,
) -> list[str]:
    """Write names at the first free place round their points; return those that found none.

    Parameters
    ----------
    axes : Axes
        With its limits and scales set.
    points : sequence of (x, y, name)
        In data coordinates; earlier ones choose first.
    taken : sequence of (x, y)
        Further points that no name may cover.
    colour : str
        Of the names.
    """
    figure = axes.figure
    figure.draw_without_rendering()
    pixels_a_point = figure.dpi / 72
    half = POINT_SIZE * pixels_a_point
    dots = [axes.transData.transform(spot) for spot in (*[(x, y) for x, y, _ in points], *taken)]
    boxes = [Bbox([(x - half, y - half), (x + half, y + half)]) for x, y in dots]
    inside = axes.get_window_extent()
    left_out = []
    for number, (x, y, name) in enumerate(points):
        others = boxes[:number] + boxes[number + 1 :]
        for offset, across, along in PLACES:
            text = axes.annotate(
                name,
                (x, y),
                xytext=offset,
                textcoords="offset points",
                ha=across,
                va=along,
                fontsize=7,
                color=colour,
            )
            # A name must not move the axes that it was placed in.
            text.set_in_layout(False)
            box = text.get_window_extent()
            if (
                inside.contains(*box.min)
                and inside.contains(*box.max)
                and not box.count_overlaps(others)
            ):
                boxes.append(box)
                break
            text.remove()
        else:
            left_out.append(name)
    return left_out
