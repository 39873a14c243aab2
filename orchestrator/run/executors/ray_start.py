"""Start a private Ray on this machine, or join a cluster."""

from __future__ import annotations

import atexit
import logging
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import ray
from ray._private import ray_constants
from ray.job_config import JobConfig

from orchestrator.run.executors.ray_failures import start_timed_out

PASSED_ON = (
    "HF_HOME", "HF_HUB_OFFLINE", "UNLEARN_CACHE", "UNLEARN_DATA", "UNLEARN_MODELS", "UNLEARN_SHARED_CACHE",
    "UNLEARN_LOGICAL_GPUS",
    "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION",
)  # fmt: skip
"""Environment variables that workers get from the driver. No secrets: Ray logs these and shows them in its dashboard.
Processes that Ray starts on this machine inherit the whole environment; nodes of a cluster have their own."""
HELD_BACK = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SECURITY_TOKEN", "AWS_SESSION_TOKEN")  # Tune's own list
PRELOADED = ("torch", "ray.tune", "orchestrator.run.trial", "datasets", "torch._dynamo")
"""What workers on this machine import as soon as they start, while the driver still plans."""
NODES_WITHIN_SECONDS = 900.0
SOCKET_BYTES = 103 if sys.platform == "darwin" else 107  # longest path of a socket
BELOW_TEMPORARY = "/ray/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store"  # as Ray names its sockets


def start(address: str | None, num_cpus: int) -> bool:
    """Start Ray or join the cluster at `address`; return whether this call did, rather than an earlier one.

    It waits for `UNLEARN_MIN_NODES` nodes, since the size at the start sets the number of concurrent trials.

    Raises:
        ValueError: nothing answers at the address, or the cluster stays too small.
    """
    os.environ.update(TUNE_DISABLE_AUTO_CALLBACK_LOGGERS="1", RAY_CHDIR_TO_TRIAL_DIR="0", RAY_AIR_NEW_OUTPUT="0")
    os.environ["TUNE_GLOBAL_CHECKPOINT_S"] = "1e9"  # of Tune's record of the run, which nothing reads
    os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
    os.environ.setdefault("TUNE_PRINT_ALL_TRIAL_ERRORS", "0")  # rows have them, unless the trial ran again
    ours = not ray.is_initialized()
    if ours:
        job = JobConfig()
        job._py_driver_sys_path = NoPaths()
        settings: dict[str, Any] = {"job_config": job, "log_to_driver": False, "logging_level": "ERROR"}
        if address:
            environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
            _init(address=address, runtime_env={"env_vars": environment}, **settings)
        else:  # without a runtime environment: workers inherit this process's, and those started early are used
            _own_token()
            settings |= {"_system_config": {"preload_python_modules": [*PRELOADED]}, **_temporary_folder()}
            with _loopback():
                _init(address="local", num_cpus=num_cpus, include_dashboard=False, **settings)
    _await_nodes()
    return ours


def prepare_tune(*, private: bool) -> None:
    """Tell Tune what its workers get from this process's environment: nothing on a private Ray, never a secret.

    Args:
        private: whether this process started Ray: workers inherit its environment.
    """
    from ray.tune.execution import class_cache  # here: starting Ray early must not wait for the import of Tune

    logging.getLogger("ray.tune.tune").setLevel(logging.CRITICAL)  # it reports a trial that ran again as incomplete
    class_cache.ENV_VARS_TO_PROPAGATE.difference_update(HELD_BACK)
    if private:
        class_cache.DEFAULT_ENV_VARS.clear()
        class_cache.ENV_VARS_TO_PROPAGATE.clear()


class NoPaths(list[str]):
    """An empty list for Ray to put first on its workers' `sys.path`.

    Ray adds the driver's current folder, where a `timeit.py` among a user's recordings would be imported, and run, in
    place of Python's own. What workers import is installed: this package, and what is in `PYTHONPATH`.
    """

    def extend(self, paths: Iterable[str]) -> None:
        """Ignore the current folder and that of the script, which Ray adds."""

    def __bool__(self) -> bool:
        return True


def _temporary_folder() -> dict[str, str]:
    """Return Ray's setting for a folder of sockets if its default is too long: a socket's path has at most 107 bytes.

    Raises:
        ValueError: `RAY_TMPDIR` is too long, or no short folder can be written.
    """
    named = os.environ.get("RAY_TMPDIR")
    folder = named or os.environ.get("TMPDIR") or "/tmp"
    room = SOCKET_BYTES - len(BELOW_TEMPORARY)
    if len(os.fsencode(folder)) <= room:
        return {}
    for short in () if named else ("/tmp", "/var/tmp", "/dev/shm"):
        with suppress(OSError):
            made = tempfile.mkdtemp(prefix="u-", dir=short)
            atexit.register(shutil.rmtree, made, ignore_errors=True)
            return {"_temp_dir": made}
    raise ValueError(
        f"{'RAY_TMPDIR' if named else 'TMPDIR'} is too long for Ray's sockets: got {len(os.fsencode(folder))} bytes "
        f"({folder}). Set RAY_TMPDIR to an existing folder of at most {room} bytes"
    )


@contextmanager
def _loopback() -> Iterator[None]:
    """Make Ray bind to 127.0.0.1 within the block, not to all addresses: its ports let anyone run code.

    Ray does so by itself on macOS and Windows, and elsewhere with RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 from the start.
    """
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _own_token() -> None:
    """Set a token for the Ray that this process starts, unless the user has one or has turned tokens off.

    Ray would write one to `~/.ray/auth_token`, readable by every user of the machine where the umask allows it.
    """
    chosen = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
    if not any(name in os.environ for name in chosen) and not os.path.exists(os.path.expanduser("~/.ray/auth_token")):
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


def _init(address: str, **settings: Any) -> None:
    """Start Ray or join a cluster; a machine under load may need a second try."""
    settings["address"] = address
    host, _, port = address.removeprefix("ray://").rpartition(":")
    try:
        if host and port.isdigit():
            socket.create_connection((host, int(port)), timeout=10).close()  # Ray would try for 17 minutes
    except OSError as error:
        raise ValueError(
            f"no Ray cluster answers at {address} ({error}); check the address, or start the cluster"
        ) from None
    try:
        ray.init(**settings)
    except (ConnectionError, ValueError) as error:
        raise ValueError(f"no Ray cluster to join: {error}") from None
    except OSError as error:
        raise ValueError(
            f"Ray cannot start: {error}. It keeps sockets and logs in RAY_TMPDIR, TMPDIR or /tmp: set RAY_TMPDIR to a "
            "folder that can be written"
        ) from None
    except Exception as error:  # a bare one, when a node of a busy machine does not come up in time
        if not start_timed_out(error):
            raise
        ray.shutdown()
        ray.init(**settings)


def _await_nodes() -> None:
    wanted, deadline = int(os.environ.get("UNLEARN_MIN_NODES") or 1), time.monotonic() + NODES_WITHIN_SECONDS
    while (alive := sum(node["Alive"] for node in ray.nodes())) < wanted:
        if time.monotonic() > deadline:
            raise ValueError(f"the cluster is too small: got {alive} nodes, UNLEARN_MIN_NODES asks for {wanted}")
        time.sleep(1)
