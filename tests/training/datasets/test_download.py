"""Downloads from a real server on loopback: checked, safe, never half there."""

import functools
import hashlib
import http.server
import io
import tarfile
import threading

import pytest

pytest.importorskip("pooch", reason="downloads need the extra [train]")

from training.datasets.download import FetchError, fetch_speech_commands


@pytest.fixture
def server(tmp_path):
    """Serve a folder over HTTP on loopback; return the folder and its address."""
    folder = tmp_path / "www"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}/a.tar.gz"
        httpd.shutdown()
        thread.join()


def archive(folder, members):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    (folder / "a.tar.gz").write_bytes(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def test_archive_is_downloaded_and_unpacked(server, tmp_path):
    """
    The folder holds what the archive held.
    """
    folder, url = server
    sha256 = archive(folder, {"yes/a.wav": b"audio", "testing_list.txt": b""})

    root = fetch_speech_commands(tmp_path / "data", url=url, sha256=sha256)

    assert b"audio" == (root / "yes" / "a.wav").read_bytes()


def test_wrong_checksum_leaves_nothing(server, tmp_path):
    """
    An archive with another SHA-256 is refused, and nothing is unpacked.
    """
    folder, url = server
    archive(folder, {"yes/a.wav": b"audio"})

    with pytest.raises(FetchError, match=r"SHA256|sha256"):
        fetch_speech_commands(tmp_path / "data", url=url, sha256="0" * 64)
    assert not (tmp_path / "data" / "speech_commands").exists()


def test_archive_that_leads_outside_is_refused(server, tmp_path):
    """
    A member named ../x never leaves the folder.
    """
    folder, url = server
    sha256 = archive(folder, {"../../evil.txt": b"x"})

    with pytest.raises(FetchError, match="cannot be unpacked"):
        fetch_speech_commands(tmp_path / "data", url=url, sha256=sha256)
    assert not (tmp_path / "evil.txt").exists()
    assert not (tmp_path / "data" / "speech_commands").exists()
