"""The measuring loop and its timers, on the real model and the demo recording."""

import numpy as np
import pytest

from kws.bench import timing
from kws.bench.timing import HopTimers
from kws.errors import KwsError
from kws.spotter import STAGES, KeywordSpotter

RATE = 16_000


@pytest.fixture
def samples():
    return timing.looped(timing.DEMO, 4.0, sample_rate=RATE)


@pytest.fixture(params=["window", "stream"])
def spotter(request):
    return KeywordSpotter.from_model(mode=request.param)


@pytest.fixture
def timed(spotter):
    """Return a spotter with timers in its stages, and the timers."""
    timers = HopTimers()
    return KeywordSpotter.from_model(mode=spotter.model.mode, timers=timers), timers


def test_every_hop_after_the_warm_up_is_timed(spotter, samples):
    """
    A run of 4 s: a window, 20 hops of warm-up, and 10 hops that count.
    """
    timings = timing.run(spotter, samples)

    assert 10 == len(timings.hop_s)
    assert 1.0 == timings.audio_s
    assert np.all(timings.hop_s > 0)
    assert timings.cpu_s / timings.audio_s == timings.cpu_s_per_audio_s
    assert not timings.late_s.any()


def test_warm_up_lasts_until_every_stage_works(samples):
    """
    With short hops the smoothing span takes longer to fill than the usual warm-up.
    """
    spotter = KeywordSpotter.from_model(hop_ms=10, mode="window")

    assert 40 == spotter.smoother.n_posteriors == timing.n_warm_up_hops(spotter)
    assert 4.0 - 1.0 - 0.4 == pytest.approx(timing.run(spotter, samples).audio_s)


def test_too_little_audio_says_how_much(spotter, samples):
    """
    Exactly the required audio is enough; one hop less is an error that names the requirement.
    """
    least = round(timing.least_s(spotter) * RATE)

    assert 1 == len(timing.run(spotter, samples[:least]).hop_s)
    with pytest.raises(KwsError, match=r"expected at least 3\.1 s .* got 3\.0 s"):
        timing.run(spotter, samples[: least - 1_600])


def test_paced_hops_begin_no_sooner_than_in_real_time(spotter, samples):
    """
    In a paced run no hop begins before it is due, and its delay is recorded.
    """
    timings = timing.run(spotter, samples[: round(3.4 * RATE)], paced=True)

    assert 4 == len(timings.late_s)
    assert np.all(timings.late_s >= 0)
    assert timings.late_s.any()


def test_percentiles_are_those_of_numpy(rng):
    """
    Mean, p50, p95, p99 and max are numpy's, in microseconds.
    """
    seconds = rng.gamma(3, 1e-4, size=997)

    figures = timing.percentiles_us(seconds)

    expected = [seconds.mean(), *np.quantile(seconds, (0.5, 0.95, 0.99)), seconds.max()]
    assert ["mean", "p50", "p95", "p99", "max"] == list(figures)
    np.testing.assert_allclose(np.array(expected) * 1e6, list(figures.values()), atol=0.051)


def test_parts_are_runs_or_thirds_of_one():
    """
    Three runs give three medians; one run gives those of its thirds.
    """
    runs = [np.full(5, 1e-4), np.full(5, 2e-4), np.full(5, 3e-4)]

    assert [100, 200, 300] == timing.p50_by_part_us(runs)
    assert [100, 200, 300] == timing.p50_by_part_us([np.concatenate(runs)])


def test_looped_audio_repeats(samples):
    """
    Audio is repeated from its beginning until it is long enough, and cut there.
    """
    whole = timing.looped(timing.DEMO, 60.0, sample_rate=RATE)

    assert 60 * RATE == len(whole)
    np.testing.assert_array_equal(samples, whole[: len(samples)])
    length = next(
        n for n in range(16 * RATE, 60 * RATE) if (whole[n : n + 400] == whole[:400]).all()
    )
    np.testing.assert_array_equal(whole[: 60 * RATE - length], whole[length:])


def test_timers_change_no_posterior(spotter, timed, samples):
    """
    A timed spotter gives the posteriors of one without timers.
    """
    bare, found = [], []
    timed_spotter, _ = timed
    spotter.on_posterior = lambda *hop: bare.append(hop)
    timed_spotter.on_posterior = lambda *hop: found.append(hop)

    spotter.process(samples)
    timed_spotter.process(samples)

    assert 31 == len(bare) == len(found)
    for (expected_s, expected, _), (time_s, posterior, _) in zip(bare, found):
        assert expected_s == time_s
        np.testing.assert_array_equal(expected, posterior)


def test_each_run_of_the_timers_stands_alone(timed, samples):
    """
    Two runs of one timed spotter give as many hops each, without those of the warm-up. Every
    stage takes some time at every hop, and the invoke is within the model.
    """
    spotter, timers = timed

    for _ in range(2):
        hop_s = timing.run(spotter, samples, timers=timers).hop_s
        stage_s = timers.stage_s()

        assert set(STAGES) == set(stage_s)
        assert all(len(seconds) == 10 and (seconds > 0).all() for seconds in stage_s.values())
        assert np.all(stage_s["invoke"] < stage_s["model"])
        assert np.all(sum(stage_s.values()) - stage_s["invoke"] < hop_s)
