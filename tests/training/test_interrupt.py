"""Ctrl-C ends a run once, whole and resumable."""

import os
import signal
import threading

import pytest

from drrl_jax import training
from drrl_jax.training.interrupt import deferred_interrupt
from tests.training.helpers import leaves_equal, tiny_config, tiny_dataset


@pytest.fixture(autouse=True)
def default_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def press():
    os.kill(os.getpid(), signal.SIGINT)


def test_the_first_waits_for_a_check_and_the_second_does_not():
    with deferred_interrupt() as check:
        check()
        press()
        with pytest.raises(KeyboardInterrupt):
            check()
        with pytest.raises(KeyboardInterrupt):
            press()


def test_nothing_is_taken_from_another_thread_or_handler():
    def inside():
        with deferred_interrupt() as check:
            handlers.append(signal.getsignal(signal.SIGINT))
            check()

    handlers = []
    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    inside()
    signal.signal(signal.SIGINT, before)
    assert handlers == [signal.default_int_handler, signal.SIG_IGN]


def test_an_interrupt_while_saving_leaves_the_checkpoint_whole(tmp_path, monkeypatch):
    parts = training.build(tiny_config(training__eval_every=1), tiny_dataset())
    whole, _ = training.fit(parts, progress=False)
    save = training.Checkpointer.save

    def save_while_pressed(self, epoch, *rest):
        if epoch == 2:
            press()
        save(self, epoch, *rest)

    monkeypatch.setattr(training.Checkpointer, "save", save_while_pressed)
    with pytest.raises(KeyboardInterrupt):
        training.fit(parts, tmp_path, progress=False)
    monkeypatch.undo()
    assert training.Checkpointer(tmp_path / "checkpoints").latest == 2
    resumed, _ = training.fit(parts, tmp_path, progress=False)
    assert leaves_equal(whole, resumed)


def test_an_interrupt_in_the_last_epoch_is_one_too(tmp_path):
    parts = training.build(tiny_config(training__eval_every=1), tiny_dataset())

    def watch(epoch, state):
        if epoch == parts.config.training.epochs:
            press()

    with pytest.raises(KeyboardInterrupt):
        training.fit(parts, tmp_path, progress=False, watch=watch)
    assert not (tmp_path / "results.json").exists()
    _, results = training.fit(parts, tmp_path, progress=False)
    assert results["epochs"] == parts.config.training.epochs
