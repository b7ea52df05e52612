"""What was logged in a test."""

from __future__ import annotations

import pytest


def messages(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the messages, in order."""
    return [record.getMessage() for record in caplog.records]
