// The pictures with their answers, and what was chosen, kept over a reload in the session storage, which ends with the tab.

import { Picture } from "./picture.js";
import { load, store } from "./storage.js";

/**
 * @typedef {import("./picture.js").Outcome} Outcome
 * @typedef {{ name: string, type: string, file: string, outcome: Outcome | null, thumbnail: string }} Item
 */

const PICTURES = "thimble-pictures";
const CHOICES = "thimble-choices";
const MAX_CHARACTERS = 4_500_000; // browsers give a site about 5 million
const MAX_FILE_BYTES = 300_000; // a larger one would take the place of many
const CHARACTERS_PER_BYTE = 4 / 3; // Base64

/**
 * Keep the pictures, and the small files for which there is room; return how many pictures are kept, the newest first.
 * @param {Picture[]} pictures newest first
 */
export async function keep(pictures) {
  /** @type {Item[]} */
  let items = pictures.map(({ name, file, outcome, thumbnail }) => ({ name, type: file?.type ?? "", file: "", outcome, thumbnail }));
  let room = MAX_CHARACTERS - JSON.stringify(items).length;
  for (const [place, { file }] of pictures.entries()) {
    const length = Math.ceil((file?.size ?? 0) * CHARACTERS_PER_BYTE) + 100;
    if (!file || file.size > MAX_FILE_BYTES || length > room) continue;
    room -= length;
    items[place].file = await dataUrl(file);
  }
  if (store(PICTURES, JSON.stringify(items))) return items.length;
  items = items.map((item) => ({ ...item, file: "", thumbnail: "", outcome: withoutSeen(item.outcome) }));
  while (items.length && !store(PICTURES, JSON.stringify(items))) items = items.slice(0, Math.floor(items.length / 2));
  return items.length;
}

/**
 * Keep what was chosen.
 * @param {Record<string, string>} choices
 */
export function keepChoices(choices) {
  store(CHOICES, JSON.stringify(choices));
}

/**
 * Return the pictures that were kept.
 * @returns {Picture[]}
 */
export function kept() {
  /** @type {Item[]} */
  const items = JSON.parse(load(PICTURES) ?? "[]");
  return items.map(({ name, type, file, outcome, thumbnail }) => new Picture(name, file ? blob(file, type) : null, outcome, thumbnail));
}

/**
 * Return what was chosen.
 * @returns {Record<string, string>}
 */
export function keptChoices() {
  return JSON.parse(load(CHOICES) ?? "{}");
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
