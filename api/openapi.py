"""The route table -> an OpenAPI 3.1 document: what is served is what is documented."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from api.problems import CODES, CONTENT_TYPE, status_of
from api.route import AnyRoute, Nothing

Json = dict[str, Any]

REF = "#/components/schemas/{model}"

PROBLEM: Json = {
    "type": "object",
    "description": "An error (RFC 9457). `code` never changes; `pointer` is a JSON Pointer into the body.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "code": {"type": "string"},
        "pointer": {"type": "string"},
        "request_id": {"type": "string"},
        "term": {"type": "string", "description": "The shop's term that refused it"},
        "instead": {
            "type": "array",
            "description": "What the terms allow instead",
            "items": {
                "type": "object",
                "required": ["do", "says"],
                "properties": {"do": {"type": "string"}, "says": {"type": "string"}},
            },
        },
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["pointer", "detail"],
                "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
            },
        },
    },
}

IDEMPOTENCY_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "One key for one intention. The same key with the same body gives the stored answer again, "
    "marked `Idempotent-Replayed: true`; with another body it is refused.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200, "pattern": "^[!-~]+$"},
}
REQUEST_ID: Json = {"description": "Names this request in our log.", "schema": {"type": "string"}}


def codes_of(route: AnyRoute) -> tuple[str, ...]:
    """Every error a route can answer: its own, and those that follow from its shape."""
    codes = ["bad_request", "internal", "not_ready"]
    if route.parameters:
        codes.append("invalid_path")
    if route.scope:
        codes += ["unauthorized", "missing_scope", "rate_limited"]
    if route.has_body:
        codes += ["malformed_json", "too_slow", "body_too_large", "unsupported_media_type"]
    if route.body is not Nothing:
        codes.append("invalid_body")
    codes.append("invalid_query")
    if "cursor" in route.query.model_fields:
        codes.append("invalid_cursor")
    if route.idempotent:
        codes += ["invalid_idempotency_key", "idempotency_key_reused", "idempotency_running"]
    return tuple(dict.fromkeys([*codes, *route.errors]))


def document(
    routes: Sequence[AnyRoute], parameters: Mapping[str, Json], webhooks: Mapping[str, tuple[str, Json]], version: str
) -> Json:
    """The whole document. `webhooks` maps an outbound type to what it says and an example."""
    schemas = _schemas(routes)
    paths: dict[str, Json] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, parameters)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Homeward",
            "version": version,
            "summary": "Carrier tracking and returns for an online shop.",
            "description": "Parcels followed through UPS and USPS, delivery attempts counted with their evidence, "
            "return labels bought once, and the order service told by signed webhooks.",
        },
        "servers": [{"url": "/"}],
        "tags": [{"name": group} for group in dict.fromkeys(route.group for route in routes)],
        "paths": paths,
        "webhooks": {name: _webhook(name, says, example) for name, (says, example) in webhooks.items()},
        "components": {
            "schemas": {**schemas, "Problem": PROBLEM, "Notice": _notice()},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "An API key."}},
        },
    }


def _schemas(routes: Iterable[AnyRoute]) -> Json:
    """The JSON schema of every model a route takes or gives."""
    wanted: dict[tuple[type[BaseModel], Any], None] = {}
    for route in routes:
        if route.body is not Nothing:
            wanted[(route.body, "validation")] = None
        for reply in route.answers.values():
            if reply.model:
                wanted[(reply.model, "serialization")] = None
    _, found = models_json_schema(list(wanted), ref_template=REF)
    return dict(found["$defs"])


def _operation(route: AnyRoute, parameters: Mapping[str, Json]) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "tags": [route.group],
        "parameters": [
            *({"name": name, "in": "path", "required": True, **parameters[name]} for name in route.parameters),
            *_query(route.query),
            *([IDEMPOTENCY_KEY] if route.idempotent else []),
        ],
        "responses": {**_answers(route), **_errors(route)},
        "security": [{"key": [route.scope]}] if route.scope else [],
    }
    if route.description:
        operation["description"] = route.description
    if route.has_body:
        content = {route.takes: {"schema": {} if route.raw else _ref(route.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _ref(model: type[BaseModel]) -> Json:
    return {"$ref": REF.format(model=model.__name__)}


def _query(model: type[BaseModel]) -> list[Json]:
    """Query parameters from a model's fields."""
    schema = model.model_json_schema()
    required = schema.get("required", [])
    found = []
    for name, field in schema.get("properties", {}).items():
        described = {key: value for key, value in field.items() if key not in ("title", "description")}
        found.append(
            {
                "name": name,
                "in": "query",
                "required": name in required,
                "description": field.get("description", ""),
                "schema": _inlined(described, schema.get("$defs", {})),
            }
        )
    return found


def _inlined(field: Json, definitions: Json) -> Json:
    """A query field without references and without null: a parameter is given or it is not."""
    if "anyOf" in field:
        kinds = [kind for kind in field["anyOf"] if kind != {"type": "null"}]
        field = {**{key: value for key, value in field.items() if key not in ("anyOf", "default")}, **kinds[0]}
    if "$ref" in field:
        field = definitions[field["$ref"].rpartition("/")[2]] | field
    return {key: value for key, value in field.items() if key not in ("title", "description", "$ref")}


def _answers(route: AnyRoute) -> Json:
    found: Json = {}
    for status, reply in route.answers.items():
        answer: Json = {"description": reply.description, "headers": {"X-Request-Id": REQUEST_ID}}
        if route.method == "GET" and status == 200:
            answer["headers"]["ETag"] = {"schema": {"type": "string"}}
        if reply.model:
            answer["content"] = {"application/json": {"schema": _ref(reply.model)}}
            if examples := reply.model.model_config.get("json_schema_extra", {}):
                answer["content"]["application/json"]["example"] = examples["examples"][0]  # type: ignore[index]
        elif status != 204:
            binary = {"schema": {"type": "string", "contentMediaType": "application/octet-stream"}}
            answer["content"] = dict.fromkeys(reply.types, binary)
        found[str(status)] = answer
    if route.method == "GET" and 200 in route.answers:
        found["304"] = {"description": "Nothing changed since the answer with this ETag."}
    return found


def _errors(route: AnyRoute) -> Json:
    by_status: dict[int, list[str]] = {}
    for code in codes_of(route):
        by_status.setdefault(status_of(code, route.parameters), []).append(code)
    return {str(status): _error(status, codes) for status, codes in sorted(by_status.items())}


def _error(status: int, codes: Sequence[str]) -> Json:
    examples = {
        code: {
            "value": {
                "type": f"/docs#problem-{code}",
                "title": CODES[code].title,
                "status": status,
                "detail": CODES[code].title,
                "code": code,
                "request_id": "4f1d2c7be0a94c0f8a6f1d2c",
            }
        }
        for code in codes
    }
    return {
        "description": "; ".join(f"`{code}`: {CODES[code].title}" for code in codes),
        "content": {CONTENT_TYPE: {"schema": {"$ref": REF.format(model="Problem")}, "examples": examples}},
    }


def _notice() -> Json:
    return {
        "type": "object",
        "description": "What we tell, signed as Standard Webhooks 1.0 says: headers `webhook-id` (stable over every "
        "try), `webhook-timestamp` and `webhook-signature`.",
        "required": ["type", "timestamp", "data"],
        "properties": {
            "type": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"type": "object", "description": "The full state, with `sequence` counting this subject's news."},
        },
    }


def _webhook(name: str, says: str, example: Json) -> Json:
    return {
        "post": {
            "operationId": "told_" + name.replace(".", "_"),
            "summary": says,
            "tags": ["webhooks"],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": {"$ref": REF.format(model="Notice")}, "example": example},
                },
            },
            "responses": {"2XX": {"description": "Taken. Anything else is sent again, for 30 days."}},
        }
    }
