"""One number for forgetting, utility and cost together: ToW and CGUM; each hides which of them is missing."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np


def tug_of_war(accuracies: Mapping[str, float], retrained: Mapping[str, float]) -> float:
    """Compute ToW = Π (1 − |accuracy − Retrain's|) over D_f, D_r and D_t, in 0-1; 1 for Retrain itself.

    Source: Zhao et al. 2024 (RUM, arXiv 2406.01257). Ignores time and membership, and reads small
    differences of large accuracies: where Original scores near 1, so does doing nothing.
    """
    return float(np.prod([1 - abs(accuracies[name] - retrained[name]) for name in ("forget", "retain", "test")]))


def conjunctive_gum(
    *,
    macro_f1: tuple[float, float],
    attack: tuple[float, float, float],
    seconds: tuple[float, float],
    num_classes: int,
) -> float:
    """Compute CGUM = 3 U E T / (E T + U T + U E) in 0-1: harmonic mean of utility, efficacy and efficiency (α = β = 1).

    U = (F1 − 1/C) / (F1_retrain − 1/C), E = 1 − |attack − attack_retrain| / |attack_original − attack_retrain|,
    T = 1 − log(t + 1) / log(t_retrain + 1), each cut to 0-1. Source: UnSLU-BENCH (arXiv 2505.15700) and its extension.

    Differs: attacks are not saturated before they are compared; the cut of E bounds them.
    Limits: E has no meaning where Original and Retrain hardly differ under the attack: NaN where they do not differ at
    all, and noise where they almost do not. T rewards a method that does nothing, which E then punishes, if it can.

    Args:
        macro_f1: on D_t, of the unlearned model and of Retrain.
        attack: accuracy of an attack on D_f: of the unlearned model, Retrain and Original.
        seconds: charged optimization time of the method and of Retrain.
        num_classes: C.
    """
    chance = 1 / num_classes
    unlearned, retrained, original = attack
    numbers = (*macro_f1, *attack, *seconds)
    if any(math.isnan(n) for n in numbers) or original == retrained or macro_f1[1] <= chance or seconds[1] <= 0:
        return float("nan")
    u = _cut((macro_f1[0] - chance) / (macro_f1[1] - chance))
    e = _cut(1 - abs(unlearned - retrained) / abs(original - retrained))
    t = _cut(1 - math.log(seconds[0] + 1) / math.log(seconds[1] + 1))
    return 3 * u * e * t / (e * t + u * t + u * e) if u and e and t else 0.0


def _cut(value: float) -> float:
    return min(1.0, max(0.0, value))
