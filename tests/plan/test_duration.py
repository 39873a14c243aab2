from __future__ import annotations

import pytest

from orchestrator.plan.duration import exact, in_words, size_in_words


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "no time"),
        (0.4, "less than a second"),
        (1, "1 second"),
        (40, "40 seconds"),
        (89.4, "89 seconds"),
        (90, "2 minutes"),
        (300, "5 minutes"),
        (5399, "90 minutes"),
        (5400, "1.5 hours"),
        (3.24 * 3600, "3.2 hours"),
        (4.0 * 3600, "4 hours"),
        (14.3 * 3600, "14 hours"),
        (47.9 * 3600, "48 hours"),
        (2 * 86_400, "2 days"),
        (4.3 * 86_400, "4.3 days"),
        (40 * 86_400, "40 days"),
        (12_352 * 86_400, "12,352 days"),
    ],
)
def test_an_estimate_is_a_round_number_with_the_unit_that_fits(seconds, text):
    assert in_words(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0 s"),
        (4.21, "4.2 s"),
        (9.96, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (262, "4 min 22 s"),
        (3599.6, "1 h 00 min"),
        (11_100, "3 h 05 min"),
        (30 * 3600, "30 h 00 min"),
    ],
)
def test_a_measured_time_is_given_to_the_second(seconds, text):
    assert exact(seconds) == text


@pytest.mark.parametrize(
    ("num_bytes", "text"),
    [
        (0, "0 kB"),
        (40_000, "40 kB"),
        (950_000, "950 kB"),
        (1e6, "1 MB"),
        (9.5e6, "9.5 MB"),
        (120e6, "120 MB"),
        (3.2e9, "3.2 GB"),
    ],
)
def test_a_size_is_a_round_number_with_the_unit_that_fits(num_bytes, text):
    assert size_in_words(num_bytes) == text
