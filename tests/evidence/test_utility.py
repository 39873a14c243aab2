"""ToW and CGUM at their known points."""

from __future__ import annotations

import math

import pytest

from orchestrator.evidence.utility import conjunctive_gum, tug_of_war

RETRAINED = {"forget": 0.9, "retain": 0.99, "test": 0.92}


def gum(**changes) -> float:
    values = {"macro_f1": (0.9, 0.9), "attack": (0.52, 0.52, 0.62), "seconds": (10.0, 99.0), "num_classes": 12}
    return conjunctive_gum(**{**values, **changes})


def test_retrain_itself_has_a_tow_of_one() -> None:
    assert tug_of_war(RETRAINED, RETRAINED) == 1.0


def test_tow_multiplies_what_is_left_of_each_accuracy() -> None:
    other = {"forget": 0.7, "retain": 0.94, "test": 0.82}
    assert tug_of_war(other, RETRAINED) == pytest.approx(0.8 * 0.95 * 0.9)


def test_cgum_is_the_harmonic_mean_of_its_three_parts() -> None:
    efficiency = 1 - math.log(11) / math.log(100)
    assert gum() == pytest.approx(3 / (1 + 1 + 1 / efficiency))
    half = gum(macro_f1=((0.9 + 1 / 12) / 2, 0.9), attack=(0.57, 0.52, 0.62), seconds=(9.0, 99.0))
    assert half == pytest.approx(0.5)


def test_cgum_is_zero_when_one_part_is() -> None:
    assert gum(attack=(0.62, 0.52, 0.62)) == 0.0  # as exposed as Original
    assert gum(seconds=(99.0, 99.0)) == 0.0  # as slow as Retrain
    assert gum(macro_f1=(1 / 12, 0.9)) == 0.0  # as good as chance


def test_cgum_does_not_exist_where_original_and_retrain_do_not_differ() -> None:
    assert math.isnan(gum(attack=(0.5, 0.52, 0.52)))
    assert math.isnan(gum(attack=(math.nan, 0.52, 0.62)))
