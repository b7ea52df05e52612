"""Values as C source: names, comments, strings, numbers and bytes."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable

import numpy as np

BYTES_A_LINE = 16
COLUMNS = 100


def identifier(name: str) -> str:
    """Return a name as a C identifier: ``lamp-on`` is ``lamp_on``."""
    made = re.sub(r"[^A-Za-z0-9_]", "_", name) or "_"
    return f"m{made}" if made[0].isdigit() else made


def comment(text: str) -> str:
    """Return a text as `//` comments, a paragraph for each of its lines."""
    # A backslash or its trigraph at the end would draw the next line of code into the comment.
    lines = [line.replace("??/", "?/").rstrip("\\ \t") for line in text.splitlines()]
    wrapped = [part for line in lines for part in textwrap.wrap(line, COLUMNS - 3)]
    return "\n".join(f"// {line}" for line in wrapped)


def string(text: str) -> str:
    """Return a text as a C string literal of its UTF-8 bytes."""
    plain = set(range(32, 127)) - set(b'"\\?')
    return '"' + "".join(chr(x) if x in plain else f"\\{x:03o}" for x in text.encode()) + '"'


def integer(value: int) -> str:
    """Return an int as C source, a negative one in brackets."""
    return str(value) if value >= 0 else f"({value})"


def real(value: float) -> str:
    """Return a number as a C float that reads back as the same float32."""
    literal = f"{np.float32(value)!s}f"
    return literal if value >= 0 else f"({literal})"


def numbers(values: Iterable[int]) -> str:
    """Return an initialiser such as ``{1, 98, 40}``."""
    return "{" + ", ".join(str(value) for value in values) + "}"


def data(content: bytes) -> str:
    """Return the lines of an array of bytes."""
    rows = [content[at : at + BYTES_A_LINE] for at in range(0, len(content), BYTES_A_LINE)]
    return "\n".join("  " + " ".join(f"0x{x:02x}," for x in row) for row in rows)


def define(name: str, value: str) -> str:
    """Return a macro definition."""
    return f"#define {name} {value}"


def ascii_only(text: str) -> str:
    """Return source whose comments may hold other characters, with those as question marks."""
    return text.encode("ascii", "replace").decode()
