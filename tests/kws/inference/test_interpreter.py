"""Picking a TFLite runtime and opening a model in it."""

from __future__ import annotations

import numpy as np
import pytest

from kws.errors import ConfigError, MissingDependencyError, ModelError
from kws.features.streaming import log_mel
from kws.inference import interpreter
from kws.inference.interpreter import KERNELS, RUNTIMES, installed, open_model
from kws.inference.window_model import WindowModel

# TensorFlow costs ten seconds to import: tests/training/export/test_export.py runs that one.
LIGHT = [name for name in installed() if name != "tensorflow"]
MISSING = [name for name in RUNTIMES if name not in installed()]


@pytest.fixture(scope="session")
def content(default_manifest) -> bytes:
    return default_manifest.read_form(default_manifest.window)


@pytest.fixture(autouse=True)
def no_choice_in_the_environment(monkeypatch):
    monkeypatch.delenv("KWS_RUNTIME", raising=False)


@pytest.mark.parametrize("kernels", KERNELS)
@pytest.mark.parametrize("runtime", LIGHT)
def test_every_installed_runtime_opens_the_default_model(content, runtime, kernels):
    """
    Each installed runtime opens the shipped model and lists its tensors.
    """
    opened = open_model(content, where="default", runtime=runtime, kernels=kernels)

    assert (opened.runtime, opened.kernels, opened.n_threads) == (runtime, kernels, 1)
    assert [tensor.shape for tensor in opened.inputs] == [(1, 98, 40)]
    assert [tensor.shape for tensor in opened.outputs] == [(1, 12)]
    assert opened.inputs[0].dtype == opened.outputs[0].dtype == np.int8
    assert opened.outputs[0].scale == pytest.approx(1 / 256)
    assert opened.outputs[0].zero_point == -128


@pytest.fixture(scope="session")
def windows() -> np.ndarray:
    """Windows between silence and loud, as log-mel."""
    rng = np.random.default_rng(9)
    levels = rng.uniform(-9, 2, (20, 1, 1))
    return (levels + rng.normal(0, 2, (20, 98, 40))).astype(np.float32)


@pytest.mark.parametrize("runtime", LIGHT)
def test_default_kernels_are_close_to_the_reference_ones(default_manifest, demo_audio, runtime):
    """
    On speech the fast kernels differ from the reference by some steps of 1/256, no more.
    """
    frames = log_mel(demo_audio, default_manifest.frontend)
    windows = [frames[first : first + 98] for first in range(0, len(frames) - 98, 25)]
    reference, fast = (
        WindowModel(default_manifest, hop_frames=10, runtime=runtime, kernels=kernels)
        for kernels in ("reference", "default")
    )
    expected = np.stack([reference.predict(window) for window in windows])
    got = np.stack([fast.predict(window) for window in windows])

    assert np.ptp(expected.argmax(axis=1)) > 0
    np.testing.assert_allclose(got, expected, atol=24 / 256)


@pytest.mark.skipif(len(LIGHT) < 2, reason="only one light runtime is installed")
def test_reference_kernels_agree_between_runtimes(default_manifest, windows):
    """
    The reference kernels give the same int8 values in every runtime.
    """
    of_runtimes = [
        np.stack(
            [
                WindowModel(
                    default_manifest, hop_frames=10, runtime=runtime, kernels="reference"
                ).predict(window)
                for window in windows
            ]
        )
        for runtime in LIGHT
    ]

    np.testing.assert_array_equal(of_runtimes[0], of_runtimes[1])


def test_the_first_installed_runtime_is_the_default(content):
    """
    Without a wish the best one that is installed is taken.
    """
    assert open_model(content, where="default").runtime == installed()[0]
    assert installed() == [name for name in RUNTIMES if name in installed()]


def test_the_environment_chooses_the_runtime(content, monkeypatch):
    """
    KWS_RUNTIME is honoured, also when it is wrong; an empty value is no choice.
    """
    monkeypatch.setenv("KWS_RUNTIME", LIGHT[-1])

    assert open_model(content, where="default").runtime == LIGHT[-1]

    monkeypatch.setenv("KWS_RUNTIME", "")

    assert open_model(content, where="default").runtime == installed()[0]

    monkeypatch.setenv("KWS_RUNTIME", "abacus")
    with pytest.raises(ConfigError, match=r"runtime: expected one of ai-edge-litert.*'abacus'"):
        open_model(content, where="default")


def test_an_argument_beats_the_environment(content, monkeypatch):
    """
    --runtime wins over KWS_RUNTIME.
    """
    monkeypatch.setenv("KWS_RUNTIME", "abacus")

    assert open_model(content, where="default", runtime=LIGHT[0]).runtime == LIGHT[0]


@pytest.mark.parametrize("runtime", ["abacus", "AI-EDGE-LITERT"])
def test_an_unknown_runtime_names_the_choices(content, runtime):
    """
    The error lists the runtimes there are.
    """
    with pytest.raises(
        ConfigError,
        match=f"expected one of ai-edge-litert, tflite-runtime, tensorflow, got '{runtime}'",
    ):
        open_model(content, where="default", runtime=runtime)


@pytest.mark.skipif(not MISSING, reason="every runtime is installed here")
def test_a_runtime_that_is_not_installed_says_how_to_get_it(content):
    """
    The error names what is installed and the pip command.
    """
    with pytest.raises(
        MissingDependencyError,
        match=rf"{MISSING[0]}: not installed \(installed: {LIGHT[0]}.*pip install {MISSING[0]}",
    ):
        open_model(content, where="default", runtime=MISSING[0])


def test_no_runtime_at_all_says_what_to_install(content, monkeypatch):
    """
    Without any runtime the error says which one to install.
    """
    monkeypatch.setattr(interpreter, "RUNTIMES", {"none": "no_such_module_anywhere"})
    with pytest.raises(MissingDependencyError, match="pip install ai-edge-litert"):
        open_model(content, where="default")


def test_unknown_kernels_name_the_choices(content):
    """
    Only the two kinds of kernels are known.
    """
    with pytest.raises(ConfigError, match="expected one of default, reference, got 'fast'"):
        open_model(content, where="default", kernels="fast")


@pytest.mark.parametrize("runtime", LIGHT)
@pytest.mark.parametrize("junk", [b"", b"TFL3", b"hello, I am no model at all", b"\x89PNG\r\n"])
def test_a_file_that_is_not_a_model_is_refused(junk, runtime):
    """
    Bytes that are no TFLite file are a ModelError that names the file.
    """
    with pytest.raises(ModelError, match=r"junk.*: expected a TFLite model, got another"):
        open_model(junk, where="junk.tflite", runtime=runtime)


def test_opening_a_model_says_nothing(content, capfd):
    """
    The runtime's INFO lines do not reach the user's stderr, and stderr works afterwards.
    """
    open_model(content, where="default")

    assert capfd.readouterr() == ("", "")
