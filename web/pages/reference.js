/** The page that shows the AsyncAPI and OpenAPI documents. */

import { h } from "./dom.js";
import { Schemas, code } from "./schemas.js";

const main = document.querySelector("main");
const contents = document.querySelector("nav ul");

/** A section of the page, with its entry in the contents. */
function section(title, id, texts, ...children) {
  const below = h("ul");
  contents.append(h("li", {}, h("a", { href: `#${id}` }, title), below));
  for (const child of children) {
    const name = child.querySelector("h3");
    if (name) below.append(h("li", {}, h("a", { href: `#${child.id}` }, name.dataset.short ?? name.textContent)));
  }
  return h("section", { id }, h("h2", {}, title), ...texts.filter(Boolean).map((text) => h("p", {}, text)), ...children);
}

function heading(name, short, ...badges) {
  return h("h3", { dataset: { short } }, code(name), ...badges.filter(Boolean).map((badge) => h("span", { class: "badge" }, badge)));
}

const paragraphs = (...texts) => texts.filter(Boolean).map((text) => h("p", {}, text));

function example(value) {
  return h("pre", { tabIndex: 0, role: "group", "aria-label": "Example" }, code(typeof value === "string" ? value : JSON.stringify(value)));
}

/** A message of a socket. */
function message(schemas, id, one) {
  const args = one.payload.properties?.args;
  const payload = schemas.resolve(args ?? one.payload);
  return h("article", { id },
    heading(one.name, one.name, one.title, one["x-feature"] && `feature ${one["x-feature"]}`),
    ...paragraphs(one.summary, one.description),
    payload.type === "string" ? h("p", {}, "The text ", ...schemas.kind(payload), ", without JSON.") : schemas.fields(payload),
    ...(one.examples ?? []).map(({ payload }) => example(payload)));
}

function sockets(asyncapi) {
  const schemas = new Schemas(asyncapi, "sockets");
  const parts = Object.values(asyncapi.operations).map((operation) => {
    const channel = schemas.resolve(operation.channel);
    const server = schemas.resolve(channel.servers[0]);
    const id = operation.channel.$ref.split("/").pop();
    return section(operation.title, `${id}-${operation.action}`,
      operation.action === "receive" ? [code(`${server.protocol}://${server.host}${channel.address}`), channel.description] : [],
      ...(operation.action === "send" ? [] : [closings(channel)]),
      ...operation.messages.map((ref) => message(schemas, `${id}-${ref.$ref.split("/").pop()}`, schemas.resolve(ref))));
  });
  return [h("p", { class: "lead" }, asyncapi.info.description), ...parts, section("WebSocket schemas", "sockets", [], ...schemas.articles())];
}

function closings(channel) {
  return h("dl", { class: "closings" }, ...Object.entries(channel["x-close-codes"]).map(([number, why]) => h("div", {}, h("dt", {}, code(number)), h("dd", {}, why))));
}

/** The content of a request or a response. */
function body(schemas, { content = {} }) {
  return Object.entries(content).flatMap(([type, { schema }]) => {
    const known = schema?.properties || schema?.allOf ? schemas.fields(schema) : schema && h("p", {}, ...schemas.kind(schema));
    return [h("p", { class: "type" }, type), ...(known ? [known] : [])];
  });
}

function parameters(schemas, list) {
  return h("dl", {}, ...list.map((ref) => schemas.resolve(ref)).map((one) =>
    schemas.field(one.name, { description: one.description, ...schemas.resolve(one.schema) }, one.required, one.in)));
}

/** A route with one method, or an event. */
function operation(schemas, id, name, badges, one, shared = []) {
  const list = [...shared, ...(one.parameters ?? [])];
  const request = one.requestBody && schemas.resolve(one.requestBody);
  return h("article", { id }, heading(name, name, ...badges), ...paragraphs(one.summary),
    ...(list.length > 0 ? [parameters(schemas, list)] : []),
    ...(request ? [h("h4", {}, "Body"), ...paragraphs(request.description), ...body(schemas, request)] : []),
    h("h4", {}, "Responses"),
    h("dl", {}, ...Object.entries(one.responses).map(([status, ref]) => {
      const answer = schemas.resolve(ref);
      const plain = JSON.stringify(answer.content ?? {}).includes("schemas/Error\"");
      return h("div", {}, h("dt", {}, code(status)), h("dd", {}, answer.description, ...(plain ? [] : body(schemas, answer))));
    })));
}

function routes(openapi) {
  const schemas = new Schemas(openapi, "http");
  const all = Object.entries(openapi.paths).flatMap(([path, item]) =>
    ["get", "head", "post", "delete"].filter((method) => item[method]).map((method) => ({ path, method, item, one: item[method] })));
  const parts = openapi.tags.map((tag) => {
    const list = tag.name === "Webhooks"
      ? Object.entries(openapi.webhooks).map(([type, { post }]) => operation(schemas, `event-${type}`, type, [], post))
      : all.filter(({ one }) => one.tags.includes(tag.name)).map(({ path, method, item, one }) => {
        const ports = (item.servers ?? openapi.servers).map(({ url }) => new URL(url).port).join(", ");
        return operation(schemas, `route-${one.operationId}`, `${method.toUpperCase()} ${path}`, [`port ${ports}`], one, item.parameters);
      });
    return section(tag.name, `tag-${tag.name}`, [tag.description], ...list);
  });
  return [h("p", { class: "lead" }, openapi.info.description), ...parts, section("HTTP and webhook schemas", "http", [], ...schemas.articles())];
}

async function load(name) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  return answer.json();
}

try {
  const [asyncapi, openapi] = await Promise.all([load("asyncapi.json"), load("openapi.json")]);
  main.replaceChildren(...sockets(asyncapi), ...routes(openapi));
  const wide = matchMedia("(min-width: 60rem)");
  const open = () => { contents.parentElement.open = wide.matches; };
  wide.addEventListener("change", open);
  open();
  document.getElementById(decodeURIComponent(location.hash.slice(1)))?.scrollIntoView();
} catch {
  main.replaceChildren(h("p", { role: "alert" }, "The documents could not be loaded. Reload the page to try again."));
}
