"""Make `.venv` for this checkout, from dependencies that all checkouts of this machine share.

Dependencies are installed once per interpreter and list of requirements, below `$UNLEARN_VENVS` (default: the user's
cache folder). `.venv` takes seconds: it imports from that environment, has its commands, and adds the project itself.
`.venv/.installed` links to the marker of a whole environment, so `make` notices when someone deletes the environment.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
EXTRAS = ("train", "ray", "tensorboard", "mlflow", "wandb", "docs", "dev")


def requirements(checkout: Path) -> list[str]:
    """Read what the project needs to be built, run and tested."""
    import tomllib  # new in Python 3.11

    settings = tomllib.loads((checkout / "pyproject.toml").read_text())
    project = settings["project"]
    build = [*settings["build-system"]["requires"], "editables"]  # hatchling imports it for editable installs
    extras = [line for name in EXTRAS for line in project["optional-dependencies"][name]]
    return [*build, *project["dependencies"], *extras]


def cache_folder() -> Path:
    """Say where environments with dependencies are kept."""
    if chosen := os.environ.get("UNLEARN_VENVS"):
        return Path(chosen).expanduser().resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "speech-unlearning" / "venvs"


def install_dependencies(needed: list[str], folder: Path) -> None:
    """Install the requirements into a new virtual environment, whatever an interrupted installation left there."""
    print(f"Installing dependencies into {folder}: about 6 GB, once per pyproject.toml and Python version", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    command = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-compile", "--upgrade"]
    subprocess.run([*command, "pip"], check=True)
    subprocess.run([*command, *needed], check=True)
    # Compiled by all cores; pip uses one. Where PYTHONDONTWRITEBYTECODE is set, each process would compile what it
    # imports, which takes longer than importing it. Files of other Python versions, which some packages ship, fail.
    compiled = [folder / "bin" / "python", "-m", "compileall", "-q", "-j", "0", site_packages(folder)]
    subprocess.run(compiled, check=False, stdout=subprocess.DEVNULL)


def site_packages(folder: Path) -> Path:
    """Return the folder that a virtual environment imports from."""
    return folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def install_project(checkout: Path, dependencies: Path) -> None:
    """Make a checkout's environment: the modules and commands of its dependencies, and the project in place."""
    folder = checkout / ".venv"
    venv.create(folder, clear=True, with_pip=False)
    link = f"import site; site.addsitedir({str(site_packages(dependencies))!r})\n"
    (site_packages(folder) / "dependencies.pth").write_text(link)
    for command in sorted((dependencies / "bin").iterdir()):
        ours = folder / "bin" / command.name
        if ours.exists() or command.name.startswith(("python", "activate", "Activate")):
            continue
        content = command.read_bytes()
        if content.startswith(b"#!"):  # its first lines name the interpreter
            content = content.replace(bytes(dependencies / "bin"), bytes(folder / "bin"))
        ours.write_bytes(content)
        shutil.copymode(command, ours)
    pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--no-build-isolation", "--editable", checkout], check=True)


def main(checkout: Path = CHECKOUT) -> None:
    """Install what is missing; wait for another checkout that installs the same."""
    needed = requirements(checkout)
    key = hashlib.sha256(repr((needed, sys.version, sys.base_prefix)).encode()).hexdigest()[:16]
    dependencies = cache_folder() / key
    whole = dependencies / ".whole"
    dependencies.parent.mkdir(parents=True, exist_ok=True)
    with dependencies.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            install_dependencies(needed, dependencies)
        install_project(checkout, dependencies)
        whole.touch()  # newer than the pyproject.toml of every checkout that uses it
    (checkout / ".venv" / ".installed").symlink_to(whole)


if __name__ == "__main__":
    if sys.version_info < (3, 11):  # noqa: UP036 - this runs before anything checks it
        sys.exit(
            f"Python 3.11 or newer is needed; got {sys.version.split()[0]}. Choose one: make PYTHON=python3.12 setup"
        )
    main()
