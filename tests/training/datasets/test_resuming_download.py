"""Downloads that are cut, gone on with, or refused, from a real server on loopback."""

from __future__ import annotations

import hashlib
import http.server
import io
import random
import tarfile
import threading

import pytest

pytest.importorskip("pooch", reason="downloads need the extra [train]")

from training.cli.train import main
from training.datasets.download import FetchError, fetch_speech_commands


class Server(http.server.ThreadingHTTPServer):
    """Serve one file; the first `n_cuts` answers end after half of what they promised."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = b""
        self.n_cuts = 0
        self.knows_ranges = True
        self.status = 200
        self.asked: list[str | None] = []
        """The Range header of each request."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/a.tar.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        server = self.server
        asked = self.headers["Range"]
        server.asked.append(asked)
        if server.status != 200:
            self.send_error(server.status)
            return
        total = len(server.content)
        first = int(asked[len("bytes=") : -1]) if asked and server.knows_ranges else 0
        if first >= total > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{total - 1}/{total}")
        self.send_header("Content-Length", str(total - first))
        self.end_headers()
        body = server.content[first:]
        if server.n_cuts:
            server.n_cuts -= 1
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server():
    """Give the running server."""
    with Server() as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield httpd
        httpd.shutdown()
        thread.join()


def archive(server: Server, *, keep: float = 1.0) -> str:
    """Serve an archive of one clip, or only the beginning of it; return its SHA-256."""
    content = io.BytesIO()
    data = random.Random(1).randbytes(60_000)
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        info = tarfile.TarInfo("yes/a.wav")
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    server.content = content.getvalue()[: int(keep * len(content.getvalue()))]
    return hashlib.sha256(server.content).hexdigest()


def test_second_call_goes_on_where_the_first_was_cut(server, tmp_path):
    """
    What a cut connection brought is kept, and the next call asks for the rest alone.
    """
    sha256 = archive(server)
    server.n_cuts = 1
    half = len(server.content) // 2

    with pytest.raises(FetchError, match=rf"{half} bytes.* run it again to go on"):
        fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)
    assert not (tmp_path / "speech_commands").exists()
    root = fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)

    assert [None, f"bytes={half}-"] == server.asked
    assert 60_000 == (root / "yes" / "a.wav").stat().st_size
    assert ["speech_commands", "speech_commands_v0.02.tar.gz"] == sorted(
        path.name for path in tmp_path.iterdir()
    )


def test_several_cuts_are_gone_on_with(server, tmp_path):
    """
    Each call begins where the one before ended, however often the connection is cut.
    """
    sha256 = archive(server)
    server.n_cuts = 3

    for _ in range(3):
        with pytest.raises(FetchError, match="run it again to go on"):
            fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)
    root = fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)

    starts = [0 if asked is None else int(asked[6:-1]) for asked in server.asked]
    assert sorted(set(starts)) == starts
    assert (root / "yes" / "a.wav").is_file()


def test_server_without_ranges_sends_all_again(server, tmp_path):
    """
    Where the server takes no notice of Range, the file is begun anew and comes out whole.
    """
    sha256 = archive(server)
    server.n_cuts, server.knows_ranges = 1, False

    with pytest.raises(FetchError):
        fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)
    root = fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)

    assert 2 == len(server.asked)
    assert 60_000 == (root / "yes" / "a.wav").stat().st_size


def test_whole_part_is_not_downloaded_again(server, tmp_path):
    """
    A part that has all bytes already (cut between download and check) is taken as it is.
    """
    sha256 = archive(server)
    (tmp_path / "speech_commands_v0.02.tar.gz.part").write_bytes(server.content)

    root = fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)

    assert [f"bytes={len(server.content)}-"] == server.asked
    assert (root / "yes" / "a.wav").is_file()


@pytest.mark.parametrize("longer_by", [-100, 100])
def test_part_of_another_file_heals(server, tmp_path, longer_by):
    """
    A part that is not of this file is found out and thrown away: the call after succeeds.
    """
    sha256 = archive(server)
    part = tmp_path / "speech_commands_v0.02.tar.gz.part"
    part.write_bytes(b"x" * (len(server.content) + longer_by))

    with pytest.raises(FetchError):
        fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)

    assert not part.exists()
    assert fetch_speech_commands(tmp_path, url=server.url, sha256=sha256).is_dir()


def test_truncated_archive_is_one_clear_error(server, tmp_path):
    """
    An archive that ends too soon, though its SHA-256 is right, is refused and leaves no folder.
    """
    sha256 = archive(server, keep=0.5)

    with pytest.raises(FetchError, match="cannot be unpacked"):
        fetch_speech_commands(tmp_path, url=server.url, sha256=sha256)

    assert ["speech_commands_v0.02.tar.gz"] == [path.name for path in tmp_path.iterdir()]


def test_refusal_of_the_server_is_told(server, tmp_path):
    """
    A status that is no answer to the request ends in one error, and no part is left.
    """
    server.status = 404

    with pytest.raises(FetchError, match=r"404 .*run it again"):
        fetch_speech_commands(tmp_path, url=server.url, sha256="0" * 64)
    assert [] == list(tmp_path.iterdir())


def test_command_takes_a_version_and_fails_in_one_line(server, tmp_path, capsys):
    """
    `--version 0.01` downloads that archive; one that is not the author's is refused, exit code 1.
    """
    archive(server)
    command = ["fetch", "speech-commands", "--version", "0.01", "--out", str(tmp_path)]

    code = main([*command, "--url", server.url])

    assert 1 == code
    assert "SHA256" in capsys.readouterr().err
    assert [] == list(tmp_path.iterdir())
