"""What a process may take of a GPU that it shares, with a GPU made of paper."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from orchestrator import plugins
from orchestrator.plan.grid import build_grid
from orchestrator.plan.spec import PlugIn
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.results.store import open_store
from orchestrator.run.setup.context import FEATURES_SHARE, Limits, WorkerContext
from orchestrator.run.setup.feature_cache import FeatureReader
from orchestrator.tasks.base import RecordingsChangedError

GIB = 2**30


@pytest.fixture
def paper_gpu(monkeypatch):
    """A GPU of 100 GiB with 80 free, of which this process holds 10; gives the caps that were set."""
    caps = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: caps.append(share))
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80 * GIB, 100 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 10 * GIB)
    return caps


def context(tmp_path, share, device="cuda"):
    return WorkerContext(open_store(tmp_path), tmp_path, torch.device(device), limits=Limits(gpu_share=share))


def test_processes_that_share_a_gpu_are_capped_below_their_share(paper_gpu, tmp_path):
    context(tmp_path, 0.25)
    assert len(paper_gpu) == 1
    assert 0.2 < paper_gpu[0] < 0.25


def test_a_process_with_a_gpu_to_itself_is_not_capped(paper_gpu, tmp_path):
    context(tmp_path, 1.0)
    context(tmp_path, 0.5, device="cpu")
    assert paper_gpu == []


def test_features_get_a_part_of_what_is_free_and_ours(paper_gpu, tmp_path):
    assert context(tmp_path, 1.0)._room_bytes() == pytest.approx(FEATURES_SHARE * 80 * GIB, rel=1e-6)
    shared = context(tmp_path, 0.5)
    assert shared._room_bytes() == pytest.approx(FEATURES_SHARE * (47.5 - 10) * GIB, rel=1e-6)
    assert context(tmp_path, 1.0, device="cpu")._room_bytes() == 0


@pytest.mark.parametrize(
    ("backbone", "superloss", "asked", "expected"),
    [
        ("logmel_cnn", None, None, 266),  # 20 GFLOP of clips that need 0.075 each: more than any batch
        ("logmel_cnn", None, 4, 4),
        ("logmel_cnn", {"strength": 1.0}, None, None),
    ],
)
def test_a_processor_takes_as_many_at_once_as_are_worth_it(tmp_path, cache_dir, backbone, superloss, asked, expected):
    values = {
        "name": "t", "tasks": [{"name": "espeak_keywords", "clips": 240, "speakers": 12}], "backbones": [backbone],
        "unlearning": [{"kind": "class"}], "methods": ["original"], "seeds": [0],
    }  # fmt: skip
    spec = replace(build_grid(Sweep.model_validate(values)).trials[0], superloss=superloss)
    made = WorkerContext(open_store(tmp_path), cache_dir, torch.device("cpu"), limits=Limits(micro_batch=asked))
    assert made.max_micro_batch(spec) == expected


def test_a_gpu_takes_whole_batches(paper_gpu, tmp_path):
    assert context(tmp_path, 1.0).max_micro_batch(None) is None


def test_a_corpus_that_is_not_what_was_planned_is_refused(tmp_path):
    for word in ("no", "yes"):
        for take in range(6):
            path = tmp_path / "in" / word / f"{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(160, take + (word == "no") * 10, np.int16), 16_000)
    settings = {"root": str(tmp_path / "in"), "test_share": 0.2}
    found = plugins.load("tasks", "audio_folder", **settings).fingerprint()
    here = context(tmp_path, 1.0, device="cpu")
    with pytest.raises(RecordingsChangedError, match=f"got corpus {found}, planned 0123456789ab"):
        here.corpus(PlugIn(kind="tasks", name="audio_folder", settings=settings, content="0123456789ab"))
    assert here.corpus(PlugIn(kind="tasks", name="audio_folder", settings=settings, content=found)).fingerprint == found


@pytest.fixture
def banks(paper_gpu, tmp_path, monkeypatch):
    """Opens features of a backbone and a size on that GPU, 90 GiB of which features may have 27; gives the place."""
    made = context(tmp_path, 1.0)
    sizes, opened = {}, []

    def open_features(corpus, backbone, plugin, clip, *, has_room, **named):
        opened.append(plugin.name)
        fits = has_room(sizes[plugin.name])
        taken = sizes[plugin.name] if fits else 0
        return FeatureReader(None, None, cached=True, on_device=fits, device_bytes=taken)

    def memory(device):
        held = sum(bank.device_bytes for bank in made._banks.values())
        return 90 * GIB - held, 100 * GIB

    monkeypatch.setattr("orchestrator.run.setup.context.open_features", open_features)
    monkeypatch.setattr(torch.cuda, "mem_get_info", memory)
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 100 * GIB - memory(device)[0])
    monkeypatch.setattr(WorkerContext, "corpus", lambda self, task: None)
    monkeypatch.setattr(WorkerContext, "backbone", lambda self, plugin: None)

    def features(name, gib):
        sizes[name] = gib * GIB
        spec = SimpleNamespace(
            task=PlugIn(kind="tasks", name="t"), backbone=PlugIn(kind="backbones", name=name),
            clip={"crop": "none", "seconds": None}, seed=0,
            loop={"precision": "fp32"},
        )  # fmt: skip
        return made.features(spec)

    return SimpleNamespace(features=features, opened=opened, context=made)


def test_features_that_were_used_longest_ago_make_room(banks):
    for name in ("a", "b", "a", "c"):  # 10 GiB each: two fit
        assert banks.features(name, 10).on_device
    assert banks.opened == ["a", "b", "c"]
    assert banks.features("a", 10).on_device  # still there: b went
    assert banks.opened == ["a", "b", "c"]
    banks.features("b", 10)
    assert banks.opened == ["a", "b", "c", "b"]


def test_features_that_never_fit_push_nothing_out(banks):
    banks.features("a", 10)
    assert not banks.features("huge", 40).on_device
    banks.features("a", 10)
    assert banks.opened == ["a", "huge"]


def test_features_are_given_back_where_memory_ends(banks):
    banks.features("a", 10)
    assert banks.context.drop_features()
    assert not banks.context.drop_features()
    banks.features("a", 10)
    assert banks.opened == ["a", "a"]


def test_every_train_utterance_of_a_manifest_can_be_named_for_removal(tmp_path):
    rows = []
    for number in range(48):
        word, split = ("no", "yes")[number % 2], "test" if number > 39 else "train"
        (tmp_path / "in").mkdir(exist_ok=True)
        soundfile.write(tmp_path / "in" / f"{number}.wav", np.full(160, number, np.int16), 16_000)
        rows.append(f"{number}.wav,{word},{split}")
    (tmp_path / "in" / "clips.csv").write_text("\n".join(["path,label,split", *rows]))
    (tmp_path / "remove.txt").write_text("\n".join(f"./{number}.wav" for number in range(0, 40, 2)))
    values = {
        "name": "removal",
        "tasks": [
            {"name": "audio_folder", "root": str(tmp_path / "in"), "manifest": "clips.csv", "holdout_share": 0.3}
        ],
        "backbones": ["logmel_cnn"],
        "unlearning": [{"kind": "ids", "ids_file": str(tmp_path / "remove.txt")}],
        "methods": ["original", "retrain"],
        "seeds": [0],
    }
    here = context(tmp_path, 1.0, device="cpu")
    (spec,) = (spec for spec in build_grid(Sweep.model_validate(values)).trials if spec.stage == "retrain")
    corpus = here.corpus(spec.task)
    assert corpus.info["counts"]["holdout"] > 0
    (drawn,) = here.forget_sets(spec)
    assert sorted(corpus.utterance_ids[drawn.rows]) == sorted(f"{number}.wav" for number in range(0, 40, 2))
