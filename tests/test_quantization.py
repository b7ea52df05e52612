"""Between real values and int8: round, then clip."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kws.quantization import dequantize, quantize


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
