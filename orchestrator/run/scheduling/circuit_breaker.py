"""Stops a launch whose trials fail one after another for the same reason."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.errors import LeaseLost, ParentLost
from orchestrator.plan.spec import TrialSpec
from orchestrator.results.storage import says_no_room

ERROR_LIMIT = 5
_VARYING = re.compile(r"(?:/[\w.@+~-]+)+/?|0x[0-9a-fA-F]+|\b(?=\w*\d)[0-9a-f]{8,}\b|\d+(?:\.\d+)?(?:e[+-]?\d+)?")
Kind = tuple[str, str, str, str]


def error_signature(error: str) -> str:
    """Return an error's last line without what differs between trials: numbers, paths, addresses, ids."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    return _VARYING.sub("#", lines[-1])[:300] if lines else "an error without a message"


def is_full_disk(error: str) -> bool:
    """Return whether a disk or a quota is full, which is no trial's fault and would stop every other trial too."""
    return says_no_room(error)


def is_retryable(error: BaseException) -> bool:
    """Return whether an error of the moment may be gone if the same trial runs again at once.

    If not, the dispatcher decides: it runs the lost parent again, or stops the launch.
    """
    return not (isinstance(error, (ParentLost, LeaseLost)) or is_full_disk(str(error)))


@dataclass
class Breaker:
    """Counts failures by the signature of their error.

    A failure counts until a trial of its kind (stage, task, backbone and method) ends without an error, so that an
    error that comes and goes does not stop a launch. Failures of all kinds are added up, so that a broken machine is
    noticed as early as a broken method.
    """

    limit: int = ERROR_LIMIT  # failures with one signature; 0: never stop
    _failed: dict[str, dict[str, Kind]] = field(default_factory=dict)

    def record(self, spec: TrialSpec, row: Mapping[str, Any]) -> str:
        """Record a row; return why to stop, or an empty text."""
        kind = (spec.stage, spec.task.title, spec.backbone.title, spec.method_name)
        if row["status"] != "failed":
            for failed in self._failed.values():
                for trial_id in [t for t, failed_kind in failed.items() if failed_kind == kind]:
                    del failed[trial_id]
            return ""
        error = error_signature(str(row.get("error") or ""))
        failed = self._failed.setdefault(error, {})
        failed[spec.trial_id] = kind
        if not self.limit or len(failed) < self.limit:
            return ""
        lines = ", ".join(sorted({f"{line} on {task}, {backbone}" for _, task, backbone, line in failed.values()}))
        return (
            f"the same error in {len(failed)} trials ({lines}), and none of their kind finished in between: {error}\n"
            f"Fix it, then give the same command with --retry failed; --error-limit 0 continues whatever fails. "
            f"`unlearn status` shows the trials"
        )
