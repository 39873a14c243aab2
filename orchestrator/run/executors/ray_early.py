"""Start a private Ray in the background while a command plans: most of its start is waiting for processes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from orchestrator.run.cores import available_cores

_starting: list[Future[bool]] = []  # a start that no launch has taken; at most one


@contextmanager
def early_start(*, wanted: bool) -> Iterator[None]:
    """Start Ray on this machine in a thread. If no launch takes it within the block, the thread stops it again.

    A mistake that is found within the block is raised at once; the process ends when Ray has stopped.
    """
    if not wanted:
        yield
        return
    import ray  # here, since two threads should not import it

    from orchestrator.run.executors import ray_start

    made, over = Future[bool](), threading.Event()

    def run() -> None:
        try:
            made.set_result(ray_start.start(None, available_cores()))
        except Exception as error:
            made.set_exception(error)
        over.wait()  # Linux ends Ray's processes with the thread that started them
        if made in _starting and not made.exception():
            ray.shutdown()

    _starting[:] = [made]
    thread = threading.Thread(target=run, name="ray-start")
    thread.start()
    try:
        yield
    finally:
        over.set()


def finish_start(num_cpus: int) -> bool:
    """Take the Ray that `early_start` started; return False if there is none, or it has too few CPUs and was stopped.

    Raises:
        ValueError: Ray cannot start.
    """
    if not _starting:
        return False
    made = _starting[0]
    ours = made.result()
    _starting.clear()
    if ours and num_cpus > available_cores():
        import ray

        ray.shutdown()
        return False
    return ours
