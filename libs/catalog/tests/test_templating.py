"""Templates: what comes out, what is refused, and that nothing runs away."""

from __future__ import annotations

from time import process_time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sluice_catalog.templating import (
    MissingVariable,
    TemplateLimitExceeded,
    TemplateProblem,
    TemplateRenderProblem,
    TemplateSyntaxProblem,
    parse,
)
from sluice_catalog.templating.compiled import CompiledTemplate
from sluice_catalog.templating.engine import environment
from sluice_catalog.templating.filters import ALLOWED
from sluice_catalog.templating.problems import MAX_OUTPUT_BYTES
from sluice_catalog.templating.variables import render_values

WELL_UNDER_A_SECOND = 0.9


def render(source: str, values: dict[str, Any] | None = None, *, escape_html: bool = False) -> str:
    return parse(source, escape_html=escape_html).render(values or {})


@pytest.mark.parametrize(
    ("source", "values", "expected"),
    [
        ("Your code is {{code}}", {"code": 123456}, "Your code is 123456"),
        ("{{ contact.attributes.plan }}", {"contact": {"attributes": {"plan": "pro"}}}, "pro"),
        ("{{ name | default: 'there' }}", {}, "there"),
        ("{{ name | default: 'there' }}", {"name": None}, "there"),
        ("{{ name | upcase }}!", {"name": "ada"}, "ADA!"),
        ("{% if plan == 'pro' %}yes{% else %}no{% endif %}", {"plan": "pro"}, "yes"),
        ("{% if plan %}yes{% else %}no{% endif %}", {}, "no"),
        ("{% for item in items %}{{ forloop.index }}{{ item.n }} {% endfor %}", {"items": [{"n": "a"}, {"n": "b"}]},
         "1a 2b "),
        ("{{ when | date: '%d.%m.%Y' }}", {"when": "2026-03-01T10:00:00Z"}, "01.03.2026"),
        ("{{ flag }} {{ list }} {{ thing }}", {"flag": True, "list": ["a", 1], "thing": {"a": 1}}, 'true a1 {"a":1}'),
        ("{{ price | times: 2 | round: 1 }}", {"price": 1.26}, "2.5"),
        ("{% raw %}{{ as it is }}{% endraw %}", {}, "{{ as it is }}"),
        ("{{ items[0].name }}{{ items.size }}", {"items": [{"name": "x"}]}, "x1"),
        ("", {}, ""),
    ],
)  # fmt: skip
def test_a_template_renders(source: str, values: dict[str, Any], expected: str) -> None:
    assert render(source, values) == expected


@pytest.mark.parametrize("source", ["{{ a.b }}", "{{ a.b | upcase }}", "{% if true %}{{ a.b }}{% endif %}"])
@pytest.mark.parametrize("values", [{}, {"a": None}, {"a": {}}, {"a": {"b": None}}, {"a": "text"}, {"a": [1]}])
def test_a_variable_that_is_put_out_and_has_no_value_is_named(source: str, values: dict[str, Any]) -> None:
    with pytest.raises(MissingVariable) as caught:
        render(source, values)
    assert caught.value.name == "a.b"


def test_the_variables_of_a_template_are_known_without_rendering_it() -> None:
    source = (
        "{{ code }} {{ contact.first_name }} {% for item in order.items %}{{ item.name }}{% endfor %}"
        "{% assign local = total %}{{ local }} {% if contact['attributes'].plan == 'x' %}{% endif %} {{ map[key] }}"
    )
    assert parse(source, escape_html=False).references == {
        "code", "contact.first_name", "order.items", "total", "contact.attributes.plan", "map", "key",
    }  # fmt: skip
    assert parse("{{ a.b }} {{ c }}", escape_html=True).references == {"a.b", "c"}


@pytest.mark.parametrize(
    ("source", "line", "column"),
    [
        ("Hi {{ name", 1, 4),
        ("a\nb {% if x %}", 2, 13),
        ("a\n  {{ a b }}", 2, 8),
        ("{% include 'other' %}", 1, 4),
        ("{% render 'other' %}", 1, 4),
        ("{% comment %} for ever", 1, 1),
        ("{{ a | shout }}", 1, 8),
        ("{{ a | safe }}", 1, 8),
        ("x" * 70_000, 1, 1),
    ],
)
def test_a_syntax_problem_tells_its_place(source: str, line: int, column: int) -> None:
    with pytest.raises(TemplateSyntaxProblem) as caught:
        parse(source, escape_html=False)
    assert (caught.value.line, caught.value.column) == (line, column)


BOMBS = {
    "nested loops": "{% for a in (1..1000) %}{% for b in (1..1000) %}x{% endfor %}{% endfor %}",
    "loops one after another": "{% for a in (1..4000) %}{% endfor %}" * 1000,
    "a reversed range": "{% for a in (1..1000000000) reversed %}x{% endfor %}",
    "an offset into a range": "{% for a in (1..1000000000) offset: 999999990 %}x{% endfor %}",
    "a joined range": "{{ (1..1000000000) | join }}",
    "deep nesting": "{% for a in (1..10) %}" * 12 + "x" + "{% endfor %}" * 12,
    "deeper nesting": "{% if a %}" * 500 + "{% endif %}" * 500,
    "chained replace": "{{ 'a'" + " | replace: 'a', 'aaaaaaaaaa'" * 12 + " }}",
    "a growing capture": "{% capture a %}xxxxxxxx{% endcapture %}" + "{% capture a %}{{a}}{{a}}{% endcapture %}" * 40,
    "a growing assignment": "{% assign a = 'xxxxxxxx' %}" + "{% assign a = a | append: a %}" * 40,
    "a growing number": "{% assign a = 9 %}" + "{% assign a = a | times: a %}" * 60,
    "rounding to a billion digits": "{{ 5 | round: -1000000000 }}",
    "a wide date": "{{ 5 | date: '" + "%100000000d" * 20 + "' }}",
    "work without output": "{% for a in (1..4000) %}" + "{% if true and true %}{% endif %}" * 1500 + "{% endfor %}",
    "long conditions": "{% for a in (1..4000) %}" + ("{% if " + " and ".join(["true"] * 120) + " %}{% endif %}") * 60
    + "{% endfor %}",
    "searching long texts": "{% for a in (1..4000) %}"
    + ("{% if " + " and ".join(["big contains 'xy'"] * 40) + " %}{% endif %}") * 60 + "{% endfor %}",
    "long output": "{{ big }}" * 3000,
    "long output by the engine": "{{ big | upcase }}" * 3000,
    "openers": "{{" * 30_000,
    "raw openers": "{% raw %}" * 7000,
    "blank space": "{{" + " " * 60_000 + "}}",
    "brackets": "{{ a" + "[a" * 300 + "]" * 300 + " }}",
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_that_explodes_is_refused_or_stopped_at_once(name: str) -> None:
    began = process_time()
    with pytest.raises(TemplateProblem):
        render(BOMBS[name], {"big": "x" * 400_000 + "xy"})
    assert process_time() - began < WELL_UNDER_A_SECOND


def test_the_limits_leave_room_for_a_long_newsletter() -> None:
    source = "{% for row in rows %}<tr><td>{{ row.name | upcase }}</td><td>{{ row.price }}</td></tr>{% endfor %}"
    rows = [{"name": f"thing {number}", "price": number} for number in range(1000)]
    assert len(render(source, {"rows": rows}, escape_html=True)) > 30_000


@pytest.mark.parametrize("source", ["{{ a | divided_by: 0 }}", "{% if a > 'x' %}{% endif %}"])
def test_values_that_do_not_fit_are_a_problem_of_the_template(source: str) -> None:
    with pytest.raises(TemplateRenderProblem):
        render(source, {"a": 1})


def test_output_is_measured_in_bytes() -> None:
    assert len(render("{{ a }}", {"a": "x" * 200_000})) == 200_000
    with pytest.raises(TemplateLimitExceeded):
        render("{{ a }}", {"a": "€" * 100_000})


def test_the_authors_html_stays_and_the_values_are_escaped() -> None:
    source = "<b>{{ name }}</b>{% capture c %}<i>{{ name }}</i>{% endcapture %}{{ c }}{{ name | append: '<br>' }}"
    assert render(source, {"name": "<x>"}, escape_html=True) == ("<b>&lt;x&gt;</b><i>&lt;x&gt;</i>&lt;x&gt;<br>")
    assert render("{{ name }}", {"name": "<x>"}) == "<x>"


WORDS_OF_THE_LANGUAGE = {"and", "or", "not", "if", "else", "in", "for", "as", "with", "cols", "true", "nil", "null"}
"""The short ones: a template that uses one as a name is refused when it is written."""

names = st.from_regex(r"[a-z_][a-z0-9_]{0,3}", fullmatch=True).filter(lambda name: name not in WORDS_OF_THE_LANGUAGE)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=8
)
paths = st.lists(names, min_size=1, max_size=3).map(".".join)
texts = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=20)
sources = st.lists(texts | paths.map(lambda path: "{{ " + path + " }}"), max_size=6).map("".join)


def outcome(template: CompiledTemplate, given_values: dict[str, Any]) -> str:
    try:
        return template.render(given_values)
    except TemplateProblem as problem:
        return f"{type(problem).__name__}: {problem}"


@example(source="one\r\ntwo\rthree", given_values={}, escape_html=False)
@settings(deadline=None)
@given(source=sources, given_values=st.dictionaries(names, values, max_size=5), escape_html=st.booleans())
def test_the_fast_path_renders_as_the_engine_does(source: str, given_values: dict[str, Any], escape_html: bool) -> None:
    fast = parse(source, escape_html=escape_html)
    engine = environment(escape_html=escape_html).from_string(source)
    slow = CompiledTemplate(fast.references, escape_html=escape_html, template=engine)
    assert outcome(fast, given_values) == outcome(slow, given_values)


@pytest.mark.parametrize("word", sorted(WORDS_OF_THE_LANGUAGE))
def test_a_word_of_the_language_is_no_name(word: str) -> None:
    with pytest.raises(TemplateSyntaxProblem):
        parse(f"{{{{ a.{word} }}}}", escape_html=False)


def test_the_fast_path_is_taken_for_plain_templates_only() -> None:
    assert parse("Hi {{ a.b }} {{c}}", escape_html=False).is_plain
    for source in ("{{ a | upcase }}", "{{- a }}", "{{ a.size }}", "{{ true }}", "{% if a %}{% endif %}", "{{ a[0] }}"):
        assert not parse(source, escape_html=False).is_plain


calls = st.sampled_from(sorted(ALLOWED)).flatmap(
    lambda name: st.sampled_from(["", ": other", ": '<i>'", ": 2", ": '<', other", ": 1, 3"]).map(
        lambda arguments: f" | {name}{arguments}"
    )
)


@settings(deadline=None)
@given(chain=st.lists(calls, min_size=1, max_size=4).map("".join))
def test_no_chain_of_filters_lets_markup_of_a_value_through(chain: str) -> None:
    hostile = "<script>alert(1)</script>"
    template = parse("{{ value" + chain + " }}", escape_html=True)
    try:
        text = template.render({"value": hostile, "other": "<script>"})
    except TemplateProblem:
        return
    assert "<script" not in text.lower()


@settings(deadline=None)
@given(
    source=st.text(st.sampled_from("{}%| .'\"ab1-\n[]():,=<") | st.characters(exclude_categories=["Cs"]), max_size=60)
)
def test_any_text_either_parses_or_is_a_syntax_problem(source: str) -> None:
    try:
        template = parse(source, escape_html=False)
    except TemplateSyntaxProblem:
        return
    outcome(template, {"a": 1, "b": "x"})


PATHS = ["first_name", "contact.first_name", "contact_email", "contact.attributes.plan", "contact_attributes.plan",
         "contact", "contact.attributes", "first_name.x", "x", "x.y", "nowhere"]  # fmt: skip
scalars = st.none() | st.text(max_size=5) | st.integers() | st.booleans() | st.just({"y": "<b>"}) | st.just(["a", 1])


@given(
    pieces=st.lists(st.sampled_from([f"{{{{ {path} }}}}" for path in PATHS]) | st.just(" & "), max_size=4),
    people=st.lists(st.tuples(scalars, scalars, scalars), min_size=1, max_size=3),
    variables=st.dictionaries(st.sampled_from(["x", "first_name", "contact", "contact_email"]), scalars, max_size=2),
    escape_html=st.booleans(),
)
def test_many_contacts_get_what_each_would_get_alone(
    pieces: list[str], people: list[tuple[Any, ...]], variables: dict[str, Any], escape_html: bool
) -> None:
    template = parse("".join(pieces), escape_html=escape_html)
    columns = list(zip(*people, strict=True))
    fields = dict(zip(("first_name", "email", "attributes.plan"), columns, strict=True))
    texts = template.render_columns(fields, variables)
    for place, text in enumerate(texts or ()):
        row = {path: column[place] for path, column in fields.items()}
        try:
            alone = template.render(render_values(row, variables))
        except MissingVariable:
            alone = None
        assert text == alone


def test_what_is_too_long_for_one_is_not_rendered_for_many() -> None:
    columns = {"first_name": ["Ada", "a" * (MAX_OUTPUT_BYTES + 1), None]}
    texts = parse("Hi {{ first_name }}{{ x }}", escape_html=False).render_columns(columns, {"x": "!"})
    assert texts == ["Hi Ada!", None, None]


def test_what_needs_the_engine_is_not_rendered_for_many() -> None:
    assert parse("{{ first_name | upcase }}", escape_html=False).render_columns({"first_name": ["Ada"]}, {}) is None
