// The answers as a file: CSV for spreadsheets, JSON for programs.

import { create } from "./elements.js";

/** @typedef {import("./picture.js").Picture} Picture */

const COLUMNS = ["file", "model", "version", "label", "probability", "labels", "set", "coverage", "novelty", "novel", "error"];

/**
 * Return a line for each picture, below the names of the columns, as RFC 4180 says.
 * @param {Picture[]} pictures
 */
export function csv(pictures) {
  const lines = pictures.map(({ name, outcome }) => {
    const { set, labels, ...rest } = outcome?.answer?.prediction ?? {};
    /** @type {Record<string, unknown>} */
    const values = { ...rest, file: name, set: set?.join(" | "), labels: labels?.map(({ label }) => label).join(" | "), error: problemText(outcome?.problem) };
    return COLUMNS.map((column) => cell(values[column])).join(",");
  });
  return [COLUMNS.join(","), ...lines, ""].join("\r\n");
}

/**
 * Return a list with the file and its prediction or error for each picture.
 * @param {Picture[]} pictures
 */
export function json(pictures) {
  const items = pictures.map(({ name, outcome }) => {
    if (!outcome?.answer) return { file: name, error: outcome?.problem ?? null };
    const { seen, ...prediction } = outcome.answer.prediction;
    return { file: name, prediction };
  });
  return JSON.stringify(items, null, 2);
}

/** @param {{ title: string, detail: string } | undefined} problem */
const problemText = (problem) => problem && `${problem.title}: ${problem.detail}`;

/** @param {unknown} value */
function cell(value) {
  let text = String(value ?? "");
  if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`; // a spreadsheet would run it as a formula
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * Have the browser save content as a file.
 * @param {string} name
 * @param {Blob} content
 */
export function save(name, content) {
  const link = create("a");
  link.href = URL.createObjectURL(content);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
