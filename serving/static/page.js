// The page that classifies pictures: it joins the ways in, the queue, the large view and the table.

import { AnswerView } from "./answer.js";
import { enableCamera } from "./camera.js";
import { openCard } from "./card.js";
import { enableDrawing } from "./draw.js";
import { byId, firstOf } from "./elements.js";
import { listen, pathOf } from "./intake.js";
import { Many } from "./many.js";
import { keep, kept, readSmallFiles } from "./memory.js";
import { fitSamples, watch } from "./models.js";
import { givenText, Picture } from "./picture.js";
import { Queue } from "./queue.js";
import { getFile, RequestError, savedKey, saveKey } from "./request.js";

const REQUESTS_AT_ONCE = 4; // enough to keep a small service busy, and not all of it
const KEEP_AFTER_MS = 400; // after a change, with all that follow

const queue = new Queue(REQUESTS_AT_ONCE);
const many = new Many({ select, remove });
const actions = { retry, openCard, changeCoverage };
const [first, second] = [new AnswerView(actions), new AnswerView(actions)];
const [model, compare] = [byId("model", HTMLSelectElement), byId("compare", HTMLSelectElement)];
/** @type {Picture[]} newest first */
let pictures = [];
/** @type {Picture | null} */
let selected = null;
let coverage = "";
let keeping = false; // soon
let comparison = new AbortController();

/**
 * Return the parameters of a request to a model.
 * @param {string} name empty where the service is to choose
 */
function options(name = model.value) {
  return new URLSearchParams([["model", name], ["coverage", coverage]].filter(([, value]) => value));
}

/** @param {string} text */
function say(text) {
  byId("status").textContent = text;
}

/** @param {File[]} files */
function add(files) {
  const added = files.map((file) => new Picture(pathOf(file) || "picture", file));
  if (!added.length) return;
  for (const dialog of document.querySelectorAll("dialog")) dialog.close(); // what is pasted is shown behind it
  pictures = [...added, ...pictures];
  say("");
  select(added[0], added.length > 1 ? "many" : "answers");
  added.forEach(ask);
  readSmallFiles(pictures).then(keepSoon);
}

/**
 * Ask about a picture when its turn comes.
 * @param {Picture} picture
 */
function ask(picture) {
  const question = picture.begin();
  draw(picture);
  queue.add(async () => {
    if (question.aborted) return;
    const outcome = await picture.classify(options(), question);
    if (question.aborted) return;
    picture.outcome = outcome;
    draw(picture);
    await picture.makeThumbnail(); // in the meantime it may have been asked about again
    draw();
    const { answer } = outcome;
    if (picture === selected && !question.aborted) byId("spoken").textContent = `${picture.name}: ${answer ? givenText(answer.prediction) : "No answer"}`;
  });
}

/**
 * Bring a picture up to date where it is shown, and keep all of them.
 * @param {Picture | null} changed
 */
function draw(changed = null) {
  if (changed && changed === selected) first.show(changed, options());
  byId("answers").hidden = !selected;
  many.show(pictures, selected);
  keepSoon();
}

/** Keep all over a reload, not at each change of many. */
function keepSoon() {
  if (keeping) return;
  keeping = true;
  setTimeout(() => {
    keeping = false;
    const [lost, all] = [pictures.length - keepNow(), pictures.length];
    if (lost && !byId("status").textContent) say(`The browser has no room for ${lost} of ${all} pictures: a reload would lose them.`);
  }, KEEP_AFTER_MS);
}

/** Return how many pictures are kept. */
function keepNow() {
  return keep(pictures, { model: model.value, compare: compare.value, coverage });
}

/**
 * Show a picture large, and bring that or the table into view.
 * @param {Picture} picture
 */
function select(picture, inView = "answers") {
  selected = picture;
  draw(picture);
  many.draw(); // its rows move what is below it
  compareModels();
  byId(inView).scrollIntoView({ block: "start" });
}

/** @param {Picture[]} removed */
function remove(removed) {
  for (const picture of removed) picture.remove();
  pictures = pictures.filter((picture) => !picture.removed);
  say("");
  if (!selected?.removed) return draw();
  selected = pictures[0] ?? null;
  draw(selected);
  compareModels();
}

/** Ask again about the selected picture, and about all that failed as it did. */
function retry() {
  const code = selected?.outcome?.problem?.code;
  pictures.filter((picture) => picture === selected || (code && picture.outcome?.problem?.code === code)).forEach(ask);
  compareModels();
}

/** Ask about all pictures again; those whose files a reload did not keep have the answers that they had. */
function askAll() {
  keepSoon();
  const answersOnly = pictures.filter(({ file, outcome }) => !file && outcome?.answer).map(({ name }) => name);
  pictures.filter(({ file, outcome }) => file || !outcome?.answer).forEach(ask);
  if (answersOnly.length) say(`Not classified again: after the reload only the answers are left for ${firstOf(answersOnly)}. Add the files again.`);
  compareModels();
}

/** @param {string} value */
function changeCoverage(value) {
  coverage = value;
  askAll();
}

/** Show the other model's answer beside the first, if there is one to compare with. */
async function compareModels() {
  if (compare.value) byId("answers").append(second.element);
  else second.element.remove();
  byId("answers").classList.toggle("two", Boolean(compare.value));
  comparison.abort();
  comparison = new AbortController();
  const [picture, other, { signal }] = [selected, options(compare.value), comparison];
  if (!compare.value || !picture) return;
  second.show(picture, other, null);
  const outcome = await picture.classify(other, signal);
  if (!signal.aborted) second.show(picture, other, outcome);
}

function compareWithChosen() {
  keepSoon();
  compareModels();
}

function restore() {
  const { pictures: found, choices } = kept();
  for (const chooser of [model, compare]) {
    const known = [...chooser.options].some(({ value }) => value === choices[chooser.id]);
    if (known) chooser.value = choices[chooser.id];
  }
  coverage = choices.coverage ?? "";
  fitSamples();
  pictures = found;
  if (!pictures.length) return;
  [selected] = pictures;
  draw(selected);
  compareModels();
  pictures.filter(({ outcome }) => !outcome).forEach(ask);
}

byId("answers").append(first.element);
byId("form", HTMLFormElement).noValidate = true; // it is for browsers without JavaScript
byId("form").addEventListener("submit", (event) => event.preventDefault());
addEventListener("pagehide", keepNow);
listen(add, say);
enableCamera(add, say);
enableDrawing(add, options);
watch(say, (lost) => {
  if (lost.includes("model")) askAll();
  else if (lost.includes("compare")) compareWithChosen();
});

model.addEventListener("change", () => {
  fitSamples();
  askAll();
});
compare.addEventListener("change", compareWithChosen);
byId("about").addEventListener("click", () => openCard(model.value || selected?.outcome?.answer?.prediction.model || byId("card-model", HTMLSelectElement).value));
byId("card-model").addEventListener("change", ({ target }) => openCard(/** @type {HTMLSelectElement} */ (target).value));

const key = document.getElementById("key");
if (key instanceof HTMLInputElement) { // the service asks for one
  key.value = savedKey();
  key.addEventListener("input", () => saveKey(key.value));
  key.addEventListener("change", askAll);
}

byId("samples").addEventListener("click", async ({ target }) => {
  const name = target instanceof Element ? target.closest("button")?.dataset.sample : undefined;
  if (!name) return;
  try {
    add([new File([await getFile(`/static/${name}.png`)], `${name}.png`, { type: "image/png" })]);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
    say(error.message);
  }
});

restore();
