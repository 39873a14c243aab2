"""The grammar of the synthetic recognition corpus."""

from __future__ import annotations

from collections import Counter

import numpy as np

from orchestrator.tasks.espeak_tts.grammar import TEMPLATES, draw_sentences, vocabulary


def test_sentences_differ_cover_the_vocabulary_and_use_templates_alike() -> None:
    sentences = draw_sentences(np.random.default_rng(0), 4000)
    assert len({sentence.text for sentence in sentences}) == 4000
    sizes = Counter(sentence.template for sentence in sentences)
    assert set(sizes) == set(TEMPLATES)
    assert max(sizes.values()) - min(sizes.values()) <= 1
    assert {word for sentence in sentences for word in sentence.text.split()} == set(vocabulary())
    assert 120 <= len(vocabulary()) <= 180


def test_a_longer_draw_begins_with_the_shorter_one() -> None:
    short, long = (draw_sentences(np.random.default_rng(3), count) for count in (20, 50))
    assert long[:20] == short


def test_nobody_meets_themselves() -> None:
    sentences = draw_sentences(np.random.default_rng(1), 3000)
    pairs = [s.text.split()[:3:2] for s in sentences if s.template == "meeting"]
    assert pairs
    assert all(first != second for first, second in pairs)
