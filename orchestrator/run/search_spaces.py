"""The settings that `unlearn tune` searches for a method, and their table in docs/tuning.md.

A method declares its own space, `search_space`; a sweep can replace it with `tuning.spaces`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from typing import Any

from methods.engine.rates import SHARES
from orchestrator import plugins
from orchestrator.plan.method_variants import preset_name
from orchestrator.plan.sweep_schema import Sweep, SweepError
from orchestrator.run.scheduling.optuna_study import holds

RATE_OF = {share: rate for rate, share in SHARES.items()}
SCHEDULE_SPACE: Mapping[str, list[Any]] = {
    "retain_share": [0.2, 0.3, 0.5, 1.0],
    "retain_drawn": ["once", "each_epoch"],
    "rate_schedule": ["constant", "falling"],
}
"""What `tuning.schedule: searched` adds to the space of each method that has these settings."""


def space_of(method: str, sweep: Sweep, given_settings: Collection[str] | None = None) -> dict[str, Any]:
    """Return the space that is searched for a method: `tuning.spaces` or its own, without what the sweep fixes.

    Args:
        method: its name.
        sweep: with `tuning`.
        given_settings: names of the settings that one variant of the method has; by default of all its variants.

    Raises:
        SweepError: a space names a setting that the method does not have, or a rate and its share at once, or it does
            not contain the method's default, with which a search starts. The default of an `auto` rate is not checked,
            as it is known only when the original is trained; nor that of a setting left to the methods that RUM runs.
    """
    own: Mapping[str, Any] = plugins.plugin_class("methods", method).search_space
    given = sweep.tuning.spaces.get(method)
    space, defaults = dict(own if given is None else given), plugins.load("methods", method)
    known = [f.name for f in fields(defaults)]
    if sweep.tuning.schedule == "searched" and space:
        space |= {k: v for k, v in SCHEDULE_SPACE.items() if k in known and k not in (given or {})}
    if unknown := [name for name in space if name not in known]:
        raise SweepError(
            f"tuning.spaces.{method} names settings that the method does not have: got {', '.join(unknown)}; "
            f"choose from {', '.join(known)}"
        )
    for share, rate in RATE_OF.items():
        if {share, rate} <= set(space):
            raise SweepError(
                f"tuning.spaces.{method} has a rate and its share, which scales it: got {rate} and {share}; "
                "remove one of them"
            )
    for name, values in space.items():
        if len(values) == 2 and all(isinstance(value, float) for value in values) and values[0] >= values[1]:
            raise SweepError(
                f"tuning.spaces.{method}.{name} has bounds in the wrong order: got {list(values)}; two fractions are "
                "bounds, the lower one first. Swap them, or give at least three choices"
            )
    every = {name for e in sweep.methods if preset_name(e) == method for name in e.settings}
    fixed = every if given_settings is None else set(given_settings)
    fixed |= {other for pair in SHARES.items() if fixed & set(pair) for other in pair}
    space = {k: tuple(v) if _are_bounds(v) else v for k, v in space.items() if k not in fixed}
    for name, values in space.items():
        default = getattr(defaults, name)
        if default not in ("auto", None) and not holds(values, default):
            raise SweepError(
                f"tuning.spaces.{method}.{name} must contain the method's default, with which a search starts: got "
                f"{list(values)} without {default}; add it"
            )
    return space


def _are_bounds(values: Sequence[Any]) -> bool:
    return len(values) == 2 and all(isinstance(v, float) for v in values)


def space_table() -> str:
    """Return the Markdown table of the methods that have a search space."""
    lines = ["| method | default space |", "|---|---|"]
    for name in plugins.names("methods"):
        if space := plugins.plugin_class("methods", name).search_space:
            lines.append(f"| `{name}` | {', '.join(f'`{k}` {_in_words(values)}' for k, values in space.items())} |")
    return "\n".join(lines)


def _in_words(values: Sequence[Any]) -> str:
    words = [str(value).lower() if isinstance(value, bool) else f"{value:g}" for value in values]
    return (" … " if isinstance(values, tuple) else ", ").join(words)
