from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from sluice_contracts.base import Message
from sluice_contracts.publish.__main__ import publish
from sluice_contracts.publish.documents import documents
from sluice_contracts.publish.examples import read_examples
from sluice_contracts.publish.schemas import json_schema
from sluice_contracts.publish.traffic import message_types, traffic
from sluice_contracts.topics import catalogue

PUBLISHED = Path(__file__).parents[3] / "docs" / "topics"


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return documents()


@pytest.fixture(scope="module")
def asyncapi(generated: dict[str, str]) -> Any:
    return yaml.safe_load(generated["asyncapi.yaml"])


def test_what_is_published_is_what_the_models_say(generated: dict[str, str]) -> None:
    committed = {
        str(path.relative_to(PUBLISHED)): path.read_text(encoding="utf-8")
        for path in PUBLISHED.rglob("*")
        if path.is_file()
    }
    assert sorted(committed) == sorted(generated), "run `make contracts`"
    different = [name for name in generated if committed[name] != generated[name]]
    assert different == [], "run `make contracts`"


def test_publishing_again_changes_nothing_and_removes_only_its_own(tmp_path: Path, generated: dict[str, str]) -> None:
    publish(tmp_path)
    (tmp_path / "notes.yaml").write_text("mine: true\n")
    (tmp_path / "old.yaml").write_text((tmp_path / "control.yaml").read_text())
    publish(tmp_path)
    names = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {*generated, "notes.yaml"}


def test_every_topic_has_a_page(generated: dict[str, str]) -> None:
    assert [flow.topic for flow in traffic()] == list(catalogue())
    for topic in catalogue():
        page = yaml.safe_load(generated[f"{topic.name}.yaml"])
        assert page["topic"] == topic.name
        for message in page["messages"]:
            assert (PUBLISHED / message["schema"]).is_file()
            assert message["examples"]
            assert all((PUBLISHED / example).is_file() for example in message["examples"])


@pytest.mark.parametrize("message", message_types(), ids=lambda message: message.TYPE)
def test_every_example_fits_its_published_schema(message: type[Message]) -> None:
    schema = json_schema(message)
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    for name, payload in read_examples(message).items():
        assert list(validator.iter_errors(payload)) == [], name
        assert not validator.is_valid({**payload, "type": "something.else.v1"})
        assert not validator.is_valid({"type": message.TYPE})


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for entry in value for found in _references(entry)]
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [found for entry in value.values() for found in _references(entry)]
    return []


def test_every_reference_of_the_asyncapi_document_leads_somewhere(generated: dict[str, str], asyncapi: Any) -> None:
    references = _references(asyncapi)
    assert references
    for reference in references:
        if reference.startswith("./"):
            assert reference.removeprefix("./") in generated
            continue
        here: Any = asyncapi
        for step in reference.removeprefix("#/").split("/"):
            here = here[step]


def test_the_asyncapi_document_names_each_channel_and_both_its_ends(asyncapi: Any) -> None:
    assert asyncapi["asyncapi"] == "3.0.0"
    assert list(asyncapi["channels"]) == [topic.name for topic in catalogue()]
    ends = {(entry["action"], entry["channel"]["$ref"]) for entry in asyncapi["operations"].values()}
    assert ends == {(action, f"#/channels/{topic.name}") for topic in catalogue() for action in ("send", "receive")}


def test_schemas_are_json_that_names_itself(generated: dict[str, str]) -> None:
    for name, text in generated.items():
        if name.startswith("schemas/"):
            assert json.loads(text)["$id"] == f"urn:sluice:{Path(name).stem}"
