"""Read and write lock files: the settings that a search chose, which sweeps use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.plan.yaml_text import YamlError, dump_yaml, load_yaml

EVERY = "*"  # in place of a backbone: the choice is for all of them


@dataclass(frozen=True)
class Choice:
    """The settings that were chosen for a method variant on one task, backbone and kind of scenario."""

    task: str
    backbone: str
    unlearning: str
    method: str
    superloss: bool
    settings: Mapping[str, Any]
    objective: float | None = None  # of the chosen trial; smaller is better
    default_objective: float | None = None  # of the first trial, which has the defaults of the method
    lora: bool = False
    training: str = ""  # title of the training whose originals it is for; empty: all
    best_epoch: bool = False


@dataclass(frozen=True)
class Lock:
    """All choices of a search, and its rule."""

    rule: str = ""
    trials: int = 0
    seeds: tuple[int, ...] = ()
    choices: tuple[Choice, ...] = field(default=())

    def settings(
        self,
        task: str,
        backbone: str,
        unlearning: str,
        method: str,
        *,
        modifiers: Mapping[str, Mapping[str, Any] | None],
        training: str = "standard",
    ) -> Mapping[str, Any] | None:
        """Return the chosen settings of a method variant; None if the search did not include it.

        A choice for the training overrides one for all trainings; then a choice for the backbone overrides one for
        all backbones. The curriculum does not matter: variants with and without it have the same settings, so that
        they differ in the order alone.
        """
        applied = (bool(modifiers.get(name)) for name in ("superloss", "lora", "best_epoch"))
        wanted = (task, unlearning, method, *applied)
        found = {
            (c.training, c.backbone): c.settings
            for c in self.choices
            if (c.task, c.unlearning, c.method, c.superloss, c.lora, c.best_epoch) == wanted
        }
        places = [(of, on) for of in (training, "") for on in (backbone, EVERY)]
        return next((found[place] for place in places if place in found), None)


def read_lock(path: Path) -> Lock:
    """Read a lock file.

    Raises:
        ValueError: it does not exist, or is not a lock file.
    """
    if not path.is_file():
        raise ValueError(
            f"no lock file {path}; create it with `unlearn tune SWEEP --lock {path.name}`, or remove `lock:`"
        )
    try:
        values = load_yaml(path.read_text(encoding="utf-8"))
        choices = tuple(Choice(**choice) for choice in values["choices"])
        return Lock(str(values["rule"]), int(values["trials"]), tuple(values["seeds"]), choices)
    except YamlError as error:
        raise ValueError(f"{path}: {error}") from None
    except (TypeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a lock file: {error}; create one with `unlearn tune SWEEP --lock {path.name}`"
        ) from None


def write_lock(path: Path, lock: Lock) -> None:
    """Write a lock file atomically."""
    values = {
        "rule": lock.rule,
        "trials": lock.trials,
        "seeds": list(lock.seeds),
        "choices": [
            {
                "task": c.task,
                "backbone": c.backbone,
                "unlearning": c.unlearning,
                "method": c.method,
                "superloss": c.superloss,
                "settings": dict(c.settings),
                "objective": c.objective,
                "default_objective": c.default_objective,
                **({"lora": True} if c.lora else {}),
                **({"training": c.training} if c.training else {}),
                **({"best_epoch": True} if c.best_epoch else {}),
            }
            for c in lock.choices
        ],
    }
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(
        "# Written by `unlearn tune`; a sweep reads it with `lock:`.\n" + dump_yaml(values), encoding="utf-8"
    )
    scratch.replace(path)
