import { download } from "./transcript.js";

/**
 * Saves a table as a CSV file for spreadsheets.
 * @param {string} name of the file
 * @param {string[]} head
 * @param {(string|number|null)[][]} rows
 */
export function saveTable(name, head, rows) {
  download(written([head, ...rows]), "text/csv;charset=utf-8", name);
}

/** Formats rows as in RFC 4180, with the byte order mark by which spreadsheets recognise UTF-8. */
export function written(rows) {
  return `\ufeff${rows.map((row) => `${row.map(cell).join()}\r\n`).join("")}`;
}

/** Puts a quote in front of a text that a spreadsheet would take for a formula. */
function cell(value) {
  if (typeof value !== "string") return value === null ? "" : String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
