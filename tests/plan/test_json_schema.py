from __future__ import annotations

import json
import sys

import jsonschema
import pytest
from ruamel.yaml import YAML

from orchestrator import plugins
from orchestrator.cli import main
from orchestrator.plan.json_schema import sweep_json_schema
from orchestrator.plan.setting_schemas import setting_docs
from orchestrator.plan.shipped_sweeps import shipped_sweeps
from orchestrator.plan.sweep_file import read_sweep

SMALL = """
name: small
tasks: [{name: espeak_keywords, clips: 240}]
backbones: [logmel_cnn]
unlearning: [{kind: sample, forget_ratio: [0.05, 0.1]}, {kind: class, classes: [yes, 7]}]
methods: [original, retrain, {name: scrub, epochs: [1, 2], superloss: {strength: [1, 10]}, lora: true}]
seeds: [0]
training: [{epochs: 2}, closed_form_head, {kind: early_checkpoints, keep_at: [0.5]}]
"""


@pytest.fixture(scope="module")
def schema():
    made = sweep_json_schema()
    jsonschema.Draft202012Validator.check_schema(made)
    return jsonschema.Draft202012Validator(made)


def values_of(text):
    """As an editor reads it: YAML 1.2, names that look like numbers are numbers."""
    return YAML(typ="safe", pure=True).load(text)


@pytest.mark.parametrize("name", shipped_sweeps())
def test_every_shipped_sweep_fits(schema, name):
    schema.validate(values_of(shipped_sweeps()[name].read_text()))


def test_a_small_sweep_fits_and_is_read(schema, tmp_path):
    schema.validate(values_of(SMALL))
    (tmp_path / "small.yaml").write_text(SMALL)
    read_sweep(tmp_path / "small.yaml")


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("name: small", "names: small"),
        ("seeds: [0]", "seeds: []"),
        ("seeds: [0]", "seeds: [-1]"),
        ("seeds: [0]", "seeds: [true]"),
        ("seeds: [0]", "clip_norm: 1.0"),
        ("clips: 240", "clip: 240"),
        ("clips: 240", "clips: many"),
        ("name: espeak_keywords", "name: espeak"),
        ("[logmel_cnn]", "[logmel]"),
        ("[logmel_cnn]", "[{name: logmel_cnn, checkpoint: x}]"),
        ("forget_ratio: [0.05, 0.1]", "forget_share: 0.1"),
        ("kind: class,", "kind: sample, forget_ratio: 0.1,"),
        ("kind: class,", "kind: word,"),
        ("epochs: [1, 2]", "epochs: []"),
        ("epochs: [1, 2]", "epoch: 1"),
        ("name: scrub", "name: influence"),
        ("name: scrub", "name: ssd, preset: mubench"),
        ("strength:", "strenght:"),
        ("{epochs: 2}", "{epochs: 0}"),
        ("{epochs: 2}", "{keep_at: [0.5]}"),
        ("kind: early_checkpoints", "kind: late_checkpoints"),
    ],
)
def test_a_broken_sweep_does_not_fit(schema, right, wrong):
    assert SMALL.count(right) == 1
    assert not schema.is_valid(values_of(SMALL.replace(right, wrong)))


def test_every_plug_in_has_its_name_and_settings(schema):
    for kind in ("tasks", "backbones", "methods"):
        entries = schema.schema["properties"][kind]["items"]["anyOf"]
        named = {entry["properties"]["name"]["const"]: entry for entry in entries if "properties" in entry}
        assert set(named) == set(plugins.names(kind))
        assert all(entry["description"] for entry in named.values())


def test_settings_are_described_by_the_comments_of_their_fields(schema):
    methods = schema.schema["properties"]["methods"]["items"]["anyOf"]
    scrub = next(entry for entry in methods if entry.get("properties", {}).get("name", {}).get("const") == "scrub")
    said = setting_docs(plugins.plugin_class("methods", "scrub"))["temperature"]
    assert said
    assert scrub["properties"]["temperature"]["description"] == said
    assert scrub["properties"]["temperature"]["default"] == 4.0


def test_a_preset_gives_other_settings(schema):
    sweep = values_of(SMALL)
    sweep["methods"][2] = {"name": "salun", "preset": "mubench", "corruption": "mirror"}
    assert schema.is_valid(sweep) == ("corruption" in setting_names("salun_mubench"))
    sweep["methods"][2] = {"name": "salun", "corruption": "mirror"}
    assert schema.is_valid(sweep) == ("corruption" in setting_names("salun"))


def setting_names(method):
    return plugins.plugin_class("methods", method).__dataclass_fields__


def test_the_command_prints_the_schema_or_writes_it(monkeypatch, capfd, tmp_path):
    for more in ([], ["--output", str(tmp_path / "s.json")]):
        monkeypatch.setattr(sys, "argv", ["unlearn", "schema", *more])
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code
    printed = capfd.readouterr().out.rpartition("schema: ")[0]
    assert json.loads(printed) == json.loads((tmp_path / "s.json").read_text()) == sweep_json_schema()
