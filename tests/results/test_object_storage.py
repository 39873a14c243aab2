"""Results on an object store that fails and is slow: a real S3 server behind a proxy that injects faults."""

from __future__ import annotations

import io
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from rich.console import Console
from typer.testing import CliRunner

from orchestrator import load_sweep, read_rows, run_sweep
from orchestrator.cli import app
from orchestrator.errors import StorageError
from orchestrator.report.watch import follow
from orchestrator.results.file_systems import open_file_system
from orchestrator.results.storage import Folder
from orchestrator.results.store import open_store
from orchestrator.run.progress.observer import LaunchObserver

SECRET = "canary-of-a-secret-key"


@pytest.fixture(scope="module")
def server():
    """Start an S3 server in a process of its own, and yield its port."""
    pytest.importorskip("moto")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


class Faults(BaseHTTPRequestHandler):
    """Forward requests; answer every eleventh with an error, and every fifth late."""

    protocol_version = "HTTP/1.1"
    upstream = 0
    always = False
    seen = failed = slow = again = 0
    lock = threading.Lock()

    def _answer(self) -> None:
        body = self._body()
        kind = type(self)
        with kind.lock:
            kind.seen += 1
            fails, late = kind.always or kind.seen % 11 == 3, kind.seen % 5 == 0
            kind.failed += fails
            kind.slow += late
            kind.again += not re.match(r"attempt=1\b", self.headers.get("amz-sdk-request", "attempt=1"))
            number = kind.seen
        if late:
            time.sleep(0.1)
        if fails:
            status, headers, answer = (500, 503)[number % 2], {}, b""
        else:
            status, headers, answer = self._pass_on(body)
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                self.send_header(name, value)
        length = headers.get("Content-Length", "0") if self.command == "HEAD" else str(len(answer))
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(pieces)

    def _pass_on(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        url = f"http://127.0.0.1:{type(self).upstream}{self.path}"
        request = urllib.request.Request(url, data=body or None, method=self.command)
        for name, value in self.headers.items():
            if name.lower() not in ("host", "connection", "content-length", "expect", "transfer-encoding"):
                request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                return response.status, dict(response.headers), response.read()
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def faulty(server, monkeypatch):
    """A handler class with its counts, and a function that returns the URI of a folder behind it."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "canary-of-an-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:{server}/bucket", method="PUT"), timeout=30)
    handler = type("Handler", (Faults,), {"upstream": server, "lock": threading.Lock()})
    proxy = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()

    def uri(name: str) -> str:
        return f"s3://bucket/{name}?endpoint_override=127.0.0.1:{proxy.server_port}&scheme=http"

    yield handler, uri
    proxy.shutdown()
    proxy.server_close()


def test_a_sweep_on_a_failing_store_gives_the_rows_of_a_local_folder(
    faulty, small_sweep, tmp_path, cache_dir, monkeypatch, caplog, comparable, injected
):
    handler, uri = faulty
    monkeypatch.chdir(tmp_path)
    loaded, results = load_sweep(small_sweep, ["methods=[grad_ascent]", "training.epochs=1"]), uri("small")
    run_sweep(loaded, tmp_path / "local", executor="local", cache_dir=cache_dir)
    run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    injected(
        "requests to S3 answered with 500 or 503, others late", "they are retried", results,
        comparable(tmp_path / "local"), injections=handler.failed, section="Object storage", requests=handler.seen,
        answered_with_an_error=handler.failed, answered_late=handler.slow, retried=handler.again,
    )  # fmt: skip
    assert handler.failed
    assert handler.slow
    pd.testing.assert_frame_equal(comparable(results), comparable(tmp_path / "local"))
    dispatcher = run_sweep(loaded, results, executor="local", cache_dir=cache_dir)
    assert dispatcher.num_already_done == len(dispatcher.specs)  # a second run has nothing to do

    shown = CliRunner().invoke(app, ["status", results])
    assert shown.exit_code == 0, shown.output
    assert "small" in shown.output
    watched = CliRunner().invoke(app, ["watch", results])
    assert "small: 2 of 2 trials ended (2 done): complete" in watched.output
    written = CliRunner().invoke(app, ["report", results, "--out", str(tmp_path / "report")])
    assert written.exit_code == 0, written.output

    # No key in anything that a run writes.
    left = [shown.output, written.output, caplog.text, read_rows(results).to_csv()]
    files = Folder(results)
    left += [(files.read_bytes(f"sweeps/{name}") or b"").decode() for name in files.names("sweeps")]
    left += [path.read_text(errors="replace") for path in (tmp_path / "report").rglob("*") if path.is_file()]
    assert "canary" not in "".join(left)


def test_a_running_sweep_is_followed_on_a_store(faulty, small_sweep, cache_dir):
    loaded = load_sweep(small_sweep, ["methods=[grad_ascent]", "training.epochs=1"])
    results = f"s3://bucket/watched?endpoint_override=127.0.0.1:{faulty[0].upstream}&scheme=http"
    planned, looked, out = threading.Event(), threading.Event(), io.StringIO()

    def pause(_: float) -> None:
        looked.set()
        time.sleep(0.1)

    def watch() -> None:
        if planned.wait(60):
            follow(open_store(results), Console(file=out, width=200), sleep=pause)

    class Waiting(LaunchObserver):
        """Holds the sweep back until it was looked at."""

        def started(self, spec) -> None:
            planned.set()
            assert looked.wait(60)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    run_sweep(loaded, results, executor="local", cache_dir=cache_dir, observer=Waiting())
    watcher.join(60)
    assert not watcher.is_alive()
    first, *lines, last = out.getvalue().splitlines()
    assert first == "small: 0 of 2 trials ended"
    assert last == "small: 2 of 2 trials ended (2 done): complete"
    ended = [line for line in lines if line.startswith("done ")]
    assert [" train " in line for line in ended] == [True, False]  # the original, then what is unlearned from it


def test_a_store_that_always_fails_ends_in_one_clear_error(faulty, monkeypatch, injected):
    handler, uri = faulty
    monkeypatch.setattr("orchestrator.results.file_systems.ATTEMPTS", 3)
    handler.always = True
    with pytest.raises(StorageError, match=r"writing rows/a\.parquet failed in s3://bucket/never") as caught:
        Folder(uri("never")).write_bytes("rows/a.parquet", b"row")
    assert handler.seen == 3
    injected(
        "S3 that never answers well", "one clear error that names the file", injections=handler.failed,
        section="Object storage", requests=handler.seen, answered_with_an_error=handler.failed,
        answered_late=handler.slow, retried=handler.again,
    )  # fmt: skip
    assert "canary" not in str(caught.value)


def test_a_file_is_written_read_listed_and_deleted(faulty):
    folder = Folder(faulty[1]("plain"))
    assert folder.read_bytes("rows/a") is None
    assert folder.names("rows") == []
    folder.write_bytes("rows/a", b"1" * 100)
    folder.write_bytes("rows/a", b"2")
    assert folder.read_bytes("rows/a") == b"2"
    assert folder.names("rows") == ["a"]
    assert folder.modified("rows")["a"] > 0
    folder.delete("rows/a")
    assert not folder.exists("rows/a")


def test_an_endpoint_may_come_from_the_environment(faulty, monkeypatch):
    endpoint = re.search(r"endpoint_override=([^&]+)", faulty[1]("there"))[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{endpoint}")
    Folder(faulty[1]("there")).write_bytes("a", b"1")
    assert Folder("s3://bucket/there").read_bytes("a") == b"1"


def test_a_missing_bucket_is_named(faulty):
    with pytest.raises(StorageError, match="s3://nowhere"):
        Folder(faulty[1]("x").replace("bucket", "nowhere")).write_bytes("a", b"1")


@pytest.mark.parametrize(
    "location",
    [
        f"s3://AKIA:{SECRET}@bucket/results",
        f"gs://user:{SECRET}@bucket/results",
        f"s3://bucket/results?secret_key={SECRET}",
        f"s3://bucket/results?session_token={SECRET}",
    ],
)
def test_credentials_in_a_uri_are_refused_and_not_repeated(location):
    with pytest.raises(ValueError, match="must not contain credentials") as caught:
        open_store(location)
    assert SECRET not in str(caught.value)


def test_an_unknown_setting_of_a_uri_is_refused():
    with pytest.raises(ValueError, match="Choose from: endpoint_override, region, scheme"):
        open_store("s3://bucket/results?regoin=x").files.exists("a")


def test_google_storage_has_two_minutes_by_default():
    for extra, seconds in (("", 120), ("?retry_limit_seconds=7", 7), ("?scheme=http", 120)):
        system, root = open_file_system(f"gs://anonymous@bucket/results{extra}")
        assert root == "bucket/results"
        assert system.__reduce__()[1][0]["retry_time_limit"].total_seconds() == seconds


def test_errors_of_a_local_folder_are_unchanged(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError) as caught:
        Folder((tmp_path / "file").as_uri()).write_bytes("inside/a", b"1")
    assert not isinstance(caught.value, StorageError)
    assert not os.path.exists(tmp_path / "file" / "inside")
