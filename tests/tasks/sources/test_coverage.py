from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from orchestrator.tasks.base import Utterance
from orchestrator.tasks.sources.audio_files import Recording
from orchestrator.tasks.sources.coverage import require_trained, still_trained


def recording(name: str, label: str, split: str, where: str = "") -> Recording:
    return Recording(Path(f"{name}.wav"), name, label, "ann", split, where=where)


def test_a_class_that_train_lacks_is_refused_with_file_and_row() -> None:
    recordings = [recording("a", "yes", "train"), recording("b", "no", "test", "list.csv row 2")]
    with pytest.raises(ValueError, match=r"got 'no' in the test split at b\.wav \(list\.csv row 2\), allowed: yes"):
        require_trained(("no", "yes"), recordings)


def test_a_class_with_too_few_train_utterances_is_refused_with_its_count() -> None:
    recordings = [recording(str(number), label, "train") for number, label in enumerate(["yes", "yes", "no"])]
    require_trained(("no", "yes"), recordings, least=1)
    with pytest.raises(ValueError, match=r"in 1 of 2 classes: got no \(1\), allowed: 2 or more"):
        require_trained(("no", "yes"), recordings, least=2)


def test_a_class_that_no_recording_has_is_refused() -> None:
    with pytest.raises(ValueError, match=r"got up \(0\)"):
        require_trained(("yes", "up"), [recording("a", "yes", "train")])


def test_losing_a_class_on_the_way_is_refused_at_the_end() -> None:
    walked = [Utterance("a", np.ones(1, np.int16), "yes", "ann", "train")]
    stream = still_trained(("no", "yes"), walked)
    assert next(stream).utterance_id == "a"
    with pytest.raises(ValueError, match=r"got no \(0\)"):
        next(stream)
