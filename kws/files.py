"""Read untrusted files within bounds, write files whole or not at all, and hash them."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kws.errors import ConfigError

MAX_DEPTH = 32
MAX_DIGITS = 30
MAX_QUOTED = 500
# Control characters, line and paragraph separators, and lone surrogates.
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
        # `read` allocates as much as is asked for, so ask for no more than there is.
        return file.read(found.st_size)


def read_json(path: Path, max_bytes: int) -> Any:
    """Return the value in a JSON file.

    Raises
    ------
    OSError
        See `read_bounded`.
    ValueError
        If it is not JSON, or its integers or its nesting go beyond any manifest's.
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


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same suffix; on success it is renamed to `path`.

    Raises
    ------
    ConfigError
        If the folder of `path` does not exist.
    """
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}")
    temporary = path.with_name(f".{os.getpid()}.{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write bytes or UTF-8 text; an existing file is replaced only once all is written."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal.

    `hashlib` loads OpenSSL, which costs 4 MB and 4 ms for a single digest. CPython's own module,
    to which hashlib falls back, does without.
    """
    return str(_sha256()(content).hexdigest())


def one_line(text: str) -> str:
    """Return text on one line with control characters escaped, truncated if very long."""
    cut = text if len(text) <= MAX_QUOTED else f"{text[:MAX_QUOTED]}…"
    return UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], cut)


def is_printable(text: str) -> bool:
    """Return whether the text has no control characters or line breaks."""
    return UNPRINTABLE.search(text) is None


def _integer(digits: str) -> int:
    # Python takes seconds to parse a million digits.
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


def _sha256() -> Any:
    try:
        from _sha2 import sha256  # type: ignore[import-not-found, unused-ignore]  # Python 3.12+

        return sha256
    except ImportError:
        pass
    try:
        from _sha256 import sha256  # type: ignore[import-not-found, unused-ignore, no-redef]

        return sha256
    except ImportError:
        from hashlib import sha256  # type: ignore[no-redef, unused-ignore]

        return sha256
