"""Read and write the YAML 1.2 of sweep files and lock files: keys are unique, and names stay as they are written."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.constructor import SafeConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

NAMES = (
    "classes",
    "speakers",
    "ids",
    "entities",
    "keep_in_train",
)  # keys whose values are names, also if YAML reads a number
CONDITIONS = ("where", "test_where")  # keys whose values map columns to names
STRING = "tag:yaml.org,2002:str"
READ_AS = {f"tag:yaml.org,2002:{tag}": name for tag, name in (("bool", "a boolean"), ("null", "nothing"))}


class YamlError(ValueError):
    """A text is not YAML that this project accepts; the message is one line."""


def load_yaml(text: str, keys: Sequence[str] = ()) -> Any:
    """Read a text in YAML 1.2: `yes`, `no`, `on` and `off` are text, `1e-4` is a number.

    Args:
        text: one document.
        keys: the path of keys, outermost first, at which the text is inserted into a file; empty for a whole file.

    Raises:
        YamlError: the text is not YAML, has a key twice, a value that contains itself, or a name that YAML reads as
            something other than text or a number.
    """
    parts = [key for key in keys if not key.isdigit()]
    for key in reversed(parts[-2:]):  # `where.take` needs both keys
        text = f"{key}:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    try:
        values = _loader().load(text)
    except MarkedYAMLError as error:
        raise YamlError(_in_a_line(error, placed=not keys)) from None
    except YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from None
    for key in parts[-2:]:
        values = values[key]
    _refuse_circles(values)
    return values


def dump_yaml(values: Mapping[str, Any]) -> str:
    """Write plain values as YAML that `load_yaml` reads, in their order."""
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 120
    out = io.StringIO()
    yaml.dump(dict(values), out)
    return out.getvalue()


def _loader() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Constructor = _Constructor
    return yaml


class _Constructor(SafeConstructor):
    """Read the names under some keys as text."""

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """Construct a mapping, after its names were made text."""
        if isinstance(node, MappingNode):
            for key, value in node.value:
                if key.value in NAMES:
                    _as_text(value)
                elif key.value in CONDITIONS and isinstance(value, MappingNode):
                    for column, wanted in value.value:
                        _as_text(column)
                        _as_text(wanted, compared=True)
        return super().construct_mapping(node, deep)


def _refuse_circles(value: Any, around: tuple[int, ...] = ()) -> None:
    if id(value) in around:
        raise YamlError("a value contains itself: an alias (*) is inside the value of its anchor (&); remove the alias")
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inner:
        _refuse_circles(item, (*around, id(value)))


# YAML 1.2 has no dates.
_Constructor.add_constructor("tag:yaml.org,2002:timestamp", SafeConstructor.construct_yaml_str)


def _as_text(node: Node, *, compared: bool = False) -> None:
    """Make a plain scalar text, or each scalar of a list; `compared`: with values that may be numbers."""
    if isinstance(node, SequenceNode):
        for item in node.value:
            _as_text(item, compared=compared)
    if not isinstance(node, ScalarNode) or node.style is not None:
        return
    if what := READ_AS.get(str(node.tag)):
        raise MarkedYAMLError(
            problem=f"YAML reads {node.value or 'an empty value'} as {what}: quote it, as '{node.value}'",
            problem_mark=node.start_mark,
        )
    if compared and not _is_clear(str(node.tag), node.value):
        raise MarkedYAMLError(
            problem=f"{node.value} may be text or a number: quote it, as '{node.value}', if it is text, or write the "
            "number without superfluous digits",
            problem_mark=node.start_mark,
        )
    node.tag = STRING


def _is_clear(tag: str, text: str) -> bool:
    """Return whether a number is written as Python writes it, so that number and text are equal."""
    try:
        if tag.endswith(":int"):
            return str(int(text)) == text
        return not tag.endswith(":float") or (repr(float(text)) == text and not float(text).is_integer())
    except ValueError:
        return False


def _in_a_line(error: MarkedYAMLError, *, placed: bool) -> str:
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if placed and mark else ""
    problem = " ".join(str(error.problem or error.context or "this is not YAML").split())
    problem = f"{error.context}, {problem}" if problem.startswith("but ") else problem
    problem = problem.replace("but found '<stream end>'", "but the text ends").replace(", but got '<stream end>'", "")
    if problem.startswith("found duplicate key "):
        return f"{where}{problem.split(' with value')[0].replace('found duplicate key', 'key given twice:')}"
    return f"{where}{problem}"
