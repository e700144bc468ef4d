"""The floor counts what a hand counts, and its clocks tick."""

import types

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from drrl_jax import training
from experiments import clock
from tests.experiments.modules import load
from tests.training.helpers import tiny_dataset

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


def test_the_first_call_is_not_counted(monkeypatch):
    ticks = iter([0, 100, 100, 101, 101, 103])
    monkeypatch.setattr(clock, "now", lambda: next(ticks))
    assert clock.times(lambda: None, 2).tolist() == [1, 2]


def test_a_flag_chooses_the_clock(monkeypatch):
    fake = types.SimpleNamespace(perf_counter=lambda: 1.0, process_time=lambda: 2.0)
    monkeypatch.setattr(clock, "time", fake)
    assert clock.now() == 1
    monkeypatch.setattr(clock, "_PROCESSOR", types.SimpleNamespace(value=True))
    assert clock.now() == 2


@pytest.fixture
def sizes(monkeypatch):
    """Flags of their own: another benchmark may have taken the module's away."""
    for name, value in (("BATCH", 128), ("DIM", 8), ("STEPS", 4), ("ROUNDS", 3)):
        monkeypatch.setattr(floor, f"_{name}", types.SimpleNamespace(value=value))


@pytest.mark.usefixtures("sizes")
def test_a_floor_is_the_largest_of_its_bounds(monkeypatch):
    found = floor.Measured(step=60.0, compile=1.0, memory=2**20)
    monkeypatch.setattr(floor, "measure", lambda *_: found)
    dataset, name = tiny_dataset(), "softmax"
    size = (128, 8, dataset.num_users, dataset.num_items, 8)
    needs = floor.work(floor.RUNS[name][1], *size)
    for slow in range(3):
        seconds = [30.0 if i == slow else 1.0 for i in range(3)]
        bytes_, operations, functions = (n / s for n, s in zip(needs, seconds))
        rates = floor.Rates(bytes_ / 2, bytes_, operations, functions)
        assert floor.row(dataset, rates, name, "8")[5:8] == ["3e+04", "6e+04", "2.0"]


@pytest.mark.usefixtures("sizes")
def test_a_step_is_a_share_of_its_call_and_donated_memory_counts_once(monkeypatch):
    class Compiled:
        def lower(self, *_):
            return self

        def compile(self):
            return self

        def memory_analysis(self):
            sizes = {"argument": 10, "output": 7, "temp": 5, "alias": 4}
            named = {f"{name}_size_in_bytes": size for name, size in sizes.items()}
            return types.SimpleNamespace(**named)

        def __call__(self, state, *_):
            return state, [0.0] * 4

    monkeypatch.setattr(training, "jit_epoch", lambda _: Compiled())
    monkeypatch.setattr(clock, "times", lambda *_: np.array([1.0, 2.0, 9.0]))
    found = floor.measure(tiny_dataset(), {}, "8")
    assert found.step == pytest.approx(0.5) and found.memory == 18
