from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from methods.bad_teacher import BadTeacher
from methods.engine.setting_rules import LATER, added_later, recipe_settings
from methods.modifiers.superloss import SuperLoss
from methods.random_label import RandomLabel
from methods.unheard import Unheard
from orchestrator import plugins
from orchestrator.catalog import described
from orchestrator.plan.method_variants import method_plugin
from orchestrator.plan.setting_schemas import setting_schemas


@dataclass(frozen=True, kw_only=True)
class Plugin:
    old: int = 1
    new: float = added_later(0.5)


def test_a_setting_that_was_added_later_is_in_a_recipe_only_if_it_is_changed():
    assert recipe_settings(Plugin()) == {"old": 1}
    assert recipe_settings(Plugin(new=0.5, old=2)) == {"old": 2}
    assert recipe_settings(Plugin(new=0.25)) == {"old": 1, "new": 0.25}
    assert "shuffled" not in recipe_settings(SuperLoss())
    assert recipe_settings(SuperLoss(shuffled=True))["shuffled"]


def test_a_method_with_its_default_has_the_recipe_of_one_that_leaves_it_out():
    plain = method_plugin("random_label", {})
    assert "retain_share" not in plain.settings
    assert method_plugin("random_label", {"retain_share": 1.0, "rate_schedule": "constant"}).key == plain.key
    changed = method_plugin("random_label", {"retain_share": 0.3})
    assert changed.settings["retain_share"] == changed.identity["retain_share"] == 0.3
    assert changed.key != plain.key


def test_it_is_as_known_as_any_other_setting():
    with pytest.raises(ValueError, match=r"got 'retain_shar' \(did you mean 'retain_share'"):
        plugins.load("methods", "random_label", retain_shar=0.3)
    assert described("methods", "random_label")[1]["retain_share"] == 1.0
    schema = setting_schemas(RandomLabel)["retain_share"]
    assert schema["default"] == 1.0
    assert "drawn anew" in schema["description"]


def test_every_setting_that_was_added_later_can_be_given():
    for name in plugins.names("methods"):
        method = plugins.load("methods", name)
        for f in fields(method):
            if f.metadata.get(LATER):
                assert recipe_settings(plugins.load("methods", name, **{f.name: f.default})) == recipe_settings(method)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomLabel(retain_share=0.0), r"retain_share must be in \(0, 1\], got 0.0"),
        (lambda: RandomLabel(rate_schedule="cosine"), "rate_schedule must be constant or falling, got 'cosine'"),
        (lambda: BadTeacher(retain_drawn="never"), "retain_drawn must be once or each_epoch, got 'never'"),
        (lambda: Unheard(validation_share=1.5), r"validation_share must be in \(0, 1\], got 1.5"),
        (lambda: Unheard(validation_rule="best"), "validation_rule must be random or easiest or hardest, got 'best'"),
        (lambda: Unheard(validation_rule="easiest"), "got 'easiest' and validation_share 1; set a share"),
        (lambda: Unheard(target_rule="soft"), "target_rule must be one of borrowed, hard.*got 'soft'"),
        (lambda: RandomLabel(epochs=-1), "epochs must be 0 or more, got -1"),
    ],
)
def test_a_setting_out_of_range_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
