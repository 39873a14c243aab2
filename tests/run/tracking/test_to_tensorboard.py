"""TensorBoard's own reader finds a trial's curve, final measures and settings."""

from __future__ import annotations

import pytest

from orchestrator.results.curves import read_curve

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")


def read(folder):
    found = event_accumulator.EventAccumulator(str(folder), size_guidance={"tensors": 0})
    found.Reload()
    return found


def scalars(found, tag):
    from tensorboard.util.tensor_util import make_ndarray

    assert tag in found.PluginTagToContent("scalars")
    return [(event.step, float(make_ndarray(event.tensor_proto))) for event in found.Tensors(tag)]


def test_curves_and_measures_are_read_back(sent, store, scrub):
    assert sent("tensorboard") == []
    folder = store.files.local_path / "tensorboard" / "small" / f"scrub-{scrub.trial_id}"
    found, row = read(folder), store.row(scrub.trial_id)
    curve = read_curve(store, scrub.trial_id)
    points = scalars(found, "curve/forget_accuracy")
    assert [step for step, _ in points] == [point["epoch"] for point in curve]
    assert [value for _, value in points] == pytest.approx([point["forget_accuracy"] for point in curve])
    ((step, value),) = scalars(found, "final/test_accuracy")
    assert (step, value) == (curve[-1]["epoch"], pytest.approx(row["test_accuracy"]))


def test_settings_are_hyperparameters(sent, store, scrub):
    from tensorboard.plugins.hparams import metadata

    sent("tensorboard")
    found = read(store.files.local_path / "tensorboard" / "small" / f"scrub-{scrub.trial_id}")
    (content,) = found.PluginTagToContent("hparams").values()
    values = metadata.parse_session_start_info_plugin_data(content).hparams
    assert values["backbone"].string_value == "logmel_cnn"
    assert values["settings.epochs"].number_value == 1


def test_a_second_attempt_replaces_the_files_of_an_interrupted_one(sent, store, grad_ascent):
    sent("tensorboard")
    sent("tensorboard")
    folder = store.files.local_path / "tensorboard" / "small" / f"grad_ascent-{grad_ascent.trial_id}"
    assert len(list(folder.iterdir())) == 1
