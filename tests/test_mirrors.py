"""Every source file has a test file at the same path, or a suite of other tests covers it."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
COVERS = {
    "tests/backbones/test_checkpoints.py": [
        "backbones/hub.py",
        "backbones/weight_files.py",
    ],
    "tests/backbones/test_contract.py": [
        "backbones/base.py",
        "backbones/export.py",
    ],
    "tests/backbones/test_fine_tuned_recognizer.py": [
        "backbones/opened.py",
    ],
    "tests/backbones/test_per_utterance.py": [
        "methods/engine/layer_gradients.py",
        "methods/engine/per_utterance.py",
    ],
    "tests/backbones/test_waveform_encoder.py": [
        "backbones/hubert.py",
        "backbones/wav2vec2.py",
    ],
    "tests/docs/test_docs_tables.py": [
        "orchestrator/docs_tables.py",
    ],
    "tests/evidence/test_outputs.py": [
        "orchestrator/evidence/signals.py",
    ],
    "tests/first_sweep/test_start.py": [
        "orchestrator/first_sweep/files.py",
        "orchestrator/first_sweep/summary.py",
        "orchestrator/first_sweep/survey.py",
    ],
    "tests/forget/test_serving.py": [
        "orchestrator/forget/before.py",
        "orchestrator/forget/collateral.py",
        "orchestrator/forget/kept_outputs.py",
        "orchestrator/forget/problem.py",
        "orchestrator/forget/relearned.py",
        "orchestrator/forget/speech.py",
    ],
    "tests/forget/test_documents.py": [
        "orchestrator/forget/charts.py",
    ],
    "tests/methods/closed_form/test_ridge.py": [
        "methods/downdate.py",
        "methods/closed_form/random_features.py",
        "methods/trainings/closed_form_head.py",
    ],
    "tests/methods/engine/test_charged_passes.py": [
        "methods/engine/budget.py",
    ],
    "tests/methods/engine/test_epoch_state.py": [
        "methods/engine/records.py",
    ],
    "tests/methods/engine/test_loop.py": [
        "methods/engine/warm_up.py",
    ],
    "tests/methods/test_contract.py": [
        "methods/base.py",
        "methods/original.py",
        "methods/trainings/standard.py",
    ],
    "tests/plan/test_grid_modifiers.py": [
        "orchestrator/plan/method_variants.py",
    ],
    "tests/plan/test_grid_tuned_settings.py": [
        "orchestrator/plan/tuned_settings.py",
    ],
    "tests/plan/test_ids_stay.py": [
        "orchestrator/plan/shipped_sweeps.py",
    ],
    "tests/plan/test_json_schema.py": [
        "orchestrator/plan/setting_schemas.py",
    ],
    "tests/plan/test_key_tables.py": [
        "orchestrator/plan/sweep_keys.py",
        "orchestrator/plan/training_keys.py",
    ],
    "tests/plan/test_sweep_schema.py": [
        "orchestrator/plan/plug_in_keys.py",
        "orchestrator/plan/sweep_file.py",
        "orchestrator/plan/yaml_text.py",
    ],
    "tests/report/leaderboard/test_ties.py": [
        "orchestrator/report/leaderboard/ranking.py",
    ],
    "tests/report/charts/test_task.py": [
        "orchestrator/report/charts/chart.py",
        "orchestrator/report/charts/collection.py",
        "orchestrator/report/charts/curves.py",
        "orchestrator/report/charts/data.py",
        "orchestrator/report/charts/search.py",
        "orchestrator/report/charts/style.py",
    ],
    "tests/report/evidence/test_audits.py": [
        "orchestrator/report/evidence/audit_columns.py",
        "orchestrator/report/evidence/embedded.py",
        "orchestrator/report/evidence/informed.py",
        "orchestrator/report/evidence/relative.py",
    ],
    "tests/report/compare/test_differences.py": [
        "orchestrator/report/compare/sources.py",
        "orchestrator/report/compare/text.py",
        "orchestrator/report/compare/write.py",
    ],
    "tests/report/html/test_summary.py": [
        "orchestrator/report/html/trials.py",
        "orchestrator/report/html/views.py",
    ],
    "tests/report/tables/test_model.py": [
        "orchestrator/report/tables/columns.py",
    ],
    "tests/report/test_status.py": [
        "orchestrator/results/statuses.py",
    ],
    "tests/report/test_write.py": [
        "orchestrator/report/build.py",
        "orchestrator/report/frames/failures.py",
    ],
    "tests/results/test_object_storage.py": [
        "orchestrator/results/file_systems.py",
        "orchestrator/results/storage.py",
    ],
    "tests/run/evaluation/test_probes.py": [
        "orchestrator/report/evidence/probes.py",
        "orchestrator/report/evidence/table.py",
        "orchestrator/report/evidence/write.py",
        "orchestrator/run/evaluation/embeddings.py",
        "orchestrator/run/evaluation/export.py",
        "orchestrator/run/evaluation/linear_probe.py",
        "orchestrator/run/evaluation/row.py",
    ],
    "tests/run/executors/test_local.py": [
        "orchestrator/run/assignment.py",
        "orchestrator/run/console.py",
        "orchestrator/run/cores.py",
        "orchestrator/run/launch.py",
        "orchestrator/run/planning.py",
        "orchestrator/run/step_results.py",
        "orchestrator/run/trial_steps.py",
    ],
    "tests/run/guards/test_device_errors.py": [
        "orchestrator/errors.py",
    ],
    "tests/run/progress/test_display.py": [
        "orchestrator/run/progress/live.py",
        "orchestrator/run/progress/observer.py",
        "orchestrator/run/progress/text.py",
    ],
    "tests/run/test_harmful.py": [
        "orchestrator/run/setup/frozen.py",
    ],
    "tests/run/test_restored.py": [
        "orchestrator/report/archive.py",
    ],
    "tests/simulated_gpu/test_methods.py": [
        "methods/engine/transfer.py",
    ],
    "tests/tasks/test_contract.py": [
        "orchestrator/tasks/base.py",
        "orchestrator/tasks/corpus.py",
    ],
    "tests/tasks/test_espeak.py": [
        "orchestrator/tasks/espeak_tts/casting.py",
        "orchestrator/tasks/espeak_tts/corpus.py",
        "orchestrator/tasks/espeak_tts/process.py",
        "orchestrator/tasks/espeak_tts/rendering.py",
        "orchestrator/tasks/espeak_tts/settings.py",
        "orchestrator/tasks/espeak_tts/words.py",
    ],
    "tests/test_catalog.py": [
        "orchestrator/plugin_sources.py",
    ],
    "tests/test_cli.py": [
        "orchestrator/cli_options.py",
        "orchestrator/cli_results.py",
        "orchestrator/cli_setup.py",
    ],
    "tests/tasks/test_librispeech.py": [
        "orchestrator/tasks/read_speech.py",
    ],
}


def test_every_source_file_has_tests_at_its_path_or_a_suite_that_covers_it():
    covered = {name for names in COVERS.values() for name in names}
    sources = [path for room in ("orchestrator", "methods", "backbones") for path in (ROOT / room).rglob("*.py")]
    alone = [path for path in sources if not path.name.startswith("__") and not mirror(path).exists()]
    assert {str(path.relative_to(ROOT)) for path in alone} - covered == set()


@pytest.mark.parametrize("suite", COVERS)
def test_a_suite_and_what_it_covers_exist(suite):
    assert [name for name in (suite, *COVERS[suite]) if not (ROOT / name).is_file()] == []


def mirror(source: Path) -> Path:
    """Return where tests of a source file are: the same path below `tests/`, without `orchestrator/`."""
    folder = source.relative_to(ROOT).parent
    if folder.parts[0] == "orchestrator":
        folder = folder.relative_to("orchestrator")
    return ROOT / "tests" / folder / f"test_{source.stem}.py"
