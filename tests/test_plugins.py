from __future__ import annotations

import pytest

from orchestrator import plugins
from orchestrator.plan.method_variants import method_variants
from orchestrator.plan.sweep_schema import MethodEntry
from orchestrator.plan.tuned_settings import Choice, Lock, read_lock, write_lock


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        ("methods", "grad_ascent", {"learning_rate": float("nan")}),
        ("methods", "scrub", {"temperature": "inf"}),
        ("trainings", "early_checkpoints", {"keep_at": [0.2, float("nan")]}),
        ("tasks", "espeak_keywords", {"label_noise": {"share": 0.1, "seed": float("inf")}}),
        ("tasks", "audio_folder", {"root": ".", "max_seconds": float("inf")}),
    ],
)
def test_no_setting_of_a_plug_in_is_nan_or_infinite(kind, name, settings):
    with pytest.raises(ValueError, match=r"finite|got.*nan"):
        plugins.load(kind, name, **settings)


@pytest.mark.parametrize(
    ("kind", "name", "settings"),
    [
        ("methods", "scrub", {"learning_rate": True}),
        ("methods", "scrub", {"epochs": True}),
        ("trainings", "early_checkpoints", {"keep_at": [0.2, True]}),
        ("tasks", "espeak_keywords", {"clips": True}),
    ],
)
def test_a_boolean_is_no_number(kind, name, settings):
    with pytest.raises(ValueError, match=r"must be a number, got .*True"):
        plugins.load(kind, name, **settings)


@pytest.mark.parametrize("knob", [{"superloss": {"strength": [1.0, True]}}, {"lora": {"rank": True}}])
def test_a_boolean_is_no_number_of_what_is_laid_over_a_method(knob):
    with pytest.raises(ValueError, match=f"of {next(iter(knob))} must be a number, got True"):
        method_variants(MethodEntry.model_validate({"name": "scrub", **knob}))


@pytest.mark.parametrize("settings", [{"learning_rate": []}, {"superloss": {"strength": []}}])
def test_an_empty_list_of_values_does_not_drop_the_method(settings):
    with pytest.raises(ValueError, match="got an empty list"):
        method_variants(MethodEntry.model_validate({"name": "scrub", **settings}))


@pytest.mark.parametrize("knob", [{"superloss": {"strength": float("inf")}}, {"lora": {"alpha": float("nan")}}])
def test_nothing_laid_over_a_method_is_nan_or_infinite(knob):
    with pytest.raises(ValueError, match=f"of {next(iter(knob))} must be a finite number"):
        method_variants(MethodEntry.model_validate({"name": "scrub", **knob}))


@pytest.mark.parametrize(
    ("kind", "name", "settings", "said"),
    [
        ("tasks", "espeak_keywords", {"clips": "many"}, "setting 'clips' of task espeak_keywords: .*got 'many'"),
        ("tasks", "audio_folder", {"root": 7}, "setting 'root' of task audio_folder: .*got 7; quote it"),
        ("backbones", "whisper_tiny", {"checkpoint": 7}, "setting 'checkpoint' of backbone whisper_tiny: .*quote it"),
    ],
)
def test_settings_of_tasks_and_backbones_have_the_types_of_their_fields(kind, name, settings, said):
    with pytest.raises(ValueError, match=said):
        plugins.load(kind, name, **settings)


def test_equal_settings_of_a_task_name_one_corpus_however_they_are_written():
    made = [plugins.load("tasks", "espeak_keywords", holdout_share=share) for share in (0, 0.0, "0")]
    assert len({task.fingerprint() for task in made}) == 1


def test_a_lock_file_comes_back_as_it_was_written(tmp_path):
    chosen = Choice("no", "7", "class", "scrub", False, {"learning_rate": 1e-5, "order": "on"}, 0.25, None)
    lock = Lock("rewind", 3, (100,), (chosen, Choice("no", "7", "class", "npo", True, {"beta": 3.0}, 1e-7, 0.5)))
    write_lock(tmp_path / "l.yaml", lock)
    assert read_lock(tmp_path / "l.yaml") == lock


@pytest.mark.parametrize("text", ["rule: a\nrule: b\n", "choices: [1\n", "[]", "rule: x\n"])
def test_a_broken_lock_file_is_named(tmp_path, text):
    (tmp_path / "l.yaml").write_text(text)
    with pytest.raises(ValueError, match=r"l\.yaml"):
        read_lock(tmp_path / "l.yaml")
