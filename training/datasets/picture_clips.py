"""Pictures of spectrograms in one folder a class, read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kws.errors import ConfigError
from training.datasets import folders
from training.datasets.spectrogram_images import Picture, read_picture

SUFFIXES = frozenset({".png"})
# What `kws-train pictures` writes first and last.
SETTINGS, SPLITS = "pictures.json", "splits.csv"


@dataclass(frozen=True)
class PictureClip:
    """One labelled picture that still lies on disk."""

    path: Path
    label: str

    start = 0
    n_samples = None

    def read(self) -> Picture:
        """Return it as uint8 ``(64, 64, 3)``, as one looks at it.

        Raises
        ------
        ConfigError
            If the file is no picture of that size.
        """
        return read_picture(self.path)


def find_pictures(root: Path) -> list[PictureClip]:
    """Return the pictures of a one-folder-a-class tree, by file; the folder's name is the label.

    Anyone's pictures will do; those of `kws-train pictures` must be complete.

    Raises
    ------
    ConfigError
        If there are none, or their writing was broken off.
    """
    if not root.is_dir():
        raise ConfigError(
            f"{root}: expected a folder of pictures, found none; "
            "write them with kws-train pictures RECIPE"
        )
    if (root / SETTINGS).is_file() and not (root / SPLITS).is_file():
        raise ConfigError(
            f"{root}: not all pictures are written; run kws-train pictures again, it goes on"
        )
    files = folders.audio_files(root, suffixes=SUFFIXES)
    # A writer that was killed leaves a file behind whose name begins with a dot.
    return [PictureClip(path, path.parent.name) for path in files if not path.name.startswith(".")]
