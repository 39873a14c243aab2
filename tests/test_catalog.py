from __future__ import annotations

from dataclasses import MISSING, fields

import pytest

from orchestrator import plugins
from orchestrator.catalog import KINDS, described
from orchestrator.plugin_sources import NO_DEFAULT, Code

EVERY = [(kind, name) for kind in KINDS if kind != "sweeps" for name in plugins.names(kind)]


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_what_is_read_from_the_source_of_a_plug_in_is_what_importing_it_gives(kind, name):
    cls, preset = plugins.plugin_class(kind, name), plugins.preset_of(kind, name)
    about, settings = described(kind, name)
    assert about == (__import__(cls.__module__, fromlist=["x"]).__doc__ or "").splitlines()[0]
    wanted = {f.name: NO_DEFAULT if f.default is MISSING else f.default for f in fields(cls)} | dict(preset)
    assert list(settings) == list(wanted)
    assert {each: value for each, value in settings.items() if not isinstance(value, Code)} == {
        each: value for each, value in wanted.items() if not isinstance(settings[each], Code)
    }
