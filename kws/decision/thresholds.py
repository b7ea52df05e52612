"""Which keywords may fire, and at which score: the manifest's word and the caller's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real

from kws.errors import ConfigError
from kws.manifest import ModelManifest


def chosen_thresholds(
    manifest: ModelManifest,
    given: Mapping[str, float] | float | None,
    keywords: Sequence[str] | None,
) -> dict[str, float]:
    """Return the threshold of every keyword that may fire.

    Parameters
    ----------
    manifest : ModelManifest
        Its keywords are known, its thresholds hold where nothing else is given.
    given : mapping of str to float, float or None
        Some keywords' own thresholds, or one for all.
    keywords : sequence of str or None
        The only ones that may fire; None for all.

    Raises
    ------
    ConfigError
        If a keyword is unknown, none is left, or `given` is neither.
    """
    own = given if isinstance(given, Mapping) else {}
    for keyword in (*own, *(keywords or ())):
        if keyword not in manifest.keywords:
            raise ConfigError(
                f"keyword {keyword!r}: model {manifest.name!r} knows {', '.join(manifest.keywords)}"
            )
    if keywords is not None and not keywords:
        raise ConfigError(f"keywords: expected some of {', '.join(manifest.keywords)}, got none")
    for_all = given if isinstance(given, Real) else None
    if given is not None and for_all is None and not isinstance(given, Mapping):
        raise ConfigError(f"thresholds: expected a number or a mapping, got {given!r}")
    return {
        keyword: own.get(
            keyword, manifest.decision.threshold(keyword) if for_all is None else float(for_all)
        )
        for keyword in (manifest.keywords if keywords is None else keywords)
    }
