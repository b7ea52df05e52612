"""A downloader for pooch that goes on where a cut connection left off (HTTP Range, RFC 9110)."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import requests
import urllib3
from tqdm import tqdm

from kws.errors import KwsError

CHUNK_BYTES = 1 << 16
PARTIAL, RANGE_NOT_SATISFIABLE = 206, 416


class FetchError(KwsError, OSError):
    """A download failed, or is not what it should be."""


class ResumingDownloader:
    """Download into `part` and hand over only a whole file; what `part` holds is not asked again.

    Pooch checks the SHA-256 of what is handed over, so a part of another file cannot pass.

    Parameters
    ----------
    part : Path
        Where an unfinished download stays between calls.
    timeout_s : float
        Longest silence of the server.
    show_progress : bool
        Draw a bar on stderr.
    """

    def __init__(self, part: Path, *, timeout_s: float = 60, show_progress: bool = True) -> None:
        self._part = part
        self._timeout_s = timeout_s
        self._show_progress = show_progress

    def __call__(self, url: str, output_file: Any, pooch: Any) -> None:
        """Download `url` to `output_file`, as pooch asks its downloaders to.

        Raises
        ------
        FetchError
            If the server refuses or the connection is cut; `part` keeps what came.
        """
        try:
            self._go_on(url)
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise FetchError(f"{self._where()}: {error}; run it again to go on") from error
        os.replace(self._part, output_file)

    def _go_on(self, url: str) -> None:
        n_there = self._part.stat().st_size if self._part.is_file() else 0
        # Asked as it is: counted bytes must be those of the file, not of a compressed transfer.
        headers = {"Accept-Encoding": "identity"}
        if n_there:
            headers["Range"] = f"bytes={n_there}-"
        with requests.get(url, headers=headers, stream=True, timeout=self._timeout_s) as answer:
            if answer.status_code == RANGE_NOT_SATISFIABLE and n_there:
                if _total(answer) == n_there:
                    return
                self._part.unlink()
                raise FetchError(f"{self._where()}: the part does not fit the file; run it again")
            answer.raise_for_status()
            # A server that knows no ranges answers 200 and sends all of it once more.
            first = _first(answer) if answer.status_code == PARTIAL else 0
            if first not in (0, n_there):
                raise FetchError(f"{url}: asked for byte {n_there} on, got {first} on")
            self._receive(answer, first)

    def _receive(self, answer: requests.Response, first: int) -> None:
        length = answer.headers.get("Content-Length")
        total = first + int(length) if length and length.isdecimal() else None
        with (
            open(self._part, "ab" if first else "wb") as part,
            tqdm(
                total=total,
                initial=first,
                unit="B",
                unit_scale=True,
                desc=self._part.stem,
                disable=None if self._show_progress else True,
            ) as bar,
        ):
            # Past `iter_content`, which drops the chunk in which a connection is cut, and would
            # unpack a .gz that a server calls an encoding.
            while chunk := answer.raw.read(CHUNK_BYTES, decode_content=False):
                part.write(chunk)
                bar.update(len(chunk))
        n_bytes = self._part.stat().st_size
        if total is not None and n_bytes < total:
            raise FetchError(
                f"{self._where()} of {total}: the connection was cut; run it again to go on"
            )

    def _where(self) -> str:
        n_bytes = self._part.stat().st_size if self._part.is_file() else 0
        return f"{self._part}: {n_bytes} bytes"


def _first(answer: requests.Response) -> int | None:
    """Return the first byte that a partial answer begins with."""
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None


def _total(answer: requests.Response) -> int | None:
    """Return the length of the file that a server tells when it refuses a range."""
    found = re.fullmatch(r"bytes \*/(\d+)", answer.headers.get("Content-Range", ""))
    return int(found[1]) if found else None
