// Which model answers: chosen by what it knows. Models that appear or go while the page is open are noticed.

import { byId } from "./elements.js";
import { getJson, send } from "./request.js";

const WATCH_MS = 10_000;

/** @typedef {{ name: string, state: string, role: string, card?: { title: string } }} Listing */

const choosers = () => ["model", "compare", "card-model"].map((id) => byId(id, HTMLSelectElement));

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
 * @param {() => void} changed called where a chosen model has gone
 */
export function watch(say, changed) {
  let known = "";
  const look = async () => {
    if (document.hidden) return;
    const response = await send("/", { method: "HEAD" }).catch(() => null);
    const tag = response?.headers.get("ETag") ?? known; // the page has the models' names in it
    if (known && tag !== known) await update(say, changed);
    known = tag;
  };
  setInterval(look, WATCH_MS);
  document.addEventListener("visibilitychange", look);
  look();
}

/**
 * @param {(text: string) => void} say
 * @param {() => void} changed
 */
async function update(say, changed) {
  /** @type {{ models: Listing[] } | null} */
  const listed = await getJson("/models").catch(() => null);
  if (!listed) return;
  const ready = listed.models.filter(({ state, role }) => state === "ready" && role === "classifier");
  const offered = [...byId("card-model", HTMLSelectElement).options].map(({ value }) => value);
  const appeared = ready.filter(({ name }) => !offered.includes(name));
  const gone = offered.filter((name) => !ready.some((model) => model.name === name));
  const lost = ["model", "compare"].some((id) => gone.includes(byId(id, HTMLSelectElement).value));
  for (const chooser of choosers()) {
    for (const option of [...chooser.options]) if (gone.includes(option.value)) option.remove();
    chooser.append(...appeared.map(({ name, card }) => new Option(card?.title ?? name, name)));
  }
  const texts = [...appeared.map(({ name }) => `The model ${name} is new.`), ...gone.map((name) => `The model ${name} has gone.`)];
  say(texts.join(" ") || "The models have changed.");
  fitSamples();
  if (lost) changed();
}
