// Which model answers: chosen by what it knows. Models that appear or go while the page is open are noticed.

import { byId } from "./elements.js";
import { ROOT, send } from "./request.js";

const WATCH_MS = 10_000;

const PARTS = ["lead", "notice", "model", "compare", "card-model", "samples"]; // of the page, by the models that are ready

/** Show the drawings that the chosen model knows. */
export function fitSamples() {
  const chosen = byId("model", HTMLSelectElement).value || "automatic";
  const samples = [...byId("samples").querySelectorAll("button")];
  for (const sample of samples) sample.hidden = !(sample.dataset.models ?? "").split(" ").includes(chosen);
  byId("samples").hidden = samples.every((sample) => sample.hidden);
}

/**
 * Look now and then whether the page has other models than it offers, while it is seen.
 * @param {(text: string) => void} say
 * @param {(lost: string[]) => void} changed called with the parts whose chosen model has gone
 */
export function watch(say, changed) {
  let known = "";
  const look = async () => {
    if (document.hidden) return;
    const response = await send("/", { method: "HEAD" }).catch(() => null);
    const tag = response?.headers.get("ETag") ?? known; // the page has the models' names in it
    if (!known || tag === known || (await update(say, changed))) known = tag; // otherwise it tries again
  };
  setInterval(look, WATCH_MS);
  document.addEventListener("visibilitychange", look);
  look();
}

/**
 * Take over the parts of the page as it is now, with the choices that are still there; return whether it could be had.
 * @param {(text: string) => void} say
 * @param {(lost: string[]) => void} changed
 */
async function update(say, changed) {
  const fresh = await pageNow();
  if (!fresh) return false;
  const before = names();
  const lost = PARTS.filter((id) => replace(byId(id), fresh.getElementById(id)));
  const texts = [
    ...names().filter((name) => !before.includes(name)).map((name) => `The model ${name} is new.`),
    ...before.filter((name) => !names().includes(name)).map((name) => `The model ${name} has gone.`),
  ];
  say(texts.join(" ") || "The models have changed.");
  fitSamples();
  changed(lost);
  return true;
}

/**
 * Return the page as the service has it now; its policy forbids DOMParser to read text as HTML.
 * @returns {Promise<Document | null>} null where it is not available
 */
function pageNow() {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.responseType = "document";
    request.addEventListener("loadend", () => resolve(request.status === 200 ? request.responseXML : null));
    request.open("GET", `${ROOT}/`);
    request.send();
  });
}

function names() {
  return [...byId("card-model", HTMLSelectElement).options].map(({ value }) => value);
}

/**
 * Give a part the content of a newer one; return whether the choice in it is lost.
 * @param {HTMLElement} part
 * @param {HTMLElement | null} newer
 */
function replace(part, newer) {
  if (!newer) return false;
  const chosen = part instanceof HTMLSelectElement ? part.value : "";
  part.replaceChildren(...newer.childNodes);
  part.hidden = newer.hidden;
  if (!(part instanceof HTMLSelectElement)) return false;
  const offered = [...part.options].some(({ value }) => value === chosen);
  part.value = offered ? chosen : part.options[0]?.value ?? "";
  return !offered;
}
