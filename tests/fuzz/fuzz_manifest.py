"""Manifests and the model files beside them, broken: a clear error or a model that runs."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from fuzz.checks import check_message, expect, watched_interpreter
from fuzz.mutation import mutate_bytes, mutate_json
from kws import models
from kws.errors import KwsError
from kws.inference.select import MODES
from kws.manifest import ModelManifest, read_manifest, to_table, write_manifest
from kws.spotter import KeywordSpotter

# First bytes of an input: what becomes of the model files, where, and how the model is opened.
HEAD_BYTES = 5
HOPS_MS = (100, 10, 50, 105, 500, 2_000, 0, -1)
MODEL = "tiny"
FILES = (f"{MODEL}.tflite", f"{MODEL}.stream.tflite")
OTHER_FILES = ("other.tflite", "folder", "pipe", "huge.tflite", "none.tflite")
HUGE_BYTES = 2**35


def seeds() -> list[bytes]:
    """Return the shipped manifests whole, and the small model's without its long reports."""
    whole = [json.loads(models.find(name).read_text(encoding="utf-8")) for name in models.names()]
    short = json.loads(models.find(MODEL).read_text(encoding="utf-8"))
    short["metrics"] = {"accuracy": 0.9, "data": "d", "split": "s"}
    short["training"] = {"recipe": {"name": "r"}, "parameters": 1, "date": "today"}
    plain = {key: value for key, value in short.items() if key != "stream"}
    made = [_input(table) for table in (short, plain, *whole)]
    for tamper in range(1, len(Target.TAMPERINGS)):
        made += [_input(short, tamper, use) for use in range(3)]
    for name in OTHER_FILES:
        made.append(_input({**short, "window": {**short["window"], "file": name}}, use=1))
    return made


def _input(table: dict[str, Any], tamper: int = 0, use: int = 0) -> bytes:
    return bytes((tamper, 0, 100, 0, use)) + json.dumps(table).encode()


class Target:
    """Read a manifest, open its model, and process a second of speech."""

    max_bytes = 24_000

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / f"{MODEL}.json"
        self._genuine = {name: (models.FIRMWARE_MODELS / name).read_bytes() for name in FILES}
        for name, content in self._genuine.items():
            (folder / name).write_bytes(content)
        (folder / "other.tflite").write_bytes(_flipped(self._genuine[FILES[0]], 1_000))
        (folder / "folder").mkdir()
        # It has no writer: opening it would block.
        os.mkfifo(folder / "pipe")
        with open(folder / "huge.tflite", "wb") as huge:
            huge.truncate(HUGE_BYTES)
        noise = np.random.default_rng(0).normal(0, 3_000, 24_000)
        self._audio = noise.astype(np.int16)
        self._good = seeds()[:2]
        self.n_opened = self.n_unconfirmed = 0

    def seeds(self) -> list[bytes]:
        """Return real manifests, and their files untouched or not."""
        return seeds()

    def mutate(self, data: bytes, rng: random.Random) -> bytes:
        """Return another manifest: mostly still JSON, sometimes not."""
        if rng.random() < 0.3:
            # From a good one, or nearly all would be refused for what was broken long ago.
            data = rng.choice(self._good)
        head, text = bytearray(data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0")), data[HEAD_BYTES:]
        if rng.random() < 0.3:
            head[rng.randrange(HEAD_BYTES)] = rng.randrange(256)
        if rng.random() < 0.6:
            head[0] = 0
        if rng.random() < 0.75:
            try:
                table = json.loads(text)
                if isinstance(table, dict):
                    return bytes(head) + mutate_json(table, rng)
            except (ValueError, RecursionError):
                pass
        return bytes(head) + mutate_bytes(text, rng)

    def __call__(self, data: bytes) -> str:
        """Try one input; return what came of it."""
        head, text = data[:HEAD_BYTES].ljust(HEAD_BYTES, b"\0"), data[HEAD_BYTES:]
        tampered = self._tamper(head)
        self._path.write_bytes(text)
        try:
            with watched_interpreter() as seen:
                try:
                    return self._use(head[4])
                except KwsError as error:
                    check_message(error)
                    return type(error).__name__
                finally:
                    self._check_opened(seen, text)
        finally:
            if tampered:
                self._restore()

    def _use(self, use: int) -> str:
        manifest = read_manifest(self._path)
        self._check_round_trip(manifest)
        spotter = KeywordSpotter.from_model(
            self._path, mode=MODES[use % 3], hop_ms=HOPS_MS[use // 3 % len(HOPS_MS)]
        )
        posteriors: list[np.ndarray] = []
        spotter.on_posterior = lambda _, posterior, __: posteriors.append(posterior)
        detections = spotter.process(self._audio)
        for posterior in posteriors:
            expect(bool(((posterior >= 0) & (posterior <= 1)).all()), "posteriors 0..1", posterior)
        expect(all(found.keyword in manifest.keywords for found in detections), "keywords", "")
        return "model"

    def _check_round_trip(self, manifest: ModelManifest) -> None:
        """Check that what was read is written and read again as the same."""
        again = self._folder / "again.json"
        write_manifest(manifest, again)
        # As text: a NaN among the metrics equals nothing, not even itself.
        first, second = json.dumps(to_table(manifest)), json.dumps(to_table(read_manifest(again)))
        expect(first == second, "the same manifest read back", second)

    def _check_opened(self, seen: list[str], text: bytes) -> None:
        """Check that nothing reached the interpreter but what the manifest's sums confirm."""
        self.n_opened += len(seen)
        confirmed = _stated_sums(text) if seen else set()
        self.n_unconfirmed += sum(digest not in confirmed for digest in seen)
        expect(self.n_unconfirmed == 0, "confirmed files only at the interpreter", seen)

    def _tamper(self, head: bytes) -> bool:
        """Change the model files according to the input; return whether they changed."""
        tamper = self.TAMPERINGS[head[0] % len(self.TAMPERINGS)]
        for name, content in self._genuine.items() if tamper else ():
            path = self._folder / name
            at = int.from_bytes(head[1:4], "big") % len(content)
            changed = tamper(content, at)
            if isinstance(changed, bytes):
                path.write_bytes(changed)
            else:
                path.unlink()
                changed(path)
        return bool(tamper)

    def _restore(self) -> None:
        for name, content in self._genuine.items():
            path = self._folder / name
            if path.is_dir():
                shutil.rmtree(path)
            elif path.is_symlink() or path.is_fifo():
                path.unlink()
            path.write_bytes(content)

    TAMPERINGS = (
        None,
        lambda content, at: _flipped(content, at),
        lambda content, at: content[:at],
        lambda content, at: content + b"\0",
        lambda content, at: b"\0\0\0\0TFL3" + content[at:],
        lambda content, at: content[:4] + b"TFL3" + bytes(at),
        lambda content, at: Path.mkdir,
        lambda content, at: os.mkfifo,
        lambda content, at: Path.touch,
        lambda content, at: lambda path: path.symlink_to("other.tflite"),
    )


def _flipped(content: bytes, at: int) -> bytes:
    return content[:at] + bytes((content[at] ^ 1,)) + content[at + 1 :]


def _stated_sums(text: bytes) -> set[str]:
    """Return the SHA-256 that a manifest states; none where it is no manifest."""
    table = json.loads(text)
    forms = (table.get("window"), table.get("stream"))
    return {form["sha256"] for form in forms if isinstance(form, dict)}
