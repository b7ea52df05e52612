"""examples/media_key.py and webhook.py behind `kws-listen --json`: real pipes, a real server."""

from __future__ import annotations

import http.server
import io
import json
import socket
import sys
import threading
from contextlib import contextmanager

import pytest
from support.example_runs import (
    ENVIRONMENT,
    EXAMPLES,
    fake_programs,
    interrupt_after_a_line,
    load,
    run,
    run_on_demo,
)

from kws import models

# A detection, and a record that is none.
STATUS = '{"type": "status", "event": "listening"}\n'
HEARD_ON = '{"type": "detection", "keyword": "on", "score": 0.96, "time_s": 13.49}\n'


@contextmanager
def serving(status=204):
    """Run an HTTP server on this machine; gives its URL and what was posted to it."""
    posted = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            posted.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/voice", posted
        finally:
            server.shutdown()
            thread.join()


def test_media_keys_follow_the_words(tmp_path):
    """
    Each word of the demo recording that has a key runs its command, in order.
    """
    environment, record = fake_programs(tmp_path, "playerctl", "pactl")

    done = run_on_demo("media_key.py", env=environment)

    assert (0, "") == (done.returncode, done.stderr)
    assert [
        "pactl set-sink-volume @DEFAULT_SINK@ +5%",
        "pactl set-sink-volume @DEFAULT_SINK@ -5%",
        "playerctl previous",
        "playerctl next",
        "pactl set-sink-mute @DEFAULT_SINK@ 0",
        "pactl set-sink-mute @DEFAULT_SINK@ 1",
        "playerctl pause",
        "playerctl play",
    ] == record.read_text().splitlines()


def test_a_media_key_that_fails_does_not_end_the_listening(tmp_path):
    """
    A missing player is reported, and the next word is processed.
    """
    environment, record = fake_programs(tmp_path, "playerctl", "pactl", then="exit 1")

    done = run("media_key.py", input=STATUS + 2 * HEARD_ON, env=environment)

    assert 0 == done.returncode
    assert 2 == len(record.read_text().splitlines())
    assert 2 == done.stderr.count("exit status 1")


def test_a_hanging_player_is_ended(tmp_path, monkeypatch, capsys):
    """
    It is ended, and the next word is processed.
    """
    environment, record = fake_programs(tmp_path, "playerctl", "pactl", then="exec sleep 60")
    monkeypatch.setenv("PATH", environment["PATH"])
    monkeypatch.setattr(sys, "stdin", io.StringIO(2 * HEARD_ON))
    monkeypatch.setattr(sys, "argv", ["media_key.py"])
    media_key = load("media_key")
    monkeypatch.setattr(media_key, "TIMEOUT_S", 0.5)

    code = media_key.main()

    assert 0 == code
    assert 2 == len(record.read_text().splitlines())
    assert 2 == capsys.readouterr().err.count("timed out")


def test_missing_programs_are_named(tmp_path):
    """
    Without playerctl and pactl, the media keys end at once with their names.
    """
    done = run("media_key.py", input="", env={**ENVIRONMENT, "PATH": str(tmp_path)})

    assert 1 == done.returncode
    assert ["media_key.py: error: no pactl, no playerctl; see --help"] == done.stderr.splitlines()


def test_the_webhook_posts_detections():
    """
    Keyword, score and time of each detection of the demo, and nothing else.
    """
    with serving() as (url, posted):
        done = run_on_demo("webhook.py", url)

    truth = (models.FIRMWARE_MODELS / "demo.csv").read_text().splitlines()[1:]
    assert (0, "") == (done.returncode, done.stderr)
    assert [line.split(",")[1] for line in truth] == [body["keyword"] for _, _, body in posted]
    assert {("/voice", "application/json")} == {(path, kind) for path, kind, _ in posted}
    assert {("keyword", "score", "time_s")} == {tuple(body) for _, _, body in posted}
    assert pytest.approx(1.6, abs=0.2) == posted[0][2]["time_s"]


def test_a_refusing_webhook_is_reported():
    """
    Each answer of 500 is one line on stderr; the program goes on.
    """
    with serving(status=500) as (url, posted):
        done = run("webhook.py", url, input=STATUS + 2 * HEARD_ON)

    assert 0 == done.returncode
    assert 2 == len(posted)
    assert ["on", "on"] == [line.split()[1] for line in done.stderr.splitlines()]
    assert 2 == done.stderr.count("500")


def test_a_silent_webhook_times_out():
    """
    A server that accepts the connection and does not answer costs only the time-out.
    """
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        done = run("webhook.py", url, "--timeout-s", 0.2, input=2 * HEARD_ON)

    assert 0 == done.returncode
    assert 2 == done.stderr.count("timed out")


def test_the_webhook_accepts_only_http_urls():
    """
    A path, or any other scheme, is a usage error.
    """
    assert [2, 2] == [
        run("webhook.py", url, input="").returncode for url in ("file:///etc/passwd", "lamp")
    ]


@pytest.mark.parametrize("name", ["media_key.py", "webhook.py"])
def test_input_that_is_not_json_is_a_usage_error(name, tmp_path):
    """
    One line says that --json is missing.
    """
    environment, _ = fake_programs(tmp_path, "playerctl", "pactl")
    arguments = ["http://127.0.0.1:9/"] if name == "webhook.py" else []

    done = run(name, *arguments, input="    1.70 s  yes      0.97\n", env=environment)

    assert 2 == done.returncode
    assert "kws-listen --json |" in done.stderr.splitlines()[-1]


@pytest.mark.parametrize("name", ["media_key.py", "webhook.py"])
def test_ctrl_c_ends_the_example(name):
    """
    While it waits for the next word, with 130 and without a traceback.
    """
    with serving() as (url, _):
        arguments = ["--dry-run"] if name == "media_key.py" else [url]
        command = [sys.executable, str(EXAMPLES / name), *arguments]
        first, errors, code = interrupt_after_a_line(command, HEARD_ON)

    expected = {"media_key.py": "pactl set-sink-mute @DEFAULT_SINK@ 0\n", "webhook.py": "on: 204\n"}
    assert first == expected[name]
    assert ("", 130) == (errors, code)
