from __future__ import annotations

from methods.paper.scrub_paper import ScrubPaper
from methods.scrub import Scrub


def test_the_preset_is_scrub_with_the_three_settings_of_the_papers_words(kit):
    words = {"order": "ascend_first", "ascend_on": "cross_entropy", "hold_to": "embeddings"}
    ends = []
    for method in (ScrubPaper(learning_rate=1e-2), Scrub(learning_rate=1e-2, **words)):
        problem = kit.make_problem()
        _, progress = kit.run(method, problem)
        ends.append(kit.weights(problem.model))
    kit.assert_same(problem, ends[0])
    assert [p.pass_name[:3] for p in progress] == ["max", "max", "min", "min", "min"]
