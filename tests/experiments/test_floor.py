"""The floor counts what a hand counts, and its clocks tick."""

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from experiments import clock
from tests.experiments.modules import load

floor = load("floor")


@pytest.fixture(autouse=True)
def parsed():
    flags.FLAGS.mark_as_parsed()


def test_work_of_a_sampled_step_by_hand():
    """2 rows, 1 negative each, 3 users, 4 items, 5 numbers an embedding."""
    found = floor.work(1, batch=2, negatives=1, users=3, items=4, dim=5)
    adam = (3 + 4) * 5 * (4 + 4) * 3  # parameters and two moments, read and written
    rows = (2 + 4) * 5 * 4  # 2 users, and at most 2 positives and 2 negatives
    gradient = 2 * rows  # written, read
    ids = 2 * 2 * 4
    assert found.bytes == adam + rows + gradient + ids
    products = 2 * (1 + 1)  # (row, item) pairs
    assert found.operations == 3 * products * 5 * 2
    assert found.functions == 2


def test_work_of_the_whole_catalogue_by_hand():
    found = floor.work(2, batch=2, negatives=None, users=3, items=4, dim=5)
    assert found.operations == 3 * (2 * 4) * 5 * 2
    assert found.functions == 2 * (2 * 4)
    # As in the sampled step, which may touch all four items as well.
    assert found.bytes == floor.work(1, 2, 1, 3, 4, 5).bytes


def test_no_more_rows_are_touched_than_there_are():
    many = floor.work(0, batch=1000, negatives=64, users=3, items=4, dim=5)
    assert many.bytes == (3 + 4) * 5 * (24 + 12) + 8 * 1000


def test_work_grows_with_what_it_should():
    small, large = (floor.work(1, 8, n, 100, 100_000, 16) for n in (4, 8))
    assert large.operations / small.operations == pytest.approx(9 / 5)
    assert large.functions == 2 * small.functions
    assert large.bytes - small.bytes == 12 * 8 * 4 * 16


@pytest.mark.parametrize("processor_time", [False, True])
def test_clock_measures_every_call(processor_time):
    calls = []
    with flagsaver.flagsaver(processor_time=processor_time):
        taken = clock.times(lambda: calls.append(np.sum(np.ones(100_000))), 3)
    assert len(calls) == 4 and taken.shape == (3,) and (taken >= 0).all()
