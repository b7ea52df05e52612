"""Multiplications counted in the file, and in the network that it was made from."""

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert", reason="the schema of model files comes with it")

from kws.errors import ModelError
from training.tflite.cost import file_cost

# The converter's own words about quantization, and TensorFlow's about its interpreter.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::UserWarning")]


def converted(model) -> bytes:
    """Return a Keras model as a float .tflite file of one example."""
    tf = pytest.importorskip("tensorflow", reason="training needs the extra [train]")
    made = tf.keras.Sequential([tf.keras.Input(model.input_shape[1:], batch_size=1), model])
    return tf.lite.TFLiteConverter.from_keras_model(made).convert()


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("maxpool4", {"filters": [4, 8, 8, 16]}),
        ("ds_cnn", {"filters": 16, "n_blocks": 2}),
        ("tc_resnet", {}),
        # The first two of its four stages have all kinds of its blocks.
        ("bc_resnet", {"tau": 1, "dilations": [1, 2]}),
    ],
)
def test_file_costs_what_the_network_does(name, params):
    """
    The count of the network equals the count of its file.
    """
    pytest.importorskip("tensorflow", reason="training needs the extra [train]")
    from training import architectures as models
    from training.architectures.recipe_model import n_macs

    model = models.build(name, input_shape=(98, 40), n_labels=12, params=params)

    assert n_macs(model) == file_cost(converted(model), where=name).macs


@pytest.mark.timeout(240)
def test_cost_against_a_hand_count():
    """
    A strided convolution, a depthwise one without bias, a dense layer: outputs times weights.
    """
    tf = pytest.importorskip("tensorflow", reason="training needs the extra [train]")
    layers = tf.keras.layers
    model = tf.keras.Sequential(
        [
            tf.keras.Input((10, 8, 3), batch_size=1),
            layers.Conv2D(5, (3, 2), strides=2, bias_initializer="ones"),  # gives 4 x 4 x 5
            layers.DepthwiseConv2D((2, 2), use_bias=False),  # gives 3 x 3 x 5
            layers.Flatten(),
            layers.Dense(7, bias_initializer="ones"),
        ]
    )

    cost = file_cost(tf.lite.TFLiteConverter.from_keras_model(model).convert(), where="hand")

    assert 4 * 4 * 5 * (3 * 2 * 3) + 3 * 3 * 5 * (2 * 2) + 7 * 45 == cost.macs
    assert (3 * 2 * 3 * 5 + 5) + 2 * 2 * 5 + (45 * 7 + 7) == cost.weights
    assert () == cost.not_counted


@pytest.mark.timeout(240)
def test_matrix_products_count():
    """
    A product of (4, 6) and (6, 5) within a batch of 2 multiplies 2 x 4 x 6 x 5 times.
    """
    tf = pytest.importorskip("tensorflow", reason="training needs the extra [train]")

    @tf.function(
        input_signature=[tf.TensorSpec((2, 4, 6), tf.float32), tf.TensorSpec((2, 6, 5), tf.float32)]
    )
    def product(a, b):
        return tf.matmul(a, b)

    concrete = product.get_concrete_function()
    content = tf.lite.TFLiteConverter.from_concrete_functions([concrete], product).convert()

    assert 2 * 4 * 6 * 5 == file_cost(content, where="product").macs


def test_a_step_of_the_streaming_model_costs_a_fraction_of_the_window(default_manifest):
    """
    Both shipped models have the same weights; the streaming one multiplies less in a step.
    """
    window, stream = (
        file_cost(default_manifest.read_form(form), where=form.file)
        for form in (default_manifest.window, default_manifest.stream)
    )

    assert window.weights == stream.weights
    assert 0.1 < stream.macs / window.macs < 0.25


def test_other_files_are_refused():
    """
    A file that is not a model is refused.
    """
    with pytest.raises(ModelError, match="expected a TFLite model"):
        file_cost(np.arange(100, dtype=np.uint8).tobytes(), where="noise")
