from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from orchestrator import plugins
from orchestrator.digests import seal
from orchestrator.errors import DamagedFile
from orchestrator.plan.spec import PlugIn
from orchestrator.run.setup import feature_cache
from orchestrator.run.setup.feature_cache import are_cached, clip_samples, features_path, open_features, waveforms

RATE = 16_000


def corpus_of(lengths, seed=0):
    """What features read of a corpus."""
    rng = np.random.default_rng(seed)
    audio = [rng.integers(-9000, 9000, n).astype(np.int16) for n in lengths]

    class Tiny(SimpleNamespace):
        def __len__(self):
            return len(audio)

    return Tiny(audio=lambda row: audio[row], num_samples=np.array(lengths), fingerprint=f"tiny{seed}")


def opened(corpus, path, crop="none", seconds=None, limit_gb=1.0, seed=0, room_bytes=0):
    backbone = plugins.load("backbones", "logmel_cnn")
    return open_features(
        corpus, backbone, PlugIn(kind="backbones", name="logmel_cnn"), {"crop": crop, "seconds": seconds},
        cache_dir=path,
        device=torch.device("cpu"), limit_gb=limit_gb, seed=seed, has_room=lambda size: size <= room_bytes,
    )  # fmt: skip


def test_clips_are_as_long_as_the_longest_recording_in_whole_frames():
    assert clip_samples(corpus_of([5000, 8001]), None) == 8320
    assert clip_samples(corpus_of([5000]), 1.0) == RATE


def test_a_recording_beyond_the_window_asks_for_a_clip_length():
    with pytest.raises(ValueError, match=r"31.0 s; set training.crop and training.clip_seconds"):
        clip_samples(corpus_of([31 * RATE]), None)


def test_crops_come_from_where_they_should():
    corpus = corpus_of([1000])
    audio = corpus.audio(0).astype(np.float32) / 32768
    first, _ = waveforms(corpus, np.array([0]), 320, "first")
    center, lengths = waveforms(corpus, np.array([0]), 320, "center")
    np.testing.assert_array_equal(first[0], audio[:320])
    np.testing.assert_array_equal(center[0], audio[340:660])
    assert lengths.tolist() == [320]


def test_short_recordings_are_padded_at_the_end():
    padded, lengths = waveforms(corpus_of([100]), np.array([0]), 320, "none")
    assert padded[0, 100:].abs().max() == 0
    assert lengths.tolist() == [100]


def test_features_do_not_depend_on_neighbours_or_order(tmp_path):
    corpus = corpus_of([4000, 6000, 8000] * 30)
    bank = opened(corpus, tmp_path)
    whole, _ = bank.evaluate(torch.arange(90))
    picked, _ = bank.evaluate(torch.tensor([70, 3]))
    assert torch.equal(picked, whole[[70, 3]])


def test_mapped_features_equal_those_computed_per_batch(tmp_path):
    corpus = corpus_of([4000, 6000, 8000])
    mapped, computed = opened(corpus, tmp_path), opened(corpus, tmp_path / "none", limit_gb=0.0)
    assert (mapped.cached, computed.cached) == (True, False)
    for one, other in zip(mapped.train(torch.arange(3)), computed.train(torch.arange(3)), strict=True):
        torch.testing.assert_close(one, other)


def test_random_crops_differ_from_walk_to_walk_and_never_in_evaluation(tmp_path):
    bank = opened(corpus_of([9000, 9000, 9000]), tmp_path, crop="random", seconds=0.2)
    rows = torch.arange(3)
    assert bank.random
    assert not torch.equal(bank.train(rows, 1)[0], bank.train(rows, 2)[0])
    assert torch.equal(bank.evaluate(rows, 1)[0], bank.evaluate(rows, 2)[0])


def test_a_random_crop_depends_on_seed_walk_and_utterance_alone(tmp_path):
    corpus, rows = corpus_of([9000, 9000, 9000]), torch.arange(3)
    first = opened(corpus, tmp_path, crop="random", seconds=0.2)
    expected = first.train(rows, 5)[0]
    again = opened(corpus, tmp_path, crop="random", seconds=0.2)
    torch.testing.assert_close(again.train(torch.tensor([2, 0]), 5)[0], expected[[2, 0]])
    other = opened(corpus, tmp_path, crop="random", seconds=0.2, seed=1)
    assert not torch.equal(other.train(rows, 5)[0], expected)


def test_cached_features_are_named_after_what_changes_them_and_nothing_else(tmp_path, monkeypatch):
    corpus, clip = corpus_of([4000]), {"crop": "none", "seconds": None}
    plugin = PlugIn(kind="backbones", name="logmel_cnn", version=1, content="a")

    def path(plugin=plugin, arithmetic="cpu", clip=clip):
        return features_path(corpus, plugin, clip, tmp_path, arithmetic)

    known = path()
    assert path(replace(plugin, alias="mine")) == known
    changed = [
        path(replace(plugin, version=2)), path(replace(plugin, content="b")), path(replace(plugin, identity={"x": 1})),
        path(arithmetic="cuda"), path(arithmetic="cuda tf32"), path(clip={"crop": "first", "seconds": 0.1}),
    ]  # fmt: skip
    monkeypatch.setattr(torch, "__version__", "0.1")
    assert len({known, path(), *changed}) == 2 + len(changed)


def test_features_are_made_once_also_by_many_at_once(tmp_path, monkeypatch):
    made = []
    build = feature_cache._build

    def counted(*arguments):
        made.append(1)
        build(*arguments)

    monkeypatch.setattr(feature_cache, "_build", counted)
    corpus = corpus_of([4000] * 80)
    with ThreadPoolExecutor(4) as pool:
        banks = list(pool.map(lambda _: opened(corpus, tmp_path), range(4)))
    assert made == [1]
    assert all(torch.equal(bank.train(torch.arange(80))[0], banks[0].train(torch.arange(80))[0]) for bank in banks)


@pytest.mark.parametrize("name", ["features.npy", "lengths.npy", "digests.json"])
@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[: len(b) // 2], lambda b: b[:-3] + bytes([b[-3] ^ 1])])
def test_damaged_features_are_named_and_made_again(tmp_path, name, damage):
    corpus, rows = corpus_of([4000, 6000]), torch.arange(2)
    undisturbed = opened(corpus, tmp_path).train(rows)
    (path,) = (tmp_path / "features").glob(f"*/{name}")
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    with pytest.warns(DamagedFile, match=rf"{path.parent.name} is damaged \(changed or missing: {name}\)"):
        again = opened(corpus, tmp_path).train(rows)
    assert all(torch.equal(*pair) for pair in zip(again, undisturbed, strict=True))
    assert path.read_bytes() == whole


def test_a_build_that_dies_leaves_nothing_visible(tmp_path, monkeypatch):
    def dying(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(feature_cache.np, "save", dying)
    with pytest.raises(KeyboardInterrupt):
        opened(corpus_of([4000]), tmp_path)
    assert not [p for p in (tmp_path / "features").iterdir() if not p.name.endswith(".lock")]


def test_features_that_fit_on_the_device_are_the_same_features(tmp_path):
    corpus = corpus_of([4000, 6000, 8000] * 30)
    mapped = opened(corpus, tmp_path)
    here = opened(corpus, tmp_path, room_bytes=10**9)
    assert (mapped.on_device, here.on_device) == (False, True)
    rows = torch.tensor([70, 3, 3])
    for one, other in zip(mapped.train(rows), here.train(rows), strict=True):
        assert torch.equal(one, other)


def test_features_that_are_too_many_stay_mapped(tmp_path):
    bank = opened(corpus_of([4000]), tmp_path, room_bytes=100)
    assert not bank.on_device


def test_a_fetch_tells_that_it_happens(tmp_path):
    heard = []
    bank = opened(corpus_of([4000]), tmp_path).with_heartbeat(lambda: heard.append(1))
    bank.train(torch.arange(1))
    bank.evaluate(torch.arange(1))
    assert len(heard) == 2


@pytest.mark.parametrize("content", [None, b"", b"{"])
def test_a_damaged_corpus_has_no_features_and_is_left_to_the_run(tmp_path, content):
    folder = tmp_path / "corpora" / "tiny-abc"
    folder.mkdir(parents=True)
    (folder / "corpus.json").write_bytes(b"{}")
    seal(folder)
    (folder / "corpus.json").unlink() if content is None else (folder / "corpus.json").write_bytes(content)
    assert not are_cached(SimpleNamespace(task=PlugIn(kind="tasks", name="tiny", content="abc")), tmp_path)
    assert folder.is_dir()
