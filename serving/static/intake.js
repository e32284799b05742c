// The ways in: files that are chosen, dropped (folders too) or pasted. Addresses are refused in words.

import { byId, firstOf } from "./elements.js";

const ADDRESS = /^\s*((https?|ftp|file|data|blob):|www\.)\S+\s*$/i;
const IMAGE_TAG = /<img\s/i; // of HTML that was copied from a page
const HIDDEN = /(^|\/)(\.|(__macosx|@eadir|#recycle|\$recycle\.bin|system volume information|lost\+found)\/)/i;
const IMAGE_NAME = /\.(jpe?g|jpe|jfif|mpo|a?png|webp|gif|bmp|dib|tiff?|avif|p[pgbn]m|hei[cf]s?|hif)$/i;

/** @type {WeakMap<File, string>} */
const droppedPaths = new WeakMap(); // of a chosen folder the browser itself tells them

/**
 * Return the path of a file from the folder that it came with, or its name.
 * @param {File} file
 */
export function pathOf(file) {
  return droppedPaths.get(file) ?? (file.webkitRelativePath || file.name);
}

/**
 * Call with each set of files, and with the reason where there is none.
 * @param {(files: File[]) => void} take
 * @param {(reason: string) => void} refuse
 */
export function listen(take, refuse) {
  for (const input of document.querySelectorAll("#form input[type=file]")) {
    input.addEventListener("change", () => {
      const { files, webkitdirectory } = /** @type {HTMLInputElement} */ (input);
      offer([...(files ?? [])], webkitdirectory, take, refuse);
      /** @type {HTMLInputElement} */ (input).value = ""; // otherwise choosing the same file again would fire no event
    });
  }
  document.addEventListener("paste", (event) => receive(event.clipboardData, event.target, take, refuse));
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // otherwise the browser opens the dropped file
    byId("drop").classList.add("over");
  });
  document.addEventListener("dragleave", ({ relatedTarget }) => byId("drop").classList.toggle("over", relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    byId("drop").classList.remove("over");
    receive(event.dataTransfer, null, take, refuse);
  });
}

/**
 * @param {DataTransfer | null} transfer
 * @param {EventTarget | null} target where text may be meant for
 * @param {(files: File[]) => void} take
 * @param {(reason: string) => void} refuse
 */
async function receive(transfer, target, take, refuse) {
  if (!transfer) return;
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter((entry) => entry !== null && entry !== undefined);
  const text = ["text/uri-list", "text/plain", "text/html"].map((type) => transfer.getData(type)).find(Boolean);
  const files = [...transfer.files];
  if (entries.some((entry) => entry.isDirectory)) {
    offer((await Promise.all(entries.map(filesBelow))).flat(), true, take, refuse);
  } else if (files.length) {
    take(files);
  } else if (!(target instanceof HTMLInputElement) && text) {
    refuse(refusalOf(text));
  }
}

/** @param {string} text */
function refusalOf(text) {
  return ADDRESS.test(text) || IMAGE_TAG.test(text)
    ? "That is the address of a picture. This page fetches nothing from elsewhere: save the picture, then add the file."
    : "That is text, not a picture. Copy the picture itself, or add a file.";
}

/**
 * Take the files; of a folder only the images, without those that systems hide: macOS adds ._photo.jpg to photo.jpg.
 * @param {File[]} files
 * @param {boolean} folder
 * @param {(files: File[]) => void} take
 * @param {(reason: string) => void} refuse
 */
function offer(files, folder, take, refuse) {
  const shown = files.filter((file) => !folder || !HIDDEN.test(pathOf(file)));
  const images = shown.filter(({ name, type }) => !folder || type.startsWith("image/") || IMAGE_NAME.test(name));
  if (images.length) take(images);
  else if (folder) refuse("There is no picture in that folder.");
  const skipped = files.filter((file) => !images.includes(file)).map(({ name }) => name);
  if (images.length && skipped.length) refuse(`Not pictures, so left out: ${firstOf(skipped)}.`);
}

/**
 * Return the files of a dropped file or folder, at any depth.
 * @param {FileSystemEntry} entry
 * @returns {Promise<File[]>}
 */
async function filesBelow(entry) {
  if (entry.isFile) {
    const file = await new Promise((resolve) => /** @type {FileSystemFileEntry} */ (entry).file(resolve, () => resolve(null)));
    if (file) droppedPaths.set(file, entry.fullPath.slice(1));
    return file ? [file] : [];
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) { // a call gives at most a hundred
    const entries = await new Promise((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!entries.length) return found;
    for (const below of entries) found.push(...(await filesBelow(below)));
  }
}
