"""Network architectures, one a file, registered by name.

The shape of the features, the number of labels and the parameters of a recipe come in; an
uncompiled Keras network from features to posteriors goes out.
"""

from training.architectures import (  # noqa: F401  (each registers itself)
    bc_resnet,
    cnn2d,
    conv1d,
    conv1d_skip,
    ds_cnn,
    ds_tc_resnet,
    embedding_head,
    matchboxnet,
    maxpool4,
    mel_in_graph,
    resnet18,
    speech_embedding,
    strided8,
    tc_resnet,
    whisper_encoder,
)
from training.architectures.registry import all_params, build, names

__all__ = ["all_params", "build", "names"]
