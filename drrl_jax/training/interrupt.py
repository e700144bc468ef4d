"""Ctrl-C between epochs: raised elsewhere, a library's callback may swallow it."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[Callable[[], None]]:
    """Yields ``check``, which raises ``KeyboardInterrupt`` if Ctrl-C was pressed.

    The first Ctrl-C waits for ``check``, so that a checkpoint is never left half
    written; a second one is raised at once. Other threads and programs with a handler
    of their own are left as they are.
    """
    usual = signal.default_int_handler
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not usual:
        yield lambda: None
        return
    pressed = threading.Event()

    def handler(number, frame):
        if pressed.is_set():
            usual(number, frame)
        pressed.set()

    def check() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, usual)
