"""Starting Ray: which errors are tried again, what is waited for, what is passed on, whose token is used."""

from __future__ import annotations

import pytest
import ray
from ray._private import ray_constants

from orchestrator.run.executors import ray_start


@pytest.fixture
def calls(monkeypatch):
    """Settings of each `ray.init`; what it raises first, by popping from `calls.errors`."""

    class Calls(list):
        errors: list[Exception] = []  # noqa: RUF012

    made = Calls()
    made.errors = []

    def init(**settings):
        made.append({**settings, "everywhere": ray_constants.ENABLE_RAY_CLUSTER})
        if made.errors:
            raise made.errors.pop(0)

    monkeypatch.setattr(ray, "init", init)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}])
    for name in ("UNLEARN_MIN_NODES", "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"):
        monkeypatch.delenv(name, raising=False)
    return made


def test_a_node_that_was_slow_to_start_is_given_a_second_try(calls):
    calls.errors.append(Exception("The current node timed out during startup. This could happen because ..."))
    assert ray_start.start(None, 2)
    assert len(calls) == 2


@pytest.mark.parametrize("error", [RuntimeError("no space left"), Exception("unpack failed"), TypeError("bad type")])
def test_another_error_is_not_tried_again(calls, error):
    calls.errors.append(error)
    with pytest.raises(type(error), match=str(error)):
        ray_start.start(None, 2)
    assert len(calls) == 1


def test_no_secret_is_passed_on(calls, monkeypatch):
    from ray.tune.execution import class_cache

    for name in ("HF_TOKEN", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.setenv(name, f"value of {name}")
    ray_start.start("auto", 2)
    ray_start.prepare_tune(private=False)
    assert calls[0]["runtime_env"]["env_vars"]["AWS_REGION"] == "value of AWS_REGION"
    assert not {"HF_TOKEN", "AWS_SECRET_ACCESS_KEY"} & set(calls[0]["runtime_env"]["env_vars"])
    assert not any("AWS" in name for name in class_cache.ENV_VARS_TO_PROPAGATE)


def test_a_ray_of_our_own_is_private_and_a_cluster_is_left_as_it_is(calls):
    ray_start.start(None, 2)
    ray_start.start("auto", 2)
    ours, joined = calls
    assert ours["include_dashboard"] is False
    assert not ours["everywhere"]  # test_private_ray.py looks at the sockets
    assert joined["everywhere"]
    assert not {"include_dashboard", "num_cpus"} & set(joined)


@pytest.mark.parametrize("chosen", [{}, {"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "mine"}])
def test_a_token_is_drawn_unless_the_user_chose(calls, monkeypatch, tmp_path, chosen):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "")  # so that it is put back afterward
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    ray_start.start(None, 2)
    token = ray_start.os.environ.get("RAY_AUTH_TOKEN")
    assert token == chosen.get("RAY_AUTH_TOKEN") if chosen else len(token) == 64


def test_a_launch_waits_for_its_nodes_and_not_for_ever(calls, monkeypatch):
    seen = iter([1, 1, 3])
    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}] * next(seen) + [{"Alive": False}])
    monkeypatch.setattr(ray_start.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("UNLEARN_MIN_NODES", "3")
    ray_start.start("auto", 2)
    assert next(seen, None) is None

    monkeypatch.setattr(ray, "nodes", lambda: [{"Alive": True}])
    monkeypatch.setattr(ray_start, "NODES_WITHIN_SECONDS", -1.0)
    with pytest.raises(ValueError, match="got 1 nodes, UNLEARN_MIN_NODES asks for 3"):
        ray_start.start("auto", 2)


def test_a_dead_address_is_refused_at_once(calls):
    with pytest.raises(ValueError, match=r"no Ray cluster answers at 127\.0\.0\.1:1"):
        ray_start.start("127.0.0.1:1", 2)
    assert not calls


def test_a_folder_for_sockets_that_is_too_long_is_named_with_the_variable_to_set(monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + 60 * "x")
    with pytest.raises(
        ValueError, match=r"RAY_TMPDIR is too long for Ray's sockets: got 65 bytes .* at most \d\d bytes"
    ):
        ray_start._temporary_folder()


def test_a_short_folder_is_left_to_ray(monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setenv("TMPDIR", "/scratch/me")
    assert ray_start._temporary_folder() == {}
