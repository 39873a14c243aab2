"""Scripts of the page: the chart library, our own few kB, and data that cannot end the tag that it is in."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from markupsafe import Markup

# What a page may do: run these scripts, style itself, and show pictures that it contains. Nothing is fetched.
POLICY = (
    "default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)


@cache
def chart_library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed as one script."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


@cache
def packed_library() -> str:
    """Return that script compressed, as text; equal versions give equal text."""
    return packed(chart_library())


@cache
def own_script() -> Markup:
    """Return the script that sorts, filters, saves and switches tables, and makes charts interactive."""
    return inline_script(_text("page.js"))


@cache
def style_sheet() -> Markup:
    """Return the page's style sheet."""
    return Markup(_text("page.css"))


def inline_script(text: str) -> Markup:
    """Make text safe inside `<script>`: `</script` and `<!--` occur only in strings, where `<` may be escaped."""
    return Markup(text.replace("</script", "<\\/script").replace("<!--", "<\\!--"))


def content_policy(scripts: Sequence[str]) -> str:
    """Return a Content-Security-Policy under which these scripts run, and nothing else is loaded or run."""
    hashes = " ".join(f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'" for text in scripts)
    return POLICY.format(hashes=hashes)


def packed(text: str) -> str:
    """Compress text for a page, in letters that cannot end a tag."""
    return base64.b64encode(gzip.compress(text.encode(), compresslevel=9, mtime=0)).decode()


def packed_json(value: Any) -> str:
    """Write data as JSON, compressed.

    Raises:
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    return packed(json.dumps(value, allow_nan=False, separators=(",", ":"), ensure_ascii=False, sort_keys=True))


def _text(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
