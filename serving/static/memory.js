// The pictures and their answers, kept over a reload in the session storage, which ends with the tab.

import { Picture } from "./picture.js";

const KEY = "thimble-pictures";
const MAX_FILE_BYTES = 300_000; // larger ones are not kept: the storage has about 5 MB
const MAX_TOTAL_BYTES = 2_500_000; // of files, for the same reason

/**
 * Keep the pictures; of those that fit, the files too.
 * @param {Picture[]} pictures
 */
export async function keep(pictures) {
  let room = MAX_TOTAL_BYTES;
  const items = [];
  for (const { name, file, outcome, thumbnail } of pictures) {
    const fits = file && file.size <= Math.min(MAX_FILE_BYTES, room);
    if (fits) room -= file.size;
    items.push({ name, type: file?.type ?? "", file: fits ? await dataUrl(file) : "", outcome, thumbnail });
  }
  if (!store(items)) store(items.map((item) => ({ ...item, file: "", thumbnail: "" })));
}

/** @param {object[]} items */
function store(items) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(items));
    return true;
  } catch { // it is full
    return false;
  }
}

/**
 * Return the pictures that were kept.
 * @returns {Picture[]}
 */
export function kept() {
  /** @type {{ name: string, type: string, file: string, outcome: import("./picture.js").Outcome | null, thumbnail: string }[]} */
  const items = JSON.parse(sessionStorage.getItem(KEY) ?? "[]");
  return items.map(({ name, type, file, outcome, thumbnail }) => new Picture(name, file ? blob(file, type) : null, outcome, thumbnail));
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
