"""The carriers' official OpenAPI files, where they are present: what they demand of a body."""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from openapi_schema_validator import OAS30Validator, OAS31Validator, oas30_format_checker, oas31_format_checker

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "specs"
PRESENT = (FOLDER / "ups" / "Tracking.yaml").exists()


@cache
def spec(file: str) -> dict[str, Any]:
    return yaml.load((FOLDER / file).read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, answer or push of one official file; `status` is "" for what is sent to the carrier or pushed by it."""

    file: str
    method: str
    path: str
    status: str = ""
    media: str = "application/json"
    schema: str = ""  # named where the file does not tie it to the call

    def __str__(self) -> str:
        return " ".join(part for part in (self.file, self.method.upper(), self.path, self.status, self.schema) if part)

    def find(self) -> dict[str, Any]:
        """The schema of the body."""
        if self.schema:
            return {"$ref": f"#/components/schemas/{self.schema}"}
        whole = spec(self.file)
        call = whole.get("paths", {}).get(self.path) or whole.get("webhooks", {})[self.path]
        part = call[self.method]
        body = part["responses"][self.status] if self.status else part["requestBody"]
        return dict(body["content"][self.media]["schema"])


def complaints(operation: Operation, body: object) -> list[str]:
    """Everything the official file holds against this body, as `path: what`."""
    whole = spec(operation.file)
    # `allOf` of closed objects can be met by nothing: what is meant is one object with the fields of all (see flat).
    schema = flat(operation.find(), whole) | {"components": flat_components(operation.file)}
    newer = str(whole["openapi"]).startswith("3.1")
    kind = OAS31Validator if newer else OAS30Validator
    validator = kind(schema, format_checker=oas31_format_checker if newer else oas30_format_checker)
    return [f"{_where(error.absolute_path)}: {_short(error.message)}" for error in validator.iter_errors(body)]


def _short(message: str) -> str:
    return message if len(message) < 200 else f"{message[:90]} ... {message[-90:]}"


def _where(path: Any) -> str:
    return "/".join(re.sub(r"^\d+$", "*", str(part)) for part in path) or "."


@cache
def flat_components(file: str) -> dict[str, Any]:
    whole = spec(file)
    schemas = {name: flat(schema, whole) for name, schema in whole["components"]["schemas"].items()}
    return {"schemas": schemas}


def flat(schema: Any, whole: dict[str, Any]) -> Any:
    """The same schema with every `allOf` of objects joined to one object: closed when one of the joined says so."""
    if isinstance(schema, list):
        return [flat(each, whole) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "allOf" not in schema:
        return {key: flat(each, whole) for key, each in schema.items()}
    own = {key: each for key, each in schema.items() if key != "allOf"}
    joined: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
    for part in [*schema["allOf"], own]:
        while "$ref" in part:
            part = whole["components"]["schemas"][part["$ref"].rsplit("/", 1)[-1]]
        part = flat(part, whole)
        joined["properties"] |= part.get("properties", {})
        joined["required"] += part.get("required", [])
        if part.get("additionalProperties") is False:
            joined["additionalProperties"] = False
    if not joined["required"]:
        del joined["required"]
    return joined


@dataclass(frozen=True, slots=True)
class Deviation:
    """A place where the carrier's real answers break its own file, and who says so."""

    file: str
    complaint: str  # regular expression over `path: what`
    source: str


def undeclared(operation: Operation, body: object, declared: tuple[Deviation, ...], used: set[Deviation]) -> list[str]:
    """The complaints that no declared deviation covers; those that do are added to `used`."""
    left = []
    for complaint in complaints(operation, body):
        known = [each for each in declared if each.file == operation.file and re.search(each.complaint, complaint)]
        used.update(known)
        if not known:
            left.append(complaint)
    return left
