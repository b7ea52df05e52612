"""Between real values and int8: round, then clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.inference.quantization import FrameQuantizer, dequantize, quantize


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        (0.0, -10),
        (0.24, -10),
        (0.26, -9),
        (-0.26, -11),
        (0.99, -8),
        (-0.99, -12),
        (1e9, 127),
        (-1e9, -128),
        (np.inf, 127),
        (-np.inf, -128),
    ],
)
def test_values_are_rounded_then_clipped(x, expected):
    """
    To the nearest step, not towards zero; beyond the range the end of the range, never wrapped.
    """
    q = quantize(np.array([x], dtype=np.float32), scale=0.5, zero_point=-10, dtype=np.int8)

    assert q.dtype == np.int8
    assert q.tolist() == [expected]


def test_int8_comes_back_as_real_values():
    """
    dequantize is (q - zero_point) * scale in float32, without overflow at either end.
    """
    q = np.array([-128, -10, 127], dtype=np.int8)
    x = dequantize(q, scale=0.5, zero_point=-10)

    assert x.dtype == np.float32
    assert x.tolist() == [-59.0, 0.0, 68.5]


@given(
    q=st.integers(-128, 127),
    scale=st.floats(2**-13, 8, width=32),
    zero_point=st.integers(-128, 127),
)
def test_every_int8_value_survives_the_round_trip(q, scale, zero_point):
    """
    quantize(dequantize(q)) is q for every scale and zero point.
    """
    there = dequantize(np.array([q], dtype=np.int8), scale=scale, zero_point=zero_point)
    back = quantize(there, scale=scale, zero_point=zero_point, dtype=np.int8)

    assert back.tolist() == [q]


@given(x=st.floats(-5, 5, width=32))
def test_error_is_at_most_half_a_step(x):
    """
    Inside the range, a value comes back within half a step.
    """
    q = quantize(np.array([x], dtype=np.float32), scale=0.05, zero_point=3, dtype=np.int8)

    assert dequantize(q, scale=0.05, zero_point=3)[0] == pytest.approx(x, abs=0.0251)


def test_shape_is_kept():
    """
    A window stays a window.
    """
    window = np.zeros((1, 98, 40), dtype=np.float32)

    assert quantize(window, scale=1.0, zero_point=0, dtype=np.int16).shape == (1, 98, 40)


def test_frames_are_normalised_and_quantized_in_place(rng):
    """
    What FrameQuantizer writes is round((x - mean) / std / scale) + zero point, clipped; only a
    tie may fall on the other side.
    """
    frames = rng.normal(-5, 6, (98, 40)).astype(np.float32)
    frames[0, :3] = [1e9, -1e9, -4.0]
    tensor = np.zeros((1, 98, 40), dtype=np.int8)
    FrameQuantizer(mean=-4.0, std=4.5, scale=0.018, zero_point=-35, dtype=np.int8).write(
        frames, tensor
    )

    exact = (frames.astype(np.float64) + 4.0) / 4.5 / 0.018 - 35
    expected = np.clip(np.round(exact), -128, 127)
    ties = np.abs(exact - np.floor(exact) - 0.5) < 1e-4
    assert [127, -128, -35] == tensor[0, 0, :3].tolist()
    np.testing.assert_array_equal(tensor[0][~ties], expected[~ties])
    assert np.abs(tensor[0] - expected).max() <= 1


def test_frames_for_a_float_model_are_only_normalised():
    """
    Scale 0 stands for a float tensor: (x - mean) / std.
    """
    tensor = np.zeros((1, 2, 2), dtype=np.float32)
    FrameQuantizer(mean=2.0, std=4.0, scale=0.0, zero_point=0, dtype=np.float32).write(
        np.array([[2, 6], [-2, 4]], dtype=np.float32), tensor
    )

    assert [[[0.0, 1.0], [-1.0, 0.5]]] == tensor.tolist()
