"""What is put into script tags cannot end them, and the policy knows every script."""

from __future__ import annotations

import base64
import gzip
import json
from hashlib import sha256

import pytest

from orchestrator.report.html.page import code
from orchestrator.report.html.scripts import (
    chart_library,
    content_policy,
    inline_script,
    own_script,
    packed_json,
    packed_library,
)


def test_data_stay_data_whatever_names_contain() -> None:
    value = {"name": "</script><!-- & 'x' \u2028"}
    text = packed_json(value)
    assert not set("<>&'") & set(text)
    assert json.loads(gzip.decompress(base64.b64decode(text))) == value


def test_a_number_that_json_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="JSON"):
        packed_json([float("nan")])


def test_a_script_cannot_end_its_tag() -> None:
    assert inline_script('a = "</script><!--"') == 'a = "<\\/script><\\!--"'
    assert "</script" not in own_script()


def test_the_library_unpacks_to_what_the_policy_allows() -> None:
    text = gzip.decompress(base64.b64decode(packed_library()))
    assert text.decode() == chart_library()
    digest = base64.b64encode(sha256(text).digest()).decode()
    assert f"'sha256-{digest}'" in content_policy([own_script(), chart_library()])


def test_backticks_are_code_and_the_rest_is_escaped() -> None:
    assert code("see `a <b>` & c") == "see <code>a &lt;b&gt;</code> &amp; c"
