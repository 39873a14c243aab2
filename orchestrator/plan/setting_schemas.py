"""JSON schemas of the settings of plug-ins: types and defaults of their fields, with comments as descriptions."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from typing import Any

from pydantic import TypeAdapter

from orchestrator.plan.yaml_text import NAMES

Schema = dict[str, Any]
NAME: Schema = {"type": ["string", "number"]}  # a name may look like a number: `classes: [no, 7]`


def setting_schemas(cls: type[Any], preset: Mapping[str, Any] | None = None, *, swept: bool = False) -> Schema:
    """A schema for each field of a frozen dataclass, by name.

    Args:
        cls: a plug-in's class, or a modifier's.
        preset: defaults that replace those of the class.
        swept: whether a list of values is allowed in place of a value.
    """
    made = TypeAdapter(cls).json_schema()
    docs, found = setting_docs(cls), {}
    for f in fields(cls):
        schema = inlined(made["properties"][f.name], made.get("$defs", {}))
        if f.name in NAMES and schema.get("type") != "integer":
            schema = {"anyOf": [{"type": "array", "items": NAME}, {"type": "null"}], **_default(schema)}
        if preset and f.name in preset:
            schema["default"] = preset[f.name]
        if swept:
            schema = one_or_list(schema)
        found[f.name] = {**schema, **({"description": docs[f.name]} if f.name in docs else {})}
    return found


def required_settings(cls: type[Any], preset: Mapping[str, Any] | None = None) -> list[str]:
    """Names of the fields that have no default."""
    return [
        f.name
        for f in fields(cls)
        if f.default is MISSING and f.default_factory is MISSING and f.name not in (preset or {})
    ]


def setting_docs(cls: type[Any]) -> dict[str, str]:
    """The comments after the fields of a dataclass and of those that it inherits from."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if is_dataclass(base):
            docs.update(_comments(textwrap.dedent(inspect.getsource(base))))
    return docs


def one_or_list(schema: Schema) -> Schema:
    """The schema, or a list of values that each fit it."""
    one = {name: value for name, value in schema.items() if name != "default"}
    return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}], **_default(schema)}


def any_of(schemas: Iterable[Schema]) -> Schema:
    """Exactly one schema as it is, several as alternatives."""
    found = list(schemas)
    return found[0] if len(found) == 1 else {"anyOf": found}


def inlined(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with references replaced by what they refer to, and without pydantic's titles of fields."""
    if isinstance(schema, list):
        return [inlined(part, definitions) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        more = {name: value for name, value in schema.items() if name != "$ref"}
        return inlined({**definitions[str(reference).rpartition("/")[2]], **more}, definitions)
    return {
        name: {key: inlined(part, definitions) for key, part in value.items()}
        if name == "properties"
        else inlined(value, definitions)
        for name, value in schema.items()
        if not (name == "title" and isinstance(value, str))
    }


def _default(schema: Schema) -> Schema:
    return {"default": schema["default"]} if "default" in schema else {}


def _comments(source: str) -> dict[str, str]:
    """Field to the comment that ends its line."""
    comments = {
        token.start[0]: token.string.lstrip("# ")
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type == tokenize.COMMENT
    }
    (made,) = ast.parse(source).body
    assert isinstance(made, ast.ClassDef)
    return {
        node.target.id: comments[node.end_lineno]
        for node in made.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.end_lineno in comments
    }
