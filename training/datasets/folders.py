"""One-folder-a-word data sets; the split and the speaker of a file."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path

from kws.errors import ConfigError
from training.datasets.clips import Clip

NOISE_FOLDER = "_background_noise_"
SPLITS = ("training", "validation", "testing")
HALVES = ("half-a", "half-b")
AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3"})
# The constant of the data set's own rule: 2**27 - 1.
MAX_FILES_PER_WORD = 134_217_727


def split_of(name: str) -> str:
    """Return the split of a file by Speech Commands' hash rule (Warden 2018, section 7).

    Everything after ``_nohash_`` is left out of the hash, so that all recordings of a speaker
    fall into one split. A file without that mark is hashed by its whole name.
    """
    speaker = re.sub(r"_nohash_.*$", "", Path(name).name)
    digest = int(hashlib.sha1(speaker.encode()).hexdigest(), 16)
    percent = digest % (MAX_FILES_PER_WORD + 1) * (100.0 / MAX_FILES_PER_WORD)
    return "validation" if percent < 10 else "testing" if percent < 20 else "training"


def scan(*roots: Path) -> dict[str, list[Clip]]:
    """Return the clips of each split, folder by folder, sorted by file; nothing is read.

    `validation_list.txt` and `testing_list.txt` in a folder decide;
    without them the hash rule of `split_of` does. Folders whose names begin with ``.`` and
    the noise folder are passed over.

    Raises
    ------
    ConfigError
        If one of `roots` is no folder, or holds no folder with audio in it.
    """
    clips: dict[str, list[Clip]] = {split: [] for split in SPLITS}
    for root in roots:
        split_of_file = listed_splits(root)
        for path in audio_files(root):
            clips[split_of_file(path)].append(Clip(path, path.parent.name))
    return clips


def listed_splits(root: Path) -> Callable[[Path], str]:
    """Return a function from file to split, by the list files or the hash rule."""
    listed = _read_lists(root)
    if listed is None:
        return lambda path: split_of(path.name)
    return lambda path: listed.get(f"{path.parent.name}/{path.name}", "training")


def listed_for_testing(root: Path) -> frozenset[str]:
    """Return the files, ``word/file``, that `root` keeps for testing by its list file."""
    listed = _read_lists(root) or {}
    return frozenset(name for name, split in listed.items() if split == "testing")


def by_word(root: Path) -> dict[str, list[Clip]]:
    """Return every clip of a one-folder-a-word tree, by word."""
    return by_label([Clip(path, path.parent.name) for path in audio_files(root)])


def by_label(clips: Iterable[Clip]) -> dict[str, list[Clip]]:
    """Return clips by their words."""
    found: dict[str, list[Clip]] = {}
    for clip in clips:
        found.setdefault(clip.label, []).append(clip)
    return found


def audio_files(root: Path, *, suffixes: frozenset[str] = AUDIO_SUFFIXES) -> list[Path]:
    """Return every audio file one folder below `root`, sorted; `suffixes` may ask for others."""
    if not root.is_dir():
        raise ConfigError(f"{root}: expected a folder with one folder per word, found none")
    files = [
        path
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name != NOISE_FOLDER and not folder.name.startswith(".")
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in suffixes
    ]
    if not files:
        what = "audio" if suffixes == AUDIO_SUFFIXES else " or ".join(sorted(suffixes))
        raise ConfigError(
            f"{root}: expected {what} in one folder per word (WORD/x.wav), found none"
        )
    return files


def recordings_in(folder: Path, what: str = "audio files", *, deep: bool = False) -> list[Path]:
    """Return the audio files of a folder, sorted; if `deep`, of the folders in it, too.

    Raises
    ------
    ConfigError
        If there is no such folder, or it holds no audio.
    """
    if not folder.is_dir():
        raise ConfigError(f"{folder}: expected a folder with {what}, found no folder")
    # Hidden files may be half written.
    paths = sorted(
        path
        for path in (folder.rglob("*") if deep else folder.iterdir())
        if path.suffix.lower() in AUDIO_SUFFIXES and not path.name.startswith(".")
    )
    if not paths:
        raise ConfigError(f"{folder}: expected {what}, found none")
    return paths


def _read_lists(root: Path) -> dict[str, str] | None:
    """Return split by ``word/file`` from the list files, or None where there are none."""
    listed: dict[str, str] = {}
    found = False
    for split in ("validation", "testing"):
        path = root / f"{split}_list.txt"
        if path.is_file():
            found = True
            lines = path.read_text(encoding="utf-8").splitlines()
            listed.update(dict.fromkeys(map(str.strip, lines), split))
    return listed if found else None


def speaker_of(path: Path | str) -> str:
    """Return the speaker, or the source of a sound, that a file name states.

    LibriSpeech: the number before the first hyphen (``1272-128104-0000``), which also holds for
    the streams made of it. Speech Commands: the part before ``_nohash_``. ESC-50: the source
    recording, the second number (``5-181766-A``), because the first is the fold. Any other name
    is a speaker of its own.
    """
    stem = Path(path).stem
    sound = re.fullmatch(r"\d-(\d+)-[A-Z](?:-\d+)?", stem)
    if sound:
        return sound.group(1)
    return re.split(r"_nohash_|-", stem)[0]


def halves(speakers: Iterable[str]) -> tuple[frozenset[str], frozenset[str]]:
    """Return two halves of the speakers: every other one in the order of their names.

    The rule is deterministic, so that everyone gets the same halves of a folder. Adjacent names
    go to different halves, because they are often alike (a reader's second book). A single
    speaker is in the first.
    """
    ordered = sorted(set(speakers))
    return frozenset(ordered[::2]), frozenset(ordered[1::2])
