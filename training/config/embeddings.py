"""Published embeddings that a recipe can name: to learn, to train a head on, to transfer."""

from __future__ import annotations

from dataclasses import dataclass

from kws.errors import ConfigError


@dataclass(frozen=True)
class PublishedEmbedding:
    """The output of an inner layer of a published network, a row a step."""

    recipe: str
    """Holds its front end and its network."""

    n_steps: int
    """Embeddings of a second."""

    size: int
    licence: str
    attribution: str
    layer: str = "embedding"


EMBEDDINGS = {
    "speech-embedding": PublishedEmbedding(
        "embedding",
        n_steps=3,
        size=96,
        licence="Apache-2.0",
        attribution="Speech embedding, Google (Lin et al. 2020), Apache-2.0",
    ),
    "whisper-tiny.en": PublishedEmbedding(
        "whisper-encoder",
        n_steps=25,
        size=384,
        licence="MIT",
        attribution="Whisper tiny.en, OpenAI (Radford et al. 2022), MIT",
    ),
}


def find(name: str) -> PublishedEmbedding:
    """Return a published embedding by its name.

    Raises
    ------
    ConfigError
        If no embedding has this name.
    """
    if name not in EMBEDDINGS:
        raise ConfigError(
            f"expected the name of a published embedding, {' or '.join(EMBEDDINGS)}, got {name!r}"
        )
    return EMBEDDINGS[name]
