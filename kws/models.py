"""Find models: shipped ones by name, others by path."""

from __future__ import annotations

from pathlib import Path

from kws.errors import ModelError
from kws.manifest import ModelManifest, read_manifest

# Next to the package, both in a checkout and in site-packages.
FIRMWARE_MODELS = Path(__file__).resolve().parent.parent / "firmware_models"


def names() -> list[str]:
    """Return the names of the shipped models, `default` first."""
    found = sorted(path.stem for path in FIRMWARE_MODELS.glob("*.json"))
    return sorted(found, key=lambda name: name != "default")


def find(name_or_path: str | Path) -> Path:
    """Return the path of a manifest, given a shipped model's name, the manifest or a .tflite.

    Raises
    ------
    ModelError
        If there is no such model.
    """
    text = str(name_or_path)
    shipped = FIRMWARE_MODELS / f"{text}.json"
    if Path(text).name == text and _is_file(shipped):
        return shipped
    path = Path(text)
    if path.suffix == ".tflite":
        stem = path.stem[: -len(".stream")] if path.stem.endswith(".stream") else path.stem
        beside = path.with_name(f"{stem}.json")
        if _is_file(beside):
            return beside
        raise ModelError(f"{path}: expected its manifest {beside.name} beside it, found none")
    if _is_file(path):
        return path
    raise ModelError(
        f"model {text!r}: expected one of {', '.join(names()) or 'none installed'}, "
        "or the path of a manifest (.json)"
    )


def _is_file(path: Path) -> bool:
    # Some Python versions raise for a name that is too long or a folder without permission.
    try:
        return path.is_file()
    except OSError:
        return False


def load(name_or_path: str | Path) -> ModelManifest:
    """Return the checked manifest of a model (see `find` for names, `read_manifest` for errors)."""
    return read_manifest(find(name_or_path))
