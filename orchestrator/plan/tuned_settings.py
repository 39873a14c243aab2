"""Read and write lock files: the settings that a search chose, which sweeps use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from orchestrator.plan.yaml_text import YamlError, dump_yaml, load_yaml

EVERY = "*"  # in place of a backbone: the choice is for all of them
LATER = (
    "lora",
    "training",
    "best_epoch",
    "given",
    "known_share",
    "size",
    "budget",
    "corpus",
    "tuned_on",
)  # in the file only if they are set


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
    given: Mapping[str, Any] = field(default_factory=dict)  # settings, modifiers' too, of the variant that it is for
    known_share: float | None = None  # of wrong labels; None: all requests of the kind
    size: Mapping[str, Any] = field(default_factory=dict)  # {num_classes: 10}; empty: one, or whatever none is for
    budget: float | None = None  # fraction of the time budget; None: all
    corpus: str = ""  # fingerprint of the recordings that `tune_on` named; empty: the task's own
    tuned_on: Mapping[str, Any] = field(default_factory=dict)  # `tune_on` of the task

    @property
    def rank(self) -> tuple[bool, bool, bool, bool, bool, int]:
        """How specific it is: training, backbone, share, size, budget, variant."""
        of = self.known_share is not None, bool(self.size), self.budget is not None
        return bool(self.training), self.backbone != EVERY, *of, len(self.given)


@dataclass(frozen=True)
class Lock:
    """All choices of a search, and its rule."""

    rule: str = ""
    trials: int = 0
    seeds: tuple[int, ...] = ()
    choices: tuple[Choice, ...] = field(default=())

    def choice(
        self,
        task: str,
        backbone: str,
        unlearning: str,
        method: str,
        *,
        modifiers: Mapping[str, Mapping[str, Any] | None],
        training: str = "standard",
        known_share: float | None = None,
        size: Mapping[str, Any] | None = None,
        budget: float | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Choice | None:
        """Return what was chosen for a method variant with these settings; None if the search did not include it.

        The most specific choice wins: one for the training, then for the backbone, the share of known wrong labels, the
        size of the request (`size_of`), the budget, and the settings that the sweep gives. The curriculum does not
        matter: variants with and without it have the same settings, so that they differ in the order alone.
        """
        applied = (bool(modifiers.get(name)) for name in ("superloss", "lora", "best_epoch"))
        wanted, own = (task, unlearning, method, *applied), {**(settings or {}), **settings_of_modifiers(modifiers)}
        found = [
            c
            for c in reversed(self.choices)
            if (c.task, c.unlearning, c.method, c.superloss, c.lora, c.best_epoch) == wanted
            and c.training in (training, "")
            and c.backbone in (backbone, EVERY)
            and c.known_share in (known_share, None)
            and (not c.size or dict(c.size) == dict(size or {}))
            and c.budget in (budget, None)
            and all(own.get(name) == value for name, value in c.given.items())
        ]
        return max(found, key=lambda c: c.rank, default=None)

    def said_of(self, choice: Choice, size: Mapping[str, Any]) -> str:
        """Return what a row of a request says of its settings: the rule, and the recordings if not the task's own."""
        rule = f"{self.rule} (not for requests of this size)" if size and not choice.size else self.rule
        return f"{rule} on corpus {choice.corpus}" if choice.corpus else rule


def settings_of_modifiers(modifiers: Mapping[str, Mapping[str, Any] | None]) -> dict[str, Any]:
    """Return the settings of modifiers by name, such as `superloss.strength`."""
    return {f"{name}.{key}": value for name, settings in modifiers.items() for key, value in (settings or {}).items()}


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
        return _lock_of(path.read_text(encoding="utf-8"))
    except YamlError as error:
        raise ValueError(f"{path}: {error}") from None
    except (TypeError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(
            f"{path} is not a lock file: {error}; create one with `unlearn tune SWEEP --lock {path.name}`"
        ) from None


@lru_cache(maxsize=8)  # YAML of this size takes a second, and many sweeps share a lock file
def _lock_of(text: str) -> Lock:
    values = load_yaml(text)
    choices = tuple(Choice(**choice) for choice in values["choices"])
    return Lock(str(values["rule"]), int(values["trials"]), tuple(values["seeds"]), choices)


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
                **{name: value for name in LATER if (value := getattr(c, name))},
            }
            for c in lock.choices
        ],
    }
    scratch = path.with_name(f".{path.name}.tmp")
    scratch.write_text(
        "# Written by `unlearn tune`; a sweep reads it with `lock:`.\n" + dump_yaml(values), encoding="utf-8"
    )
    scratch.replace(path)
