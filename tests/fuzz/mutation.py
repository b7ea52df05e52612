"""New inputs from old ones, the same for the same seed: bytes, JSON, pages of an Ogg file."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, MutableMapping, MutableSequence
from typing import Any

# Where lengths, counts and rates go wrong: the edges of what so many bytes can hold.
EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF)
WIDE_EDGES = (*EDGES, 2**36 - 1, 2**63 - 1, 2**63, 2**64 - 1)
HEADER_BYTES = 96
DEEP = "@deep@"
NASTY: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10, 0.5, 2**15, 2**31, 2**63, 10**30, 10**400, -(10**400)),
    *(1e-320, 1e-30, 1e30, 1e308, -1e308, float("nan"), float("inf"), -float("inf")),
    *("", " ", "\0", "\n", "\x1b[2J", "\ud800", "é", "..", ".", "../x", "x" * 300, DEEP),
    *([], {}, [[]], [1, 2], ["a"], {"a": 1}, {"shape": [1]}, {"": {}}),
)


def mutate_bytes(data: bytes, rng: random.Random, *, most: int = 4) -> bytes:
    """Return `data` after one to `most` changes, half of them where a header would be."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, most)):
        change = rng.choice(CHANGES)
        change(changed, _place(changed, rng), rng)
    return bytes(changed)


def _place(data: bytearray, rng: random.Random) -> int:
    end = min(HEADER_BYTES, len(data)) if rng.random() < 0.5 else len(data)
    return rng.randrange(end) if end else 0


def _flip(data: bytearray, at: int, rng: random.Random) -> None:
    if data:
        data[at] ^= 1 << rng.randrange(8)


def _edge(data: bytearray, at: int, rng: random.Random) -> None:
    size = rng.choice((1, 2, 4, 8))
    value = rng.choice(WIDE_EDGES) & (256**size - 1)
    data[at : at + size] = value.to_bytes(size, rng.choice(("little", "big")))


def _noise(data: bytearray, at: int, rng: random.Random) -> None:
    size = rng.choice((1, 2, 4, 16, 256))
    data[at : at + size] = rng.getrandbits(8 * size).to_bytes(size, "big")


def _insert(data: bytearray, at: int, rng: random.Random) -> None:
    size = rng.choice((1, 2, 3, 4, 64))
    data[at:at] = rng.getrandbits(8 * size).to_bytes(size, "big")


def _delete(data: bytearray, at: int, rng: random.Random) -> None:
    del data[at : at + rng.choice((1, 2, 3, 4, 64, 1_024))]


def _repeat(data: bytearray, at: int, rng: random.Random) -> None:
    piece = data[at : at + rng.choice((4, 32, 512))]
    data[at:at] = piece * rng.choice((1, 1, 2, 8))


def _cut(data: bytearray, at: int, rng: random.Random) -> None:
    del data[at:]


CHANGES: tuple[Callable[[bytearray, int, random.Random], None], ...] = (
    *(_flip, _flip, _edge, _edge, _edge, _noise, _insert, _delete, _repeat, _cut),
)


def mutate_json(table: dict[str, Any], rng: random.Random, *, most: int = 3) -> bytes:
    """Return a JSON object as text after one to `most` changes of keys and values, mostly one.

    The table is changed in place.
    """
    for _ in range(rng.choice((1, 1, rng.randint(1, most)))):
        holder, key = _spot(table, rng)
        if key is not None:
            _change(holder, key, rng)
    text = json.dumps(table, ensure_ascii=rng.random() < 0.8)
    depth = rng.choice((20, 200, 900, 5_000))
    text = text.replace(f'"{DEEP}"', "[" * depth + "]" * depth)
    return text.encode("utf-8", "surrogatepass")


def _spot(table: Any, rng: random.Random) -> tuple[Any, Any]:
    """Return a container somewhere in the table, and one of its keys; None if it has none."""
    holder = table
    while True:
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        if not keys:
            return holder, None
        key = rng.choice(keys)
        if not isinstance(holder[key], (dict, list)) or rng.random() < 0.3:
            return holder, key
        holder = holder[key]


def _change(holder: Any, key: Any, rng: random.Random) -> None:
    value = holder[key]
    kind = rng.randrange(6)
    number = isinstance(value, (int, float)) and abs(value) < 1e30
    if number and rng.random() < 0.5:
        # Near what it was, where a manifest may still hold and the model be opened.
        holder[key] = rng.choice((value + 1, value - 1, value * 2, -value, value / 3, value * 1e6))
    elif kind == 0:
        del holder[key]
    elif kind <= 2 and isinstance(value, str) and value:
        characters = list(value)
        characters[rng.randrange(len(characters))] = chr(rng.choice((0, 10, 65, 0x2F, 0xD800)))
        holder[key] = "".join(characters)
    elif kind == 3 and isinstance(holder, MutableMapping):
        holder[rng.choice(("", "path", "file", "a\nb", "\ud800", f"{key}2", "x" * 300))] = value
    elif kind == 3 and isinstance(holder, MutableSequence):
        holder.insert(key, value)
    elif kind == 4:
        holder[key] = [value]
    else:
        holder[key] = copy.deepcopy(rng.choice(NASTY))


def mend_ogg(data: bytes) -> bytes:
    """Return an Ogg file with the checksum of each page set right, so that readers look inside."""
    mended = bytearray(data)
    start = mended.find(b"OggS")
    while start >= 0 and start + 27 <= len(mended):
        n_segments = mended[start + 26]
        body = sum(mended[start + 27 : start + 27 + n_segments])
        end = min(start + 27 + n_segments + body, len(mended))
        mended[start + 22 : start + 26] = bytes(4)
        checksum = _ogg_checksum(mended[start:end])
        mended[start + 22 : start + 26] = checksum.to_bytes(4, "little")
        start = mended.find(b"OggS", end)
    return bytes(mended)


def _ogg_table() -> list[int]:
    table = []
    for byte in range(256):
        value = byte << 24
        for _ in range(8):
            value = (value << 1) ^ (0x04C1_1DB7 if value & 0x8000_0000 else 0)
        table.append(value & 0xFFFF_FFFF)
    return table


OGG_TABLE = _ogg_table()


def _ogg_checksum(page: bytes | bytearray) -> int:
    """Return the CRC-32 of RFC 3533: no reflection, no inversion."""
    value = 0
    for byte in page:
        value = ((value << 8) & 0xFFFF_FFFF) ^ OGG_TABLE[(value >> 24) ^ byte]
    return value
