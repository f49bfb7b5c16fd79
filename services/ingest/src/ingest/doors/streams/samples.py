"""Ready-made requests for a stream: its real URL, its real fields, in the languages that callers write."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

TOKEN: Final = "YOUR_STREAM_TOKEN"  # noqa: S105 - what a caller puts a token in the place of
CONTACT: Final = {"phone_number": "+14155550123", "name": "Ada Lovelace", "email": "ada@example.com"}
_OF_CONTACTS: Final = frozenset(
    {"contact", "name", "first_name", "last_name", "email", "phone_number", "external_id", "locale", "timezone"}
)


class Sample(NamedTuple):
    """One request in one language."""

    language: str
    code: str


def fields_of(paths: Iterable[str]) -> list[str]:
    """Return the variables among the root paths of templates that the caller gives and no contact has."""
    return sorted(
        {path for path in paths if path.split(".")[0] not in _OF_CONTACTS and not path.startswith("contact_")}
    )


def nested(fields: Sequence[str]) -> dict[str, Any]:
    """Return a value for each field, `order.id` inside an object `order`."""
    values: dict[str, Any] = {}
    for field in fields:
        *parents, last = field.split(".")
        here = values
        for parent in parents:
            inner = here.get(parent)
            if not isinstance(inner, dict):
                inner = here[parent] = {}
            here = inner
        here.setdefault(last, "string")
    return values


def _json(body: dict[str, Any]) -> str:
    return json.dumps(body, indent=4, ensure_ascii=False)


def _shell(url: str, body: dict[str, Any]) -> str:
    quoted = _json(body).replace("'", "'\\''")
    return (
        f"curl --location '{url}' \\\n"
        f"--header 'Authorization: {TOKEN}' \\\n"
        f"--header 'Content-Type: application/json' \\\n"
        f"--data '{quoted}'"
    )


def _javascript(url: str, body: dict[str, Any]) -> str:
    return (
        f"const response = await fetch({json.dumps(url)}, {{\n"
        f'  method: "POST",\n'
        f'  headers: {{ Authorization: "{TOKEN}", "Content-Type": "application/json" }},\n'
        f"  body: JSON.stringify({_json(body)}),\n"
        f"}});\n"
        f"console.log(response.status, await response.json());"
    )


def _python(url: str, body: dict[str, Any]) -> str:
    return (
        f"import json\n"
        f"from urllib.request import Request, urlopen\n\n"
        f"request = Request(\n"
        f"    {url!r},\n"
        f"    data=json.dumps({body!r}).encode(),\n"
        f'    headers={{"Authorization": "{TOKEN}", "Content-Type": "application/json"}},\n'
        f")\n"
        f"with urlopen(request) as response:\n"
        f"    print(response.status, json.load(response))"
    )


def _php(url: str, body: dict[str, Any]) -> str:
    quoted = _json(body).replace("\\", "\\\\").replace("'", "\\'")
    return (
        f"<?php\n"
        f"$curl = curl_init('{url}');\n"
        f"curl_setopt_array($curl, [\n"
        f"    CURLOPT_POST => true,\n"
        f"    CURLOPT_RETURNTRANSFER => true,\n"
        f"    CURLOPT_HTTPHEADER => ['Authorization: {TOKEN}', 'Content-Type: application/json'],\n"
        f"    CURLOPT_POSTFIELDS => '{quoted}',\n"
        f"]);\n"
        f"echo curl_exec($curl);"
    )


def _go(url: str, body: dict[str, Any]) -> str:
    return (
        f"package main\n\n"
        f'import (\n\t"fmt"\n\t"io"\n\t"net/http"\n\t"strings"\n)\n\n'
        f"func main() {{\n"
        f"\tbody := strings.NewReader({json.dumps(json.dumps(body))})\n"
        f'\trequest, _ := http.NewRequest("POST", {json.dumps(url)}, body)\n'
        f'\trequest.Header.Set("Authorization", "{TOKEN}")\n'
        f'\trequest.Header.Set("Content-Type", "application/json")\n'
        f"\tresponse, err := http.DefaultClient.Do(request)\n"
        f"\tif err != nil {{\n\t\tpanic(err)\n\t}}\n"
        f"\tdefer response.Body.Close()\n"
        f"\tanswer, _ := io.ReadAll(response.Body)\n"
        f"\tfmt.Println(response.Status, string(answer))\n"
        f"}}"
    )


_WRITERS: Final = {"shell": _shell, "javascript": _javascript, "python": _python, "php": _php, "go": _go}


def samples(url: str, body: dict[str, Any]) -> list[Sample]:
    """Return the request that posts `body` to `url`, once in each language."""
    return [Sample(language, write(url, body)) for language, write in _WRITERS.items()]
