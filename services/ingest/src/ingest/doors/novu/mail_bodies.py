"""Email bodies of Novu's editors as HTML: block documents of the current one, lists of blocks of the one before."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any, Final

import orjson

_ELEMENT: Final = re.compile(r"<[A-Za-z!/][^>]*>")
_MOST_DEPTH: Final = 30
_MARKS: Final = {"bold": "strong", "italic": "em", "underline": "u", "strike": "s", "code": "code"}
_CONTAINERS: Final = {
    "paragraph": "p", "bulletList": "ul", "orderedList": "ol", "listItem": "li", "blockquote": "blockquote",
    "section": "div", "columns": "div", "column": "div", "footer": "p", "doc": None,
}  # fmt: skip


class UnreadableBody(ValueError):  # noqa: N818 - a finding about what somebody wrote
    """The body uses blocks that we cannot turn into HTML."""


def content_of(body: str) -> dict[str, str]:
    """Return `html` or `text` from the body of a current email step.

    Raises UnreadableBody.
    """
    if body.lstrip().startswith("{") and '"type"' in body:
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if isinstance(document, dict):
            return {"html": _node(document, 0)}
    return {"html": body} if _ELEMENT.search(body) else {"text": body}


def legacy_content_of(content: Any) -> dict[str, str]:
    """Return `html` or `text` from the content of an email template of the first version. Raises UnreadableBody."""
    if isinstance(content, str):
        return content_of(content)
    if not isinstance(content, list):
        raise UnreadableBody("the content is neither a text nor a list of blocks")
    return {"html": "".join(_legacy_block(block) for block in content)}


def _legacy_block(block: Any) -> str:
    match block:
        case {"type": "button", "content": str(label), "url": str(url)}:
            return f'<p><a href="{_attribute(url)}">{label}</a></p>'
        case {"type": "text", "content": str(text)}:
            return f"<p>{text}</p>"
        case _:
            raise UnreadableBody("a block is neither a text nor a button")


def _node(node: Any, depth: int) -> str:
    if not isinstance(node, dict) or depth > _MOST_DEPTH:
        raise UnreadableBody("the body is not a document of blocks")
    kind = node.get("type")
    attributes = node.get("attrs") or {}
    inner = "".join(_node(child, depth + 1) for child in node.get("content") or [])
    if kind in _CONTAINERS:
        element = _CONTAINERS[kind]
        return inner if element is None else f"<{element}>{inner}</{element}>"
    show = _NODES.get(str(kind))
    if show is None:
        raise UnreadableBody(f"the block {kind!r} is not supported")
    return show(node, attributes, inner)


def _text(node: Mapping[str, Any], _: Mapping[str, Any], __: str) -> str:
    return _marked(_escaped(str(node.get("text", ""))), node.get("marks") or [])


def _marked(text: str, marks: Sequence[Mapping[str, Any]]) -> str:
    for mark in marks:
        kind = mark.get("type")
        if kind == "link":
            text = f'<a href="{_attribute(str((mark.get("attrs") or {}).get("href", "")))}">{text}</a>'
        elif kind in _MARKS:
            text = f"<{_MARKS[kind]}>{text}</{_MARKS[kind]}>"
    return text


def _variable(node: Mapping[str, Any], attributes: Mapping[str, Any], _: str) -> str:
    path, fallback = str(attributes.get("id", "")), attributes.get("fallback")
    if not re.fullmatch(r"[A-Za-z_][\w.\-\[\]]*", path):
        raise UnreadableBody(f"{path!r} is not a variable")
    alternative = f" | default: {orjson.dumps(fallback).decode()}" if isinstance(fallback, str) and fallback else ""
    return _marked(f"{{{{ {path}{alternative} }}}}", node.get("marks") or [])


def _heading(_: Mapping[str, Any], attributes: Mapping[str, Any], inner: str) -> str:
    level = attributes.get("level")
    size = level if level in {1, 2, 3} else 1
    return f"<h{size}>{inner}</h{size}>"


def _button(_: Mapping[str, Any], attributes: Mapping[str, Any], __: str) -> str:
    label, url = str(attributes.get("text", "")), str(attributes.get("url", ""))
    url = f"{{{{ {url} }}}}" if attributes.get("isUrlVariable") else _attribute(url)
    label = f"{{{{ {label} }}}}" if attributes.get("isTextVariable") else _escaped(label)
    return f'<p><a href="{url}">{label}</a></p>'


def _image(_: Mapping[str, Any], attributes: Mapping[str, Any], __: str) -> str:
    source, alternative = str(attributes.get("src", "")), str(attributes.get("alt") or "")
    return f'<img src="{_attribute(source)}" alt="{_attribute(alternative)}">'


def _escaped(text: str) -> str:
    return escape(text, quote=False)


def _attribute(text: str) -> str:
    return escape(text)


_NODES: Final[dict[str, Callable[[Mapping[str, Any], Mapping[str, Any], str], str]]] = {
    "text": _text,
    "variable": _variable,
    "heading": _heading,
    "button": _button,
    "image": _image,
    "hardBreak": lambda *_: "<br>",
    "horizontalRule": lambda *_: "<hr>",
    "spacer": lambda *_: "<br>",
}
