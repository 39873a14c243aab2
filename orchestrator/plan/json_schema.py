"""The JSON schema of a sweep file, for editors: its keys, the plug-ins by name, and the settings of each."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any

from orchestrator import plugins
from orchestrator.forgetting.requests import SETTINGS, ForgetRequest
from orchestrator.plan.method_variants import METHOD_PRESETS, MODIFIERS, PRESETS
from orchestrator.plan.scenarios import INTERNAL, SWEPT, WHERE
from orchestrator.plan.setting_schemas import NAME, Schema, any_of, one_or_list, required_settings, setting_schemas
from orchestrator.plan.setting_schemas import inlined as with_definitions
from orchestrator.plan.sweep_schema import Sweep
from orchestrator.plan.training_keys import TrainingEntry, TrainingVariant

LINK = re.compile(r"\[([^\]]+)\]\([^)]+\)")  # of Markdown
DIALECT = "https://json-schema.org/draft/2020-12/schema"
EXTENDS = {"type": "string", "description": "another sweep: a file, relative to this one, or the name of a shipped one"}
NEEDED = {"sample": ["forget_ratio"], "attribute": ["kind", "attribute"]}  # of requests; of the others, their kind
FIXED = ("original", "retrain")  # methods that take no curriculum and no adapters


@cache
def sweep_json_schema() -> Schema:
    """The schema of a sweep, with the plug-ins that are installed here.

    It says what a key may hold. What must hold between keys, `unlearn plan` checks.
    """
    made = Sweep.model_json_schema(by_alias=True)
    keys = {name: with_definitions(schema, made["$defs"]) for name, schema in made["properties"].items()}
    del keys["trainings"]  # how `training` is kept where it is a list
    _list_of(keys["tasks"], _corpora_or_networks("tasks"))
    _list_of(keys["backbones"], _corpora_or_networks("backbones"))
    _list_of(keys["methods"], _methods())
    _list_of(keys["unlearning"], [*_requests(WHERE), _sequence()])
    way = any_of(_trainings())
    keys["training"] = {
        "description": keys["training"].get("description", ""),
        "anyOf": [way, {"type": "array", "items": way, "minItems": 1}],
    }
    needed = [name for name, field in Sweep.model_fields.items() if field.is_required()]
    return {
        "$schema": DIALECT,
        "title": "sweep",
        "type": "object",
        "properties": {name: _without_links(schema) for name, schema in {**keys, "extends": EXTENDS}.items()},
        "additionalProperties": False,
        "anyOf": [{"required": ["extends"]}, {"required": needed}],
    }


def _without_links(schema: Any) -> Any:
    """Descriptions as an editor shows them: links to pages of docs/ are the names of these pages."""
    if isinstance(schema, list):
        return [_without_links(part) for part in schema]
    if not isinstance(schema, dict):
        return LINK.sub(r"\1", schema) if isinstance(schema, str) else schema
    return {name: _without_links(part) for name, part in schema.items()}


def _list_of(key: Schema, entries: Iterable[Schema]) -> None:
    key["items"] = any_of(entries)


def _object(properties: Schema, required: list[str], description: str = "") -> Schema:
    made: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return {**({"description": description} if description else {}), **made, "required": required}


def _is(name: str, description: str = "") -> Schema:
    return {"const": name, **({"description": description} if description else {})}


def about(kind: str, name: str) -> str:
    """The first line of what a plug-in's module says of itself."""
    text = inspect.getdoc(inspect.getmodule(plugins.plugin_class(kind, name))) or ""
    return text.splitlines()[0] if text else ""


@cache
def training_schema() -> Schema:
    """The keys of `training` in a task or backbone."""
    made = TrainingEntry.model_json_schema(by_alias=True)
    schema: Schema = with_definitions(made, made.get("$defs", {}))
    return schema


def _corpora_or_networks(kind: str) -> Iterator[Schema]:
    """Entries of `tasks` or `backbones`: a bare name, or a name with the plug-in's settings."""
    bare = []
    for name in plugins.usable(kind):
        cls, preset = plugins.plugin_class(kind, name), plugins.preset_of(kind, name)
        needed, said = required_settings(cls, preset), about(kind, name)
        if not needed:
            bare.append(_is(name, said))
        own = {
            "name": _is(name, said),
            "as": {"type": "string", "description": "its title in rows and tables"},
            "training": training_schema(),
        }
        settings = setting_schemas(cls, preset)
        if kind == "tasks":
            own["tune_on"] = {
                **_object(settings, [], "settings in `unlearn tune`: other recordings"),
                "minProperties": 1,
            }
        yield _object({**own, **settings}, ["name", *needed], said)
    yield {"oneOf": bare}


def _methods() -> Iterator[Schema]:
    """Entries of `methods`: a bare name, or a name with settings, each a value or a list, a preset, and modifiers."""
    known = plugins.usable("methods")
    yield {"oneOf": [_is(name, about("methods", name)) for name in known]}
    for name in known:
        yield _method(name, name, list(METHOD_PRESETS[:1]), required=False)
        for preset in METHOD_PRESETS[1:]:
            if (variant := f"{name}_{preset}") in known:
                yield _method(name, variant, [preset], required=True)


def _method(name: str, plugin: str, presets: list[str], *, required: bool) -> Schema:
    cls = plugins.plugin_class("methods", plugin)
    said = about("methods", plugin)
    kept = [] if cls.edits_weights else [knob for knob in MODIFIERS if name not in FIXED or knob == "superloss"]
    modifiers = {knob: _modifier(knob) for knob in kept if knob != "lora" or cls.takes_adapters}
    own = {"name": _is(name, said), "preset": {"enum": presets}}
    needed = ["name", *(["preset"] if required else []), *required_settings(cls)]
    return _object({**own, **setting_schemas(cls, swept=True), **modifiers}, needed, said)


@cache
def _modifier(knob: str) -> Schema:
    settings = setting_schemas(MODIFIERS[knob], swept=True)
    if knob == "superloss":
        settings["preset"] = {"enum": list(PRESETS)}
    return {"anyOf": [{"type": ["boolean", "null"]}, _object(settings, [])]}


def _trainings() -> Iterator[Schema]:
    """One way to train originals: a bare kind, or keys of training with a kind's own settings."""
    known = plugins.usable("trainings")
    yield {"oneOf": [_is(name, about("trainings", name)) for name in known]}
    made = TrainingVariant.model_json_schema(by_alias=True)
    keys = with_definitions(made["properties"], made["$defs"])
    shared = {name: schema for name, schema in keys.items() if name not in ("kind", "settings")}
    for name in known:
        cls, standard = plugins.plugin_class("trainings", name), name == "standard"
        kind = {"kind": _is(name, about("trainings", name))}
        yield _object({**shared, **kind, **setting_schemas(cls)}, [] if standard else ["kind", *required_settings(cls)])


def _requests(where: tuple[str, ...]) -> Iterator[Schema]:
    """Requests of each kind; `where` are the keys that limit one to some tasks and backbones."""
    known = setting_schemas(ForgetRequest)
    names = {key: {"type": "array", "items": {"type": "string"}} for key in where}
    for kind, taken in SETTINGS.items():
        settings = {name: known[name] for name in known if name in taken and name not in INTERNAL}
        for name in SWEPT if where else ():
            if name in settings:
                settings[name] = one_or_list(settings[name])
        needed = NEEDED.get(kind, ["kind"])
        yield _object({"kind": _is(kind), **settings, **names}, needed, f"{kind} unlearning")


def _sequence() -> Schema:
    requests = {"type": "array", "items": any_of(_requests(())), "minItems": 1}
    names = {key: {"type": "array", "items": {"type": "string"}} for key in WHERE}
    own = {"kind": _is("sequence"), "name": NAME, "requests": requests, **names}
    return _object(own, ["kind", "requests"], "requests that are met one after another")
