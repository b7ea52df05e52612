"""Skip a test for what this machine lacks, or fail it where it must run."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

NO_DATA = "no real speech"


def without_audio_server(why: str) -> NoReturn:
    """Skip a live test; with KWS_REQUIRE_LIVE=1 fail it."""
    if os.environ.get("KWS_NO_APT") == "1":
        why += " (KWS_NO_APT=1: nothing was installed)"
    _skip(why, required=os.environ.get("KWS_REQUIRE_LIVE"))


def without_data(why: str) -> NoReturn:
    """Skip a test of real speech; with KWS_REQUIRE_DATA=1 fail it."""
    _skip(f"{NO_DATA}: {why}", required=os.environ.get("KWS_REQUIRE_DATA"))


def _skip(why: str, *, required: str | None) -> NoReturn:
    if required:
        pytest.fail(why)
    pytest.skip(why)
