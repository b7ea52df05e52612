"""The figure in docs/architecture.md shows the imports that the code has."""

from __future__ import annotations

import ast
import re
from itertools import product
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
PACKAGES = ("kws", "training")
# Entry points without a room of their own.
NOT_DRAWN = {"kws.__init__", "kws.__main__", "training.__init__"}


def room_of(module: str) -> str | None:
    """Return "kws.audio" for "kws.audio.files"; None for what is not ours or is no room."""
    parts = module.split(".")
    if parts[0] not in PACKAGES or len(parts) < 2:
        return None
    folder = ROOT / parts[0]
    if (folder / parts[1]).is_dir() or (folder / f"{parts[1]}.py").exists():
        return ".".join(parts[:2])
    return None


def imports_of(path: Path) -> set[str]:
    """Return the rooms that a module imports, wherever in the file it does."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {room_of(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {room_of(f"{node.module}.{alias.name}") for alias in node.names}
    return {room for room in found if room is not None}


def imported_rooms() -> dict[str, set[str]]:
    """Return for each room the other rooms that its modules import."""
    rooms: dict[str, set[str]] = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
            if room is not None and room not in NOT_DRAWN:
                rooms.setdefault(room, set()).update(imports_of(path) - {room})
    return rooms


def drawn_rooms() -> dict[str, set[str]]:
    """Return the rooms of the figure with the arrows that leave them."""
    figure = re.search(r"```mermaid\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert figure is not None
    rooms: dict[str, set[str]] = {}
    for line in figure.group(1).splitlines():
        names = re.findall(r"\b(?:kws|training)\.\w+", line)
        for name in names:
            rooms.setdefault(name, set())
        if "-->" in line:
            left, right = (re.findall(r"[\w.]+", side) for side in line.split("-->"))
            for source, target in product(left, right):
                rooms[source].add(target)
    return rooms


def reachable(rooms: dict[str, set[str]], start: str) -> set[str]:
    """Return all rooms that arrows lead to from `start`."""
    found: set[str] = set()
    waiting = [start]
    while waiting:
        for target in rooms.get(waiting.pop(), set()) - found:
            found.add(target)
            waiting.append(target)
    return found


def fewest_arrows(rooms: dict[str, set[str]]) -> list[str]:
    """Return the arrows that imply all others, as lines for the figure."""
    lines = []
    for source, targets in sorted(rooms.items()):
        beyond = set().union(*(reachable(rooms, target) for target in targets))
        needed = sorted(targets - beyond)
        if needed:
            lines.append(f"{source} --> {' & '.join(needed)}")
    return lines


@pytest.fixture(scope="module")
def drawn() -> dict[str, set[str]]:
    return drawn_rooms()


@pytest.fixture(scope="module")
def imported() -> dict[str, set[str]]:
    return imported_rooms()


def test_the_figure_has_every_room_and_no_other(drawn, imported):
    """
    A new package must be drawn, a deleted one must go.
    """
    assert set(imported) == set(drawn)


def test_rooms_import_without_circles(imported):
    """
    No room reaches itself by imports, lazy ones included.
    """
    circles = {room for room in imported if room in reachable(imported, room)}

    assert set() == circles


def test_imports_go_in_the_direction_of_the_arrows(drawn, imported):
    """
    Every import between rooms follows from arrows of the figure.
    """
    against = {
        f"{room} imports {target}"
        for room, targets in imported.items()
        for target in targets - reachable(drawn, room)
    }

    assert set() == against, "\n".join(["arrows that the code needs:", *fewest_arrows(imported)])


def test_every_arrow_is_an_import(drawn, imported):
    """
    The figure shows nothing that the code does not do.
    """
    invented = {
        f"{room} --> {target}"
        for room, targets in drawn.items()
        for target in targets - imported.get(room, set())
    }

    assert set() == invented, "\n".join(["arrows that the code needs:", *fewest_arrows(imported)])


def test_files_to_look_at_exist():
    """
    Files named in the tables of the page exist, with their folder or without it.
    """
    named = re.findall(r"`([\w/]+\.py)`", PAGE.read_text(encoding="utf-8"))

    files = {
        part
        for package in (*PACKAGES, "examples", "tests", "tools")
        for path in (ROOT / package).rglob("*.py")
        for part in (path.name, str(path.relative_to(ROOT)))
    }

    assert [] == [name for name in named if name not in files]


def test_runtime_never_imports_the_build_side(imported):
    """
    `kws` runs without `training`.
    """
    assert set() == {
        room
        for room, targets in imported.items()
        if room.startswith("kws.") and any(target.startswith("training.") for target in targets)
    }
