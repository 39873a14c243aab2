"""Similarity of attributions at its known points."""

from __future__ import annotations

import numpy as np
import pytest

from orchestrator.evidence.attribution import attribution_similarity


def test_similarity_counts_direction_and_not_scale() -> None:
    maps = np.array([[1.0, -2.0, 0.5], [0.0, 1.0, 0.0]])
    assert attribution_similarity(maps, 7 * maps) == pytest.approx([1.0, 1.0])
    assert attribution_similarity(maps, -maps) == pytest.approx([-1.0, -1.0])
    assert attribution_similarity(np.array([[1.0, 0.0]]), np.array([[0.0, 3.0]])) == pytest.approx([0.0])


def test_nothing_attributed_has_no_similarity_and_other_shapes_are_refused() -> None:
    assert np.isnan(attribution_similarity(np.zeros((1, 3)), np.ones((1, 3)))).all()
    with pytest.raises(ValueError, match=r"got \(1, 3\) and \(1, 2\)"):
        attribution_similarity(np.zeros((1, 3)), np.zeros((1, 2)))
