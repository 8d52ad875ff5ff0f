import { download } from "./transcript.js";

/**
 * Saves a table as a file that spreadsheets read.
 * @param {string} name of the file
 * @param {string[]} head
 * @param {(string|number|null)[][]} rows
 */
export function saveTable(name, head, rows) {
  download(written([head, ...rows]), "text/csv;charset=utf-8", name);
}

/** Rows as RFC 4180 has them, with the mark by which spreadsheets know UTF-8. */
export function written(rows) {
  return `\ufeff${rows.map((row) => `${row.map(cell).join()}\r\n`).join("")}`;
}

/** A text that a spreadsheet would take for a formula is one that begins with a quote. */
function cell(value) {
  if (typeof value !== "string") return value === null ? "" : String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
