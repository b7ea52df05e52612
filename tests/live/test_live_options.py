"""What `kws-listen` offers for a live microphone, each option on a real audio server."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess

import pytest
import soundfile
from support.live_listening import KWS_LISTEN, listening, of_type, run

pytestmark = pytest.mark.live


def test_records_command_clips_and_gain(virtual_microphone, four_words, tmp_path):
    """
    --status-every prints records, --exec runs its command, --record keeps a clip per detection,
    and 40 dB of gain are reported as clipping.
    """
    listed = run("--list-devices", "--json", environment=virtual_microphone.environment)
    devices = json.loads(listed.stdout)["devices"]
    (index,) = [device["index"] for device in devices if device["name"] == "pulse"]
    command = tmp_path / "command.sh"
    command.write_text(f'#!/bin/sh\necho "$KWS_KEYWORD $KWS_SCORE $KWS_TIME_S" >>{tmp_path}/ran\n')
    command.chmod(0o755)
    arguments = [
        *("--device", str(index), "--latency", "200", "--block-ms", "20"),
        *("--status-every", "0.5", "--gain-db", "40"),
        *("--exec", str(command), "--record", str(tmp_path / "clips")),
    ]
    with listening(virtual_microphone.environment, *arguments, errors=tmp_path / "err") as lines:
        virtual_microphone.play(four_words)
        rest, code = lines.end(signal.SIGTERM)

    heard = of_type("detection", rest)
    (summary,) = of_type("summary", rest)
    status = [record for record in of_type("status", rest) if record["event"] == "running"]
    assert len(status) >= 8
    assert all(record["listening"] for record in status)
    audio_s = [record["audio_s"] for record in status]
    assert audio_s == sorted(audio_s)
    # Loud speech, 40 dB on top: most of it is at full scale.
    assert max(record["level_db"] for record in status) > -6
    assert summary["clipped_samples"] > 16_000
    assert "clipped" in {record["event"] for record in of_type("status", rest)}
    assert len(heard) >= 1
    ran = [line.split() for line in (tmp_path / "ran").read_text().splitlines()]
    assert [record["keyword"] for record in heard] == [keyword for keyword, *_ in ran]
    clips = sorted((tmp_path / "clips").glob("*.wav"))
    assert [record["keyword"] for record in heard] == [clip.name.split("-")[2] for clip in clips]
    assert soundfile.info(clips[0]).duration == pytest.approx(2.0, abs=0.01)
    assert stat.S_IMODE(clips[0].stat().st_mode) == 0o600
    assert "RECORDING IS ON" in (tmp_path / "err").read_text()
    assert code == 130


def test_the_meter_draws_on_a_terminal(virtual_microphone, word_clips):
    """
    --meter shows level, words and CPU on a terminal until Ctrl-C, and is removed completely.
    """
    ours, theirs = os.openpty()
    process = subprocess.Popen(
        [KWS_LISTEN, "--device", "pulse", "--meter"],
        env={**virtual_microphone.environment, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        shown = _read_until(ours, "CPU")
        virtual_microphone.play(word_clips["yes"])
        shown += _read_until(ours, "last yes")
        process.send_signal(signal.SIGINT)
        shown += _read_until(ours, None)
        code = process.wait(10)
    finally:
        process.kill()
        os.close(ours)

    assert "level" in shown
    assert "0 sample(s) lost, 0 loss(es) of the device" in shown
    assert "Traceback" not in shown
    assert "1 detection(s), 0 sample(s) lost" in shown.splitlines()[-1]
    assert code == 130


def _read_until(terminal: int, text: str | None) -> str:
    """Return what a terminal shows until a text comes, or to the end."""
    shown = ""
    while text is None or text not in shown:
        try:
            part = os.read(terminal, 65_536)
        except OSError as error:
            # The other side is closed.
            if error.errno != errno.EIO or text is not None:
                raise
            return shown
        shown += part.decode(errors="replace")
    return shown
