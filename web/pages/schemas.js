/** Shows JSON Schemas of a document to people. */

import { h } from "./dom.js";

export const code = (text) => h("code", {}, text);

const list = (values) => values.flatMap((value, i) => (i ? [", ", value] : [value]));

/** The bounds, as far as they are given; "" without any. */
function span(least, most, what) {
  if (least === undefined && most === undefined) return "";
  if (least === most) return `${least}${what}`;
  if (most === undefined) return least === 1 && what ? "not empty" : `from ${least}${what}`;
  return least === undefined ? `up to ${most}${what}` : `${least} to ${most}${what}`;
}

export class Schemas {
  /**
   * @param {object} whole the document
   * @param {string} prefix of the ids of its schemas on the page
   */
  constructor(whole, prefix) {
    this.whole = whole;
    this.prefix = prefix;
  }

  /** Resolves a reference. One to another document stays as it is. */
  resolve(node) {
    while (node.$ref?.startsWith("#/")) {
      node = node.$ref.slice(2).split("/").reduce((at, key) => at[key.replaceAll("~1", "/").replaceAll("~0", "~")], this.whole);
    }
    return node;
  }

  /** The type of a value, as nodes. */
  kind(schema) {
    if (schema.$ref) {
      const name = schema.$ref.split("/").pop();
      const address = schema.$ref.startsWith("#/") ? `#${this.prefix}-${name}` : schema.$ref.split("#")[0];
      return [h("a", { href: address }, name)];
    }
    const choices = schema.oneOf ?? schema.anyOf;
    if (choices && !schema.properties) return choices.flatMap((choice, i) => [...(i ? [" or "] : []), ...this.kind(choice)]);
    if (schema.const !== undefined) return [code(JSON.stringify(schema.const))];
    if (schema.enum) return list(schema.enum.map((value) => code(value)));
    const types = [schema.type ?? (schema.allOf || schema.properties ? "object" : "any")].flat();
    const bounds = [
      span(schema.minLength, schema.maxLength, " characters"),
      span(schema.minimum, schema.maximum, ""),
      types.includes("array") ? span(schema.minItems, schema.maxItems, " entries") : "",
    ].filter(Boolean);
    const nodes = [types.join(" or ").replace("array", "list")];
    if (schema.items) nodes.push(" of ", ...this.kind(schema.items));
    if (bounds.length > 0) nodes.push(`, ${bounds.join(", ")}`);
    return nodes;
  }

  /** A field with the fields below it. */
  field(name, schema, required, place) {
    const below = schema.items ?? schema;
    return h("div", {},
      h("dt", {}, code(name), h("span", { class: "type" }, " ", ...this.kind(schema), required ? "" : ", optional", place ? ` (${place})` : ""),
        ...(schema["x-feature"] ? [h("span", { class: "badge" }, `feature ${[schema["x-feature"]].flat().join(" or ")}`)] : [])),
      h("dd", {}, schema.description ?? "", ...(below.properties || below.allOf ? [this.fields(below)] : [])));
  }

  /** All fields of an object. */
  fields(schema) {
    schema = this.resolve(schema);
    const base = (schema.allOf ?? []).filter(({ $ref }) => $ref).map((ref) => h("p", {}, "All of ", ...this.kind(ref), schema.properties ? ", and:" : "."));
    const own = Object.entries(schema.properties ?? {}).map(([name, one]) => this.field(name, one, schema.required?.includes(name)));
    if (own.length === 0) return base.length > 0 ? h("div", {}, ...base) : h("p", {}, "No fields.");
    return h("div", {}, ...base, h("dl", {}, ...own));
  }

  /** The named schemas of the document. */
  articles() {
    return Object.entries(this.whole.components.schemas).map(([name, schema]) => h("article", { id: `${this.prefix}-${name}` },
      h("h3", {}, code(name)),
      ...(schema.description ? [h("p", {}, schema.description)] : []),
      ...(schema.pattern ? [h("p", {}, "Pattern: ", code(schema.pattern))] : []),
      schema.properties || schema.allOf ? this.fields(schema) : h("p", {}, ...this.kind(schema))));
  }
}
