"""The share of members is what was planted; where members look like everybody else there is none."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.member_share import FEWEST, member_share


def drawn(rng: np.random.Generator, n: int, share: float, apart: float) -> np.ndarray:
    """n points of which `share` are of members, whose center is `apart` from that of the others."""
    points = rng.normal(size=(n, 6))
    points[: round(share * n), 0] += apart
    return points


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_planted_share_is_found_on_average_and_by_its_interval(share) -> None:
    found = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        found.append(member_share(*(drawn(rng, 60, s, 2.0) for s in (share, 1.0, 0.0)), seed=seed))
    assert np.mean([f.value for f in found]) == pytest.approx(share, abs=0.06)
    assert np.mean([f.low <= share <= f.high for f in found]) >= 0.8


def test_where_members_cannot_be_told_from_unseen_recordings_there_is_no_share() -> None:
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        found.append(member_share(*(drawn(rng, 30, 1.0, 0.0) for _ in range(3)), seed=seed).value)
    assert np.mean(np.isnan(found)) > 0.85  # 95 % on average


def test_few_utterances_and_vectors_without_values_give_none() -> None:
    rng = np.random.default_rng(0)
    f, m, u = (drawn(rng, 60, s, 4.0) for s in (1.0, 1.0, 0.0))
    assert not np.isnan(member_share(f, m, u, seed=0).value)
    assert np.isnan(member_share(f[: FEWEST - 1], m, u, seed=0).value)
    assert np.isnan(member_share(np.full_like(f, np.inf), m, u, seed=0).value)
    assert np.isnan(member_share(f, np.zeros_like(m), np.zeros_like(u), seed=0).value)
