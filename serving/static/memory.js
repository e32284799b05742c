// What the page keeps over a reload, in the session storage: the pictures with their answers, and what was chosen.

import { Picture } from "./picture.js";
import { load, store } from "./storage.js";

/**
 * @typedef {import("./picture.js").Outcome} Outcome
 * @typedef {Record<string, string>} Choices
 * @typedef {{ name: string, type: string, file: string, outcome: Outcome | null, thumbnail: string }} Item
 */

const KEY = "thimble-page";
const MAX_CHARACTERS = 4_500_000; // browsers give a site about 5 million
const MAX_FILE_BYTES = 300_000; // a larger one would take the place of many
const MAX_READ_BYTES = 10_000_000; // more than are kept: which are is decided later
/** @type {WeakMap<Blob, string>} data: URLs of small files */
const encoded = new WeakMap();

/**
 * Read those small files that a later call of keep can keep.
 * @param {Picture[]} pictures newest first
 */
export async function readSmallFiles(pictures) {
  let room = MAX_READ_BYTES;
  const files = pictures.flatMap(({ file }) => (file && file.size <= MAX_FILE_BYTES && (room -= file.size) > 0 ? [file] : []));
  await Promise.all(files.filter((file) => !encoded.has(file)).map(async (file) => encoded.set(file, await dataUrl(file))));
}

/**
 * Keep the pictures, and the files that were read for which there is room; return how many pictures are kept.
 * @param {Picture[]} pictures newest first
 * @param {Choices} choices
 */
export function keep(pictures, choices) {
  /** @type {Item[]} */
  let items = pictures.map(({ name, file, outcome, thumbnail }) => ({ name, type: file?.type ?? "", file: "", outcome, thumbnail }));
  let room = MAX_CHARACTERS - JSON.stringify(items).length;
  const unansweredFirst = [...pictures.entries()].sort(([, one], [, other]) => Number(Boolean(one.outcome)) - Number(Boolean(other.outcome)));
  for (const [place, { file }] of unansweredFirst) {
    const url = (file && encoded.get(file)) ?? "";
    if (url.length > room) continue;
    room -= url.length;
    items[place].file = url;
  }
  if (store(KEY, JSON.stringify({ items, choices }))) return items.length;
  items = items.map((item) => ({ ...item, file: "", thumbnail: "", outcome: withoutSeen(item.outcome) }));
  while (!store(KEY, JSON.stringify({ items, choices })) && items.length) items = items.slice(0, Math.floor(items.length / 2));
  return items.length;
}

/**
 * Return the pictures that were kept, and what was chosen.
 * @returns {{ pictures: Picture[], choices: Choices }}
 */
export function kept() {
  try {
    /** @type {{ items: Item[], choices: Choices }} */
    const { items, choices } = JSON.parse(load(KEY) ?? "");
    return { pictures: items.map(picture), choices };
  } catch { // nothing is kept, or not what this page has written
    return { pictures: [], choices: {} };
  }
}

/** @param {Item} item */
function picture({ name, type, file: url, outcome, thumbnail }) {
  const file = url ? blob(url, type) : null;
  if (file) encoded.set(file, url);
  return new Picture(name, file, outcome, thumbnail);
}

/**
 * @param {Outcome | null} outcome
 * @returns {Outcome | null}
 */
function withoutSeen(outcome) {
  return outcome?.answer ? { answer: { ...outcome.answer, prediction: { ...outcome.answer.prediction, seen: undefined } } } : outcome;
}

/**
 * @param {Blob} file
 * @returns {Promise<string>} empty where the file cannot be read any more
 */
function dataUrl(file) {
  return new Promise((resolve) => {
    const reader = new FileReader();
    reader.addEventListener("load", () => resolve(String(reader.result)));
    reader.addEventListener("error", () => resolve(""));
    reader.readAsDataURL(file);
  });
}

/**
 * @param {string} url a data: URL; the page may not fetch one
 * @param {string} type
 */
function blob(url, type) {
  const bytes = Uint8Array.from(atob(url.slice(url.indexOf(",") + 1)), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type });
}
