"""The class of device for each trial on a mixed cluster: budgets in seconds are comparable within one class only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from orchestrator.plan.cost import trial_seconds
from orchestrator.plan.spec import TrialSpec

PREFIX = "accelerator_type:"  # Ray names a node's GPU model by a resource of this kind
SHARE = 0.001  # of that resource, which every node has once: enough to select the node


def device_classes(
    specs: Iterable[TrialSpec], available: Mapping[str, float], measured: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str], str]:
    """Return the resource to request by task and backbone, for budgets in seconds on more than one class of GPU.

    All trials of one task and backbone run on one class, so that the seconds charged to Retrain are valid for the
    methods compared with it. It is the class that Retrain ran on according to `measured` (device by task and backbone),
    else the one with the least work per node. Empty if the cluster has one class, or no budget is in seconds.
    """
    nodes = {name: count for name, count in available.items() if name.startswith(PREFIX) and count > 0}
    specs = list(specs)
    if len(nodes) < 2 or not any(spec.budget and spec.budget["unit"] == "seconds" for spec in specs):
        return {}
    work: dict[tuple[str, str], float] = {}
    for spec in specs:
        work[family(spec)] = work.get(family(spec), 0.0) + trial_seconds(spec)
    load, chosen = dict.fromkeys(sorted(nodes), 0.0), {}
    for name, seconds in sorted(work.items(), key=lambda item: (-item[1], item[0])):
        known = [kind for kind in load if kind.removeprefix(PREFIX).partition("-")[0] in measured.get(name, "")]
        chosen[name] = min(known or load, key=lambda kind: ((load[kind] + seconds) / nodes[kind], kind))
        load[chosen[name]] += seconds
    return chosen


def family(spec: TrialSpec) -> tuple[str, str]:
    """Return what trials must share to be compared with each other: task and backbone."""
    return spec.task.title, spec.backbone.title
