"""Marks that a program sets for the instruction counter of `icount.c`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

# As in icount.c. Each part has two marks, begin and end, in this order.
MARK = 0x6B777300
PARTS = ("whole", "front_end", "model", "smoothing", "decision", "invoke", "nothing")


class Marks:
    """Tell the counter where parts begin and end: a seek on /dev/null that it listens for."""

    def __init__(self) -> None:
        self._file = os.open(os.devnull, os.O_RDONLY)
        self.active = False

    def around(self, part: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return `call` with marks before and after it."""
        begin = MARK + 2 * PARTS.index(part)
        seek, file = os.lseek, self._file

        def marked(*arguments: Any, **options: Any) -> Any:
            if not self.active:
                return call(*arguments, **options)
            seek(file, begin, os.SEEK_SET)
            result = call(*arguments, **options)
            seek(file, begin + 1, os.SEEK_SET)
            return result

        return marked
