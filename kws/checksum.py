"""SHA-256 without loading OpenSSL."""

from __future__ import annotations

from typing import Any


def sha256(content: bytes) -> str:
    """Return the SHA-256 of `content` in hexadecimal.

    `hashlib` loads OpenSSL: 4 MB and 4 ms for a single digest. CPython's own module, which
    hashlib itself falls back to, goes without; where it is missing, hashlib it is.
    """
    return str(_implementation()(content).hexdigest())


def _implementation() -> Any:
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
