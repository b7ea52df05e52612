"""The end of `kws-listen` while a real audio server hangs and the user is impatient."""

from __future__ import annotations

import signal

import pytest
from support.live_listening import listening, of_type

pytestmark = pytest.mark.live


def test_two_quick_interrupts_still_give_the_summary(server, word_clips):
    """
    Ctrl-C twice while the server hangs and a command runs: the summary, 130, no waiting.
    """
    server.start()
    arguments = ("--device", "pulse", "--exec", "sleep 8")
    with listening(server.environment, *arguments) as lines:
        server.play(word_clips["yes"])
        lines.until(type="detection", keyword="yes")
        server.freeze()
        lines.process.send_signal(signal.SIGINT)
        rest, code = lines.end(signal.SIGINT)

    assert [1] == [record["detections"] for record in of_type("summary", rest)]
    assert code == 130
