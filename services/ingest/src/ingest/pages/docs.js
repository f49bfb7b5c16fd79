"use strict";

const METHODS = ["get", "post", "put", "patch", "delete"];
const key = document.getElementById("key");
key.value = sessionStorage.getItem("key") || "";
key.addEventListener("input", () => sessionStorage.setItem("key", key.value));

function element(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [attribute, value] of Object.entries(attributes || {})) made.setAttribute(attribute, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function resolved(schema, root) {
  if (!schema || !schema.$ref) return schema || {};
  return schema.$ref.slice(2).split("/").reduce((part, step) => part[step], root);
}

function typeOf(schema, root) {
  const own = resolved(schema, root);
  if (own.const !== undefined) return JSON.stringify(own.const);
  if (own.enum) return own.enum.map((value) => JSON.stringify(value)).join(" | ");
  const choices = own.anyOf || own.oneOf;
  if (choices) return choices.map((choice) => typeOf(choice, root)).join(" | ");
  if (own.type === "array") return `list of ${typeOf(own.items, root)}`;
  return own.format ? `${own.type} (${own.format})` : own.type || "any";
}

function example(schema, root, depth = 0) {
  const own = resolved(schema, root);
  if (own.examples && own.examples.length) return own.examples[0];
  if (own.default !== undefined) return own.default;
  if (own.const !== undefined) return own.const;
  if (own.enum) return own.enum[0];
  const choices = own.anyOf || own.oneOf;
  if (choices) return example(choices[0], root, depth);
  if (own.type === "array") return depth > 3 ? [] : [example(own.items, root, depth + 1)];
  if (own.type === "object" || own.properties) {
    const needed = own.required || [];
    const named = Object.entries(own.properties || {}).filter(([name]) => needed.includes(name));
    return Object.fromEntries(named.map(([name, inner]) => [name, example(inner, root, depth + 1)]));
  }
  return { string: "", integer: 0, number: 0, boolean: false }[own.type] ?? null;
}

function fields(schema, root) {
  const own = resolved(schema, root);
  if (!own.properties) return null;
  const rows = Object.entries(own.properties).map(([name, inner]) =>
    element("tr", null,
      element("td", null, element("code", null, name), (own.required || []).includes(name) ? " *" : ""),
      element("td", null, typeOf(inner, root)),
      element("td", { class: "soft" }, resolved(inner, root).description || inner.description || "")));
  return element("table", null, element("tbody", null, ...rows));
}

function bodySchema(holder) {
  const content = holder && holder.content;
  return content && content["application/json"] ? content["application/json"].schema : null;
}

async function send(method, path, parameters, inputs, body, output) {
  const query = new URLSearchParams();
  let url = path;
  parameters.forEach((parameter, place) => {
    const value = inputs[place].value;
    if (parameter.in === "path") url = url.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value) query.append(parameter.name, value);
  });
  if (query.size) url += `?${query}`;
  const headers = {};
  if (key.value) headers["X-API-Key"] = key.value;
  if (body) headers["Content-Type"] = "application/json";
  output.textContent = "…";
  try {
    const answer = await fetch(url, { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
    const text = await answer.text();
    let shown = text;
    try { shown = JSON.stringify(JSON.parse(text), null, 2); } catch { /* not JSON: shown as it is */ }
    output.className = answer.ok ? "" : "bad";
    output.textContent = `${answer.status} ${answer.statusText}\n\n${shown}`;
  } catch (error) {
    output.className = "bad";
    output.textContent = String(error);
  }
}

function operationPart(root, path, method, operation) {
  const parameters = operation.parameters || [];
  const inputs = parameters.map((parameter) =>
    element("input", { "aria-label": parameter.name, placeholder: parameter.required ? "needed" : "" }));
  const parameterRows = parameters.map((parameter, place) =>
    element("tr", null,
      element("td", null, element("code", null, parameter.name), parameter.required ? " *" : ""),
      element("td", null, typeOf(parameter.schema, root)),
      element("td", null, inputs[place])));
  const schema = bodySchema(operation.requestBody);
  const body = schema ? element("textarea", { "aria-label": "Body", spellcheck: "false" }) : null;
  if (body) body.value = JSON.stringify(example(schema, root), null, 2);
  const output = element("pre", { "aria-live": "polite" });
  const button = element("button", { type: "button" }, "Send");
  button.addEventListener("click", () => send(method, path, parameters, inputs, body, output));
  const good = Object.entries(operation.responses || {}).find(([status]) => status.startsWith("2"));
  const answer = good ? fields(bodySchema(good[1]), root) : null;
  return element("details", { class: "operation", id: operation.operationId },
    element("summary", null,
      element("span", { class: "method" }, method.toUpperCase()),
      element("code", null, path),
      element("span", { class: "says" }, operation.summary || "")),
    element("div", { class: "inside" },
      operation.description ? element("p", { class: "soft" }, operation.description) : null,
      parameters.length ? element("table", null, element("tbody", null, ...parameterRows)) : null,
      schema ? fields(schema, root) : null,
      body,
      button,
      output,
      answer ? element("p", null, `Answer ${good[0]}`) : null,
      answer));
}

function show(root) {
  document.title = document.getElementById("title").textContent = `${root.info.title} API`;
  const groups = new Map();
  for (const [path, methods] of Object.entries(root.paths)) {
    for (const method of METHODS.filter((name) => methods[name])) {
      const operation = methods[method];
      const tag = (operation.tags || ["Other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, operation]);
    }
  }
  const contents = document.getElementById("contents");
  const place = document.getElementById("operations");
  place.replaceChildren();
  for (const [tag, operations] of groups) {
    contents.append(element("strong", null, tag));
    place.append(element("h2", null, tag));
    for (const [path, method, operation] of operations) {
      const part = operationPart(root, path, method, operation);
      const link = element("a", { href: `#${operation.operationId}` }, operation.summary || path);
      link.addEventListener("click", () => { part.open = true; });
      contents.append(link);
      place.append(part);
    }
  }
  const wanted = document.getElementById(location.hash.slice(1));
  if (wanted) { wanted.open = true; wanted.scrollIntoView(); }
}

fetch("/api/openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById("operations").textContent = `The API's description could not be read: ${error}`;
});
