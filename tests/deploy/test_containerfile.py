"""The Containerfile copies what its build needs, installs exact versions, and does not run `unlearn` as root."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from orchestrator.deploy.manifests import IMAGE_HOME, RAY_VERSION

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONSTRAINTS = "orchestrator/deploy/constraints.txt"
KNOWN = {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "USER", "ENTRYPOINT", "CMD"}


class Instruction(NamedTuple):
    name: str
    arguments: str


def instructions() -> list[Instruction]:
    """Every instruction of the Containerfile, in order, each on one line."""
    lines = [line for line in (ROOT / "Containerfile").read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def arguments(name: str) -> list[str]:
    return [instruction.arguments for instruction in instructions() if instruction.name == name]


def copied() -> list[Path]:
    """Paths in the repository that are copied into the image."""
    sources = [source for copy in arguments("COPY") for source in shlex.split(copy)[:-1]]
    return [ROOT / source for source in sources]


def pins() -> dict[str, Version]:
    lines = [line for line in (ROOT / CONSTRAINTS).read_text().splitlines() if not line.startswith("#")]
    found = [line.split("==") for line in lines]
    return {canonicalize_name(name): Version(version) for name, version in found}


def direct_dependencies() -> list[Requirement]:
    """What `.[cluster]` installs, its extras among them."""
    project = PROJECT["project"]
    return [Requirement(text) for text in project["dependencies"]] + of_extra("cluster")


def of_extra(extra: str) -> list[Requirement]:
    """What one extra adds, with what the extras that it names add."""
    found = []
    for part in map(Requirement, PROJECT["project"]["optional-dependencies"][extra]):
        if part.name == PROJECT["project"]["name"]:
            found += [needed for inner in sorted(part.extras) for needed in of_extra(inner)]
        else:
            found.append(part)
    return found


def test_instructions_are_known_and_begin_with_a_python_that_the_package_supports():
    first, *rest = instructions()
    assert {instruction.name for instruction in rest} <= KNOWN - {"FROM"}
    version = re.fullmatch(r"docker\.io/library/python:(3\.\d+)-slim", first.arguments)[1]
    assert version in Requirement(f"python{PROJECT['project']['requires-python']}").specifier


def test_what_is_copied_exists_and_is_in_the_build_context():
    ignored = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    kept = {line[1:] for line in ignored if line.startswith("!")}
    assert ignored[0] == "*"
    assert copied()
    for path in copied():
        assert path.exists(), path
        assert path.relative_to(ROOT).parts[0] in kept
    assert kept == {path.relative_to(ROOT).parts[0] for path in copied()}


def test_everything_that_the_wheel_is_built_from_is_copied_before_it_is_installed():
    wheel = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    project = PROJECT["project"]
    needed = [
        "pyproject.toml",
        project["readme"],
        *project["license-files"],
        *wheel["packages"],
        *wheel["force-include"],
    ]
    (install,) = [i for i, (name, text) in enumerate(instructions()) if name == "RUN" and "'.[cluster]'" in text]
    before = [shlex.split(text)[:-1] for name, text in instructions()[:install] if name == "COPY"]
    assert set(needed) <= {source for sources in before for source in sources}


def test_every_pip_install_has_the_constraints():
    installs = [text for text in arguments("RUN") if "pip install" in text]
    assert installs
    assert all(f"--constraint {CONSTRAINTS}" in text for text in installs)


@pytest.mark.parametrize("requirement", direct_dependencies(), ids=lambda requirement: requirement.name)
def test_a_direct_dependency_is_pinned_within_its_range(requirement):
    pinned = pins().get(canonicalize_name(requirement.name))
    assert pinned is not None, "write the constraints again: make constraints"
    assert requirement.specifier.contains(pinned, prereleases=True)


def test_versions_are_exact_and_on_public_indexes():
    assert all(version.local is None for version in pins().values())
    assert str(pins()["ray"]) == RAY_VERSION


def test_the_container_runs_unlearn_as_a_user_who_is_not_root():
    (user,) = arguments("USER")
    assert any(
        f'useradd --uid 1000 --home-dir "$HOME" --create-home --shell /bin/bash {user}' in run
        for run in arguments("RUN")
    )
    assert user != "root"
    position = [name for name, _ in instructions()]
    assert position.index("USER") > max(i for i, name in enumerate(position) if name == "RUN")
    (entry,) = arguments("ENTRYPOINT")
    assert json.loads(entry)[0] in PROJECT["project"]["scripts"]


def test_the_environment_has_the_home_of_the_launchers_and_leaves_the_hub_reachable():
    environment = dict(word.split("=", 1) for text in arguments("ENV") for word in shlex.split(text))
    assert environment["HOME"] == IMAGE_HOME
    assert "HF_HUB_OFFLINE" not in environment


def test_programs_that_clusters_call_are_installed():
    (packages,) = [text for text in arguments("RUN") if "apt-get install" in text]
    assert {"openssh-client", "rsync", "wget"} <= set(packages.split())


def test_shellcheck_accepts_every_run_instruction(tmp_path, shellcheck):
    script = tmp_path / "run.sh"
    script.write_text("#!/bin/sh\nset -e\n" + "\n".join(arguments("RUN")) + "\n")
    shellcheck(script)
