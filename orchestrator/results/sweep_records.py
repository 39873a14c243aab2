"""Record what launches on a results folder planned: one file per sweep name and plan, so that none is overwritten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from orchestrator.file_names import file_name
from orchestrator.results.sealed import read_sealed_json, sealed_json
from orchestrator.results.storage import Folder

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "sweeps"
SEARCH = ".tune"  # suffix of the name under which `unlearn tune` records the search of a sweep


@dataclass(frozen=True)
class SweepRecord:
    """Record of the trials that a launch of a sweep planned."""

    name: str
    plan: str  # first digits of the hash of its trial IDs
    values: Mapping[str, Any]  # merged values of the sweep file
    trials: tuple[str, ...]  # trial IDs
    planned_at: str  # UTC, of the last launch with this plan
    replaced: bool = False  # a later launch of the same name planned other trials

    @property
    def title(self) -> str:
        """`keywords`, or `keywords@1a2b3c4d` for a plan that a later one replaced."""
        return f"{self.name}@{self.plan}" if self.replaced else self.name

    @property
    def is_search(self) -> bool:
        """Whether `unlearn tune` planned it."""
        return self.name.endswith(SEARCH)


def record_sweep(files: Folder, name: str, values: Mapping[str, Any], trial_ids: Sequence[str]) -> None:
    """Record what a launch planned, so that `status` and `report` know what is missing; keep records of other plans."""
    plan = sha256("\n".join(sorted(set(trial_ids))).encode()).hexdigest()[:8]
    now = datetime.now(UTC).isoformat(timespec="microseconds")
    content = {"name": name, "plan": plan, "planned_at": now, "sweep": values, "trials": list(trial_ids)}
    files.write_bytes(f"{FOLDER}/{file_name(name, plan)}.json", sealed_json(content))


def recorded_sweeps(files: Folder) -> list[SweepRecord]:
    """Return the records sorted by name; of each name, the plan of the last launch comes first.

    An earlier plan is omitted if a later one contains all its trials; otherwise it is `replaced`. A record that cannot
    be read is set aside with a warning, and the next `run` writes it again.
    """
    found: dict[str, list[SweepRecord]] = {}
    for name in files.names(FOLDER):
        try:
            values = read_sealed_json(files.read_bytes(f"{FOLDER}/{name}") or b"")
            one = SweepRecord(
                str(values["name"]),
                str(values["plan"]),
                values["sweep"],
                tuple(values["trials"]),
                str(values["planned_at"]),
            )
        except (ValueError, KeyError, TypeError) as error:
            files.set_aside(f"{FOLDER}/{name}", error)
            continue
        found.setdefault(one.name, []).append(one)
    records = []
    for name in sorted(found):
        last, *earlier = sorted(found[name], key=lambda one: (one.planned_at, one.plan), reverse=True)
        records.append(last)
        later = [set(last.trials)]
        for one in earlier:
            if not any(plan.issuperset(one.trials) for plan in later):
                records.append(replace(one, replaced=True))
                later.append(set(one.trials))
    return records


def with_sweeps(rows: pd.DataFrame, records: Iterable[SweepRecord]) -> pd.DataFrame:
    """Add the column `sweeps`: the titles of all plans that contain the trial, joined by commas.

    A trial that no record contains, such as one of an archive, gets the sweep that ran it.
    """
    titles: dict[str, list[str]] = {}
    for record in records:
        for trial in record.trials:
            titles.setdefault(trial, []).append(record.title)
    ran_by = rows["sweep"].fillna("")
    found = [",".join(titles.get(trial, [])) or own for trial, own in zip(rows["trial_id"], ran_by, strict=True)]
    import pandas as pd

    return rows.assign(sweeps=pd.Series(found, index=rows.index, dtype=object))


def only_in_replaced(records: Iterable[SweepRecord]) -> set[str]:
    """Return the IDs of the trials that only replaced plans contain."""
    records = list(records)
    current = {trial for record in records if not record.replaced for trial in record.trials}
    return {trial for record in records if record.replaced for trial in record.trials} - current


def records_of(records: Sequence[SweepRecord], sweep: str) -> list[SweepRecord]:
    """Return the records of a sweep and of its search.

    Args:
        records: all records of a results folder.
        sweep: a name, or the title of a replaced plan (`keywords@1a2b3c4d`).
    """
    return [record for record in records if record.title in (sweep, sweep + SEARCH)]
