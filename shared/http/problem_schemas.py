"""Schemas of problem documents: one component for each kind of problem, distinguished by `type`."""

from collections.abc import Collection
from typing import Any

from shared.http.problems import FieldError, Invalid, Problem, ProblemDocument

_REFERENCE = "#/components/schemas/{model}"
# Values in examples; the title and status of a problem come from its class.
_PATH = "/api/v1/appeals/0193f0a4-7c11-7d0e-9d5b-3f1f5a4f2b10/replies"
_WRONG_FIELD = FieldError(pointer="/text", detail="Field required")


def component_name(kind: type[Problem]) -> str:
    """Return the kind's component name, made from its type: `NotFoundProblem` for `/problems/not-found`."""
    return "".join(word.capitalize() for word in kind.slug.split("-")) + "Problem"


def components(of: Collection[type[Problem]]) -> dict[str, Any]:
    """Return the components of these kinds by name, with the components that they refer to."""
    found = {component_name(kind): _schema(kind) for kind in sorted(of, key=lambda kind: kind.slug)}
    return found | {FieldError.__name__: FieldError.model_json_schema(ref_template=_REFERENCE)}


def media_type(of: Collection[type[Problem]]) -> dict[str, Any]:
    """Return the OpenAPI media type of a problem document of these kinds: the schema, and one example per kind."""
    in_order = sorted(set(of), key=lambda kind: kind.slug)
    references = {f"/problems/{kind.slug}": f"#/components/schemas/{component_name(kind)}" for kind in in_order}
    return {
        "schema": {
            "oneOf": [{"$ref": reference} for reference in references.values()],
            "discriminator": {"propertyName": "type", "mapping": references},
        },
        "examples": {kind.slug: {"value": _example(kind)} for kind in in_order},
    }


def _schema(kind: type[Problem]) -> dict[str, Any]:
    schema = ProblemDocument.model_json_schema(ref_template=_REFERENCE)
    schema.pop("$defs")
    schema |= {"title": component_name(kind), "description": (kind.__doc__ or "").strip()}
    properties = schema["properties"]
    properties["type"] = {"type": "string", "const": f"/problems/{kind.slug}"}
    properties["status"] = {"type": "integer", "const": kind.status}
    # An absent member is left out, never null.
    properties["instance"] = {"type": "string", "description": "The path of the request"}
    del properties["errors"]
    if issubclass(kind, Invalid):
        properties["errors"] = {"type": "array", "items": {"$ref": _REFERENCE.format(model=FieldError.__name__)}}
        schema["required"] = [*schema["required"], "errors"]
    properties |= kind.members
    return schema


def _example(kind: type[Problem]) -> dict[str, Any]:
    shown = kind((kind.__doc__ or "").strip(), errors=[_WRONG_FIELD] if issubclass(kind, Invalid) else ())
    document = shown.document(_PATH)
    return document | {
        name: member["examples"][0] for name, member in kind.members.items() if "examples" in member
    }
