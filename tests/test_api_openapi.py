"""The document is what is served: valid, complete, with an example for everything and every error named."""

import ast
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.app import build, described_api
from api.problems import CODES
from api.routes import ROUTES
from api.static_files import files
from store.engine import Store
from tests.doors import Doors, make_house, open_doors
from webhooks.notices import TYPES

ROOT = Path(__file__).parent.parent


@pytest.fixture
async def doors(sqlite_store: Store) -> AsyncIterator[Doors]:
    async with open_doors(make_house(sqlite_store)) as doors:
        yield doors


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return described_api()


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    OpenAPIV31SpecValidator(document).validate()


def test_every_route_is_documented_and_everything_documented_is_served(
    document: dict[str, Any], sqlite_store: Store
) -> None:
    """The router and the document hold the same addresses; only pages, files and the document itself are not in it."""
    documented = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routed = {
        (route.method, route.resource.canonical)
        for route in build(make_house(sqlite_store)).router.routes()
        if route.resource and route.method != "HEAD"
    }
    pages = re.compile(
        r"/(docs|openapi\.json|follow/.+|static/\{name\}|look/\{name\}|label/\{token\}|ops(/.*)?|\.well-known/security\.txt)?"
    )
    assert {(method, path) for method, path in routed if not pages.fullmatch(path)} == documented


def _validator(document: dict[str, Any], schema: dict[str, Any]) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def test_every_model_that_is_asked_for_or_answered_has_an_example_that_fits(document: dict[str, Any]) -> None:
    """Bodies, answers, problems and webhooks alike."""
    seen = 0
    for path, methods in [*document["paths"].items(), *document["webhooks"].items()]:
        for method, operation in methods.items():
            where = f"{method} {path}"
            body = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if body and body["schema"]:
                name = body["schema"]["$ref"].rpartition("/")[2]
                example = body.get("example") or document["components"]["schemas"][name]["examples"][0]
                _validator(document, body["schema"]).validate(example)
                seen += 1
            for status, answer in operation["responses"].items():
                for content in answer.get("content", {}).values():
                    if "$ref" not in content["schema"]:
                        continue
                    shown = [e["value"] for e in content.get("examples", {}).values()] or [content.get("example")]
                    assert shown != [None], f"{where} {status} has no example"
                    for example in shown:
                        _validator(document, content["schema"]).validate(example)
                        seen += 1
    assert seen > 200


def test_examples_are_what_the_models_themselves_take() -> None:
    """A body's example is accepted, an answer's example is one that the model would give."""
    for route in ROUTES:
        for model in (route.body, *(reply.model for reply in route.answers.values() if reply.model)):
            if model and (extra := model.model_config.get("json_schema_extra")):
                text = json.dumps(extra["examples"][0])
                model.model_validate_json(text, strict=True)


def test_every_outbound_type_is_in_the_document(document: dict[str, Any]) -> None:
    assert set(document["webhooks"]) == TYPES
    for name, hook in document["webhooks"].items():
        example = hook["post"]["requestBody"]["content"]["application/json"]["example"]
        assert example["type"] == name and "sequence" in example["data"]


def test_every_code_that_the_rooms_behind_can_raise_has_a_status_and_a_title() -> None:
    """A refusal in tracker/, returns/ or here that this table does not know would be answered as a nameless 422."""
    found = set()
    for path in [p for room in ("tracker", "returns", "spending", "api") for p in (ROOT / room).glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            raises = isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("Declined", "Refusal", "Problem")
            if raises and node.args and isinstance(node.args[0], ast.Constant):
                found.add(node.args[0].value)
    assert len(found) > 40
    assert not found - set(CODES)


def test_every_code_is_in_the_document(document: dict[str, Any]) -> None:
    """Each error belongs to a call, or to every address (unknown_route, method_not_allowed)."""
    told = set(re.findall(r"#problem-(\w+)", json.dumps(document)))
    assert set(CODES) - told == {"unknown_route", "method_not_allowed"}


async def test_the_document_is_served(doors: Doors, document: dict[str, Any]) -> None:
    status, body, headers = await doors.call("GET", "/openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    assert body == json.loads(json.dumps(document))


async def test_docs_is_one_page_without_third_parties_or_inline_code(doors: Doors) -> None:
    """Every call, every error and every webhook is on it; it loads our own styles and nothing else."""
    _, body, _ = await doors.call("GET", "/docs")
    page = body.decode()
    assert not re.findall(r'(?:src|href)="(?!/|#)', page)
    assert "<script" not in page and "style=" not in page and not re.search(r"\son\w+=", page)
    for route in ROUTES:
        assert f'id="{route.name}"' in page
    for code in CODES:
        assert f'id="problem-{code}"' in page
    for name in TYPES:
        assert f'id="told-{name}"' in page
    for target in re.findall(r'href="#([^"]+)"', page):
        assert f'id="{target}"' in page, target


async def test_static_files_are_kept_for_good_under_the_name_of_their_content(doors: Doors) -> None:
    for file in files().values():
        status, body, headers = await doors.call("GET", file.address)
        assert (status, body, headers["Cache-Control"]) == (200, file.body, "public, max-age=31536000, immutable")
    for path in ("/static/page.css", "/static/page.000000000000.css", "/static/..%2fapp.py", "/static/%2e%2e/app.py"):
        assert (await doors.call("GET", path))[0] == 404
