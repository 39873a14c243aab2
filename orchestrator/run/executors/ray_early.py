"""Start a private Ray in the background while the command plans: most of its start is waiting for processes."""

from __future__ import annotations

import threading
from concurrent.futures import Future

from orchestrator.run.cores import available_cores

_starting: list[Future[bool]] = []  # at most one


def start_early() -> None:
    """Start Ray on this machine in a thread. If the command fails, the interpreter stops it at its exit."""
    from orchestrator.run.executors.ray_start import start  # imports Ray here, since two threads should not import

    made: Future[bool] = Future()

    def run() -> None:
        try:
            made.set_result(start(None, available_cores()))
        except BaseException as error:
            made.set_exception(error)
        threading.Event().wait()  # Linux ends Ray's processes with the thread that started them

    _starting.append(made)
    threading.Thread(target=run, name="ray-start", daemon=True).start()


def finish_start(num_cpus: int) -> bool:
    """Wait for that Ray; return whether there is one and it has as many CPUs as are needed, or else stop it.

    Raises:
        ValueError: Ray cannot start.
    """
    if not _starting:
        return False
    ours = _starting.pop().result()
    if ours and num_cpus > available_cores():
        import ray

        ray.shutdown()
        return False
    return ours
