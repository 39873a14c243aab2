from __future__ import annotations

import pytest

from orchestrator.forget.same_recordings import doubt_about

KNOWN = {str(n): n % 4 for n in range(40)}


def test_the_numbers_of_labels_may_be_others_where_each_stands_for_one():
    assert doubt_about(KNOWN, KNOWN) == ""
    assert doubt_about({name: (7, 5, 0, 2)[label] for name, label in KNOWN.items()}, KNOWN) == ""


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({str(n): n * 7 % 5 for n in range(40)}, "labels are not those"),
        ({**KNOWN, "5": 3}, "labels are not those"),
        (dict.fromkeys(KNOWN, 0), "labels are not those"),
        ({name: label // 2 for name, label in KNOWN.items()}, "labels are not those"),
        ({str(n): n % 4 for n in range(13)}, "too few labels"),
        ({str(n): 0 for n in range(0, 40, 4)}, "too few labels"),
        ({str(n): n % 4 for n in range(80)}, "most are not in the manifest"),
    ],
)
def test_other_labels_or_too_few_of_them_are_no_proof(labels, said):
    doubt = doubt_about(labels, KNOWN)
    assert said in doubt
    assert "check it by hand" in doubt


def test_ids_that_were_pruned_from_the_manifest_count_as_known_and_prove_nothing():
    kept = {name: label for name, label in KNOWN.items() if int(name) >= 20}
    assert doubt_about(KNOWN, kept, pruned=[str(n) for n in range(20)]) == ""
    assert "too few labels" in doubt_about({"1": 1}, {}, pruned=["1"])
