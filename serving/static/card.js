// A model's card: what it knows, how good it is, where it ends, and its files.

import { byId, create, find, percent } from "./elements.js";
import { getFile, getJson, RequestError } from "./request.js";
import { save } from "./table_file.js";

/**
 * @typedef {{ accuracy: number, n: number, ece: number, set_size: number, set_coverage: number,
 *   f1?: number, map?: number, corrupted?: { accuracy: number, by_corruption: Record<string, number> } }} Metrics
 * @typedef {{
 *   title: string, dataset: string, licence: string, labels: string[], network: string, parameters: number, metrics: Metrics, task?: { kind: string },
 *   conformal: { coverage: number }, novelty?: { share: number, auroc: Record<string, number> },
 *   photos?: { accuracy: number, n: number }, training: { date: string, epoch_accuracy: number[] },
 * }} Card
 * @typedef {{ name: string, version: string, versions: string[], card: Card }} Listing
 */

let opened = 0; // how many cards were asked for; the last one is shown
const SVG = "http://www.w3.org/2000/svg";

/**
 * Open the card of a model.
 * @param {string} name
 */
export async function openCard(name) {
  const dialog = byId("card-dialog", HTMLDialogElement);
  const body = find(dialog, ".card-body", HTMLElement);
  find(dialog, "select", HTMLSelectElement).value = name;
  body.replaceChildren(create("p", "", name ? "Reading …" : "No model is ready."));
  if (!dialog.open) dialog.showModal();
  opened += 1;
  if (!name) return;
  const asked = opened;
  const content = await contentOf(name, dialog.dataset.download === "true");
  if (asked === opened) body.replaceChildren(...content);
}

/**
 * Return what is to be read about a model, or why nothing is.
 * @param {string} name
 * @param {boolean} downloads
 */
async function contentOf(name, downloads) {
  try {
    return describe(await getJson(`/models/${encodeURIComponent(name)}`, ({ card }) => card?.labels && card.metrics && card.training), downloads);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    return [create("p", "wrong", error.message)];
  }
}

/**
 * @param {Listing} listing
 * @param {boolean} downloads
 */
function describe({ name, version, versions, card }, downloads) {
  const files = create("div", "figures");
  const folder = `/models/${encodeURIComponent(name)}/${version}/`;
  if (!card.task) addFigure(files, `${folder}confusion.png`, "Confusion matrix: what each label was taken for", null);
  addFigure(files, `${folder}curves.png`, "Accuracy by epoch of the training", card.training.epoch_accuracy.length > 1 ? () => curve(card.training.epoch_accuracy) : null);
  const labels = create("ul", "labels");
  labels.append(...card.labels.map((label) => create("li", "", label)));
  const others = versions.filter((other) => other !== version);
  const links = create("p", "ways");
  links.append(fileButton(`${folder}README.md`, `${name}.md`, "Save the README"));
  if (downloads) links.append(fileButton(`${folder}model.onnx`, `${name}-${version}.onnx`, "Save the model"));
  return [
    create("h2", "", card.title),
    create("p", "small", `${name}, version ${version}${others.length ? ` (also ${others.join(", ")})` : ""}`),
    create("h3", "", `It knows ${card.labels.length} labels`), labels,
    create("h3", "", "How good it is"), table(figures(card)),
    create("h3", "", "Its limits"), list(limits(card)),
    files, links,
  ];
}

/**
 * @param {Card} card
 * @returns {[string, string][]}
 */
function figures({ metrics, task, conformal, dataset, network, parameters, licence, training }) {
  const { f1 = 0, map = 0 } = metrics;
  /** @type {[string, string][]} */
  const several = task ? [["Label by label", `F1 ${f1.toFixed(3)}, average precision ${map.toFixed(3)}, means over the labels`]] : [];
  return [
    [task ? "All labels right" : "Right", `${percent(metrics.accuracy, 2)} of ${metrics.n.toLocaleString("en")} test pictures`],
    ...several,
    ["Off by", `${percent(metrics.ece)} on average, comparing how sure it says it is with how often it is right`],
    ["Labels offered", `${metrics.set_size.toFixed(2)} on average, to hold ${task ? "each" : "the"} true one in ${percent(conformal.coverage, 0)} of cases (held: ${percent(metrics.set_coverage)})`],
    ["Learned from", dataset],
    ["Network", `${network}, ${parameters.toLocaleString("en")} parameters`],
    ["Trained", training.date.slice(0, 10)],
    ["Licence", licence],
  ];
}

/** @param {Card} card */
function limits({ metrics, task, photos, novelty, dataset }) {
  const corrupted = metrics.corrupted;
  const [worst] = Object.entries(corrupted?.by_corruption ?? {}).sort(([, one], [, other]) => one - other);
  const [hardest] = Object.entries(novelty?.auroc ?? {}).sort(([, one], [, other]) => one - other);
  return [
    `Its figures hold for pictures like those of ${dataset}. It gives ${task ? "none or several of its labels to a picture" : "one of its labels to every picture"}, whatever is in it.`,
    photos && `Of test pictures made into photos it gets ${percent(photos.accuracy)} right.`,
    corrupted && `Of damaged pictures (noise, blur, weather) it gets ${percent(corrupted.accuracy)} right${worst ? `; the worst is ${worst[0]}, with ${percent(worst[1])}` : ""}.`,
    novelty
      ? `It calls ${percent(novelty.share)} of ordinary pictures unlike anything it knows${hardest ? `; of unknown things, it is worst at noticing ${hardest[0]} (AUROC ${hardest[1].toFixed(3)})` : ""}.`
      : "It does not say when a picture shows something that it does not know.",
  ].filter((text) => text !== undefined);
}

/** @param {[string, string][]} rows */
function table(rows) {
  const facts = create("dl", "facts");
  facts.append(...rows.flatMap(([term, text]) => [create("dt", "", term), create("dd", "", text)]));
  return facts;
}

/** @param {string[]} texts */
function list(texts) {
  const items = create("ul", "limits");
  items.append(...texts.map((text) => create("li", "", text)));
  return items;
}

/**
 * Add an image of the model's folder once it is there; a fallback where it is missing.
 * @param {HTMLElement} parent
 * @param {string} path
 * @param {string} caption
 * @param {(() => Element) | null} fallback
 */
async function addFigure(parent, path, caption, fallback) {
  const file = await getFile(path).catch(() => null); // with the key, which an img element would not send
  let content = fallback?.() ?? null;
  if (file) {
    const image = create("img");
    image.alt = caption;
    image.src = URL.createObjectURL(file);
    image.addEventListener("load", () => URL.revokeObjectURL(image.src));
    content = image;
  }
  if (!content) return;
  const figure = create("figure");
  figure.append(content, create("figcaption", "", caption));
  parent.append(figure);
}

/**
 * Return a line of the accuracy, epoch by epoch.
 * @param {number[]} accuracy
 */
function curve(accuracy) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 300 200");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", `From ${percent(accuracy[0] ?? 0)} to ${percent(accuracy.at(-1) ?? 0)} in ${accuracy.length} epochs`);
  const [low, high] = [Math.min(...accuracy), Math.max(...accuracy)];
  const points = accuracy.map((value, epoch) => `${10 + 280 * epoch / Math.max(1, accuracy.length - 1)},${175 - 150 * (value - low) / (high - low || 1)}`);
  const line = document.createElementNS(SVG, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line, ...[[high, 18], [low, 195]].map(([value, y]) => {
    const text = document.createElementNS(SVG, "text");
    [["x", "10"], ["y", String(y)]].forEach(([name, place]) => text.setAttribute(name, place));
    text.textContent = percent(value);
    return text;
  }));
  return svg;
}

/**
 * @param {string} path
 * @param {string} name
 * @param {string} text
 */
function fileButton(path, name, text) {
  const button = create("button", "", text);
  button.type = "button";
  button.addEventListener("click", async () => {
    const file = await getFile(path).catch(() => null);
    if (file) save(name, file);
    else button.textContent = "The file is not available";
  });
  return button;
}
