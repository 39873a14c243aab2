"""Base class of the keys of a sweep, and how a key is described."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from orchestrator import plugins

SHOWN_DEFAULT = "x-default"  # in JSON schemas: the default in words, if the value alone is unclear
Seed = Annotated[int, Field(ge=0)]


class Keys(BaseModel):
    """Keys of one mapping in a sweep file; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_boolean_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[info.field_name or ""]
        if plugins.holds_boolean(value) and plugins.takes_numbers_only(field.annotation):
            raise ValueError("must be a number")
        return value


def key(default: Any, description: str, *, shown: str = "", **bounds: Any) -> Any:
    """Declare a key with its description, from which the tables of docs/sweeps.md and the JSON schema are made.

    Args:
        default: the value if the key is omitted; `...` if it is required.
        description: in Markdown; links are relative to docs/.
        shown: the default in words, if the value alone is unclear.
        bounds: arguments of `pydantic.Field`.
    """
    extra: dict[str, Any] | None = {SHOWN_DEFAULT: shown} if shown else None
    return Field(default=default, description=description, json_schema_extra=extra, **bounds)
