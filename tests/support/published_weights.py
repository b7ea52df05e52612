"""The files of published networks, which tests need and no package carries."""

from __future__ import annotations

import os
from pathlib import Path

from support.skips import without_data


def published_file(variable: str, *names: str, fetch: str) -> Path:
    """Return a network's file: `variable` names it, or it lies in the data's folder as one of
    `names`; without it the test is skipped.
    """
    named, data = os.environ.get(variable), os.environ.get("KWS_DATA")
    places = [Path(named)] if named else []
    places += [Path(data) / name for name in names] if data else []
    for place in places:
        if place.is_file():
            return place
    without_data(f"kws-train fetch {fetch} --out $KWS_DATA, or {variable}=FILE")
