"""Files that others wrote: read within bounds, and quoted so that a terminal can show them."""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path
from typing import Any

MAX_DEPTH = 32
MAX_DIGITS = 30
MAX_QUOTED = 500
# Control characters, line and paragraph separators, and halves of characters (surrogates), which
# cannot be printed at all.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Return the bytes of a regular file.

    Raises
    ------
    OSError
        If it cannot be read, is longer than `max_bytes`, or is a pipe or device, which might
        never end.
    """
    try:
        found = path.stat()
    except ValueError as error:
        raise OSError(f"no file can have this name: {error}") from error
    if not stat.S_ISREG(found.st_mode):
        raise OSError("not a regular file")
    if found.st_size > max_bytes:
        raise OSError(f"expected at most {max_bytes} bytes, got {found.st_size}")
    with open(path, "rb") as file:
        # Room for what is asked for is taken at once: so no more is asked for than there is.
        return file.read(found.st_size)


def read_json(path: Path, max_bytes: int) -> Any:
    """Return the value in a JSON file.

    Raises
    ------
    OSError
        See `read_bounded`.
    ValueError
        If it is no JSON, or holds longer integers or deeper nesting than a manifest has.
    """
    text = read_bounded(path, max_bytes).decode("utf-8")
    try:
        value = json.loads(text, parse_int=_integer)
        too_deep = _is_deeper(value, MAX_DEPTH)
    except RecursionError:
        too_deep = True
    if too_deep:
        raise ValueError(f"lists and tables nested deeper than {MAX_DEPTH}")
    return value


def one_line(text: str) -> str:
    """Return text on one line, with what a terminal would obey escaped, and cut if very long."""
    cut = text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], cut)


def is_printable(text: str) -> bool:
    """Return whether a terminal can show the text without obeying it."""
    return UNPRINTABLE.search(text) is None


def _integer(digits: str) -> int:
    # Python takes seconds for a million digits, and no float holds some hundred.
    if len(digits) > MAX_DIGITS:
        raise ValueError(f"an integer of {len(digits)} digits")
    return int(digits)


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            inner
            for outer in level
            if isinstance(outer, (dict, list))
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return False
    return True
