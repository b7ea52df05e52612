"""What must hold whatever the input: one readable line of error, and the stated result."""

from __future__ import annotations

import hashlib
import os
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kws.inference import interpreter

MAX_MESSAGE = 2_000
# Control characters, lone surrogates, line and paragraph separators: nothing for a terminal.
UNPRINTABLE = {"Cc", "Cs", "Zl", "Zp"}


class BrokenPromiseError(AssertionError):
    """An input was found that breaks a promise."""


def expect(holds: bool, promise: str, got: object) -> None:
    """Raise unless the promise holds."""
    if not holds:
        raise BrokenPromiseError(f"expected {promise}, got {got!r:.500}")


def check_message(error: Exception, *, where: str | None = None) -> None:
    """Check that an error is one line of bounded length that a terminal can show."""
    text = str(error)
    expect(0 < len(text) <= MAX_MESSAGE, "a message of bounded length", text)
    bad = {character for character in text if unicodedata.category(character) in UNPRINTABLE}
    expect(not bad, "one printable line", text)
    if where is not None:
        expect(where in text, f"a message that names {where}", text)


@contextmanager
def watched_interpreter() -> Iterator[list[str]]:
    """Give the list of SHA-256 of all content that reaches the C++ interpreter, as it comes.

    The real interpreter is opened all the same: its class is only extended.
    """
    _, module = interpreter._import(os.environ.get("KWS_RUNTIME") or None)
    real: Any = module.Interpreter
    seen: list[str] = []

    class Watched(real):  # type: ignore[misc]
        def __init__(self, *args: Any, **settings: Any) -> None:
            content = settings.get("model_content")
            seen.append(hashlib.sha256(content).hexdigest() if content else f"{args} {settings}")
            super().__init__(*args, **settings)

    module.Interpreter = Watched
    try:
        yield seen
    finally:
        module.Interpreter = real
