// The large view of one picture: what the model saw, its label, how sure it is, and why.

import { advice } from "./advice.js";
import { enableCopy } from "./copy.js";
import { create, either, find, firstOf, fromTemplate, percent } from "./elements.js";
import { Explanation } from "./explanation.js";
import { given, givenText, others } from "./picture.js";
import { SNIPPETS } from "./snippets.js";

const TINY = 100; // pixels of width, up to which each is shown as a square
const MAX_OTHERS = 5; // labels that a picture could also have; the label set has all

/**
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {import("./picture.js").Prediction} Prediction
 * @typedef {import("./picture.js").Answer} Answer
 * @typedef {import("./picture.js").Problem} Problem
 * @typedef {{ retry: () => void, openCard: (model: string) => void, changeCoverage: (value: string) => void }} Actions
 */

export class AnswerView {
  /** @param {Actions} actions */
  constructor(actions) {
    this.element = fromTemplate("answer");
    /** @type {Picture | null} */
    this.picture = null;
    this.options = new URLSearchParams();
    this.explanation = new Explanation(this.element);
    this.snippet = "curl";
    for (const image of this.element.querySelectorAll("img")) {
      image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth <= TINY));
      image.addEventListener("error", () => { image.hidden = true; }); // the browser cannot show it
    }
    this.instead = find(this.element, ".instead", HTMLElement); // not to be read aloud beside a picture that is shown
    find(this.element, ".original .upload", HTMLImageElement).addEventListener("error", () => { this.instead.hidden = false; });
    find(this.element, ".retry", HTMLButtonElement).addEventListener("click", () => {
      find(this.element, ".label", HTMLElement).focus({ preventScroll: true }); // the button goes, and the focus with it
      actions.retry();
    });
    find(this.element, ".who", HTMLButtonElement).addEventListener("click", ({ currentTarget }) => {
      actions.openCard(/** @type {HTMLElement} */ (currentTarget).dataset.model ?? "");
    });
    find(this.element, ".coverage", HTMLSelectElement).addEventListener("change", ({ target }) => {
      actions.changeCoverage(/** @type {HTMLSelectElement} */ (target).value);
    });
    this.addSnippetButtons();
    enableCopy(find(this.element, ".command", HTMLElement));
  }

  /**
   * Show a picture with its outcome, or that there is none yet.
   * @param {Picture} picture
   * @param {URLSearchParams} options of its request
   */
  show(picture, options, outcome = picture.outcome) {
    const isNew = picture !== this.picture;
    this.picture = picture;
    this.options = options;
    if (isNew) this.showFile(picture);
    this.element.setAttribute("aria-busy", String(!outcome));
    this.element.classList.toggle("failed", Boolean(outcome?.problem));
    find(this.element, ".coverage", HTMLSelectElement).value = options.get("coverage") ?? "";
    this.explanation.clear();
    for (const name of [".problem", ".found"]) find(this.element, name, HTMLElement).hidden = true;
    this.set(".label", outcome ? "No answer" : "Looking …");
    if (outcome?.problem) this.showProblem(outcome.problem);
    if (outcome?.answer) this.showAnswer(outcome.answer);
    this.showSnippet(this.snippet);
  }

  /**
   * @param {string} selector
   * @param {string} text
   */
  set(selector, text) {
    find(this.element, selector, HTMLElement).textContent = text;
  }

  /** @param {Picture} picture */
  showFile(picture) {
    this.set(".name", picture.name);
    this.instead.hidden = true;
    for (const image of this.element.querySelectorAll(".upload")) {
      if (!(image instanceof HTMLImageElement)) continue;
      image.hidden = false;
      image.src = picture.url || picture.thumbnail;
    }
    find(this.element, ".original .upload", HTMLImageElement).alt = picture.name;
  }

  /** @param {Problem} problem */
  showProblem(problem) {
    this.set(".title", problem.title);
    this.set(".advice", advice(problem.code));
    this.set(".detail", problem.detail);
    find(this.element, ".problem", HTMLElement).hidden = false;
  }

  /** @param {Answer} answer */
  showAnswer({ prediction, modelFile, stages, milliseconds }) {
    find(this.element, ".found", HTMLElement).hidden = false;
    this.set(".label", givenText(prediction));
    this.set(".sure", percent(prediction.probability));
    const meter = find(this.element, ".meter", HTMLElement);
    meter.style.setProperty("--share", `${100 * prediction.probability}%`);
    meter.hidden = Boolean(prediction.labels);
    this.setBars(".given", prediction.labels ?? []);
    find(this.element, ".novel", HTMLElement).hidden = !prediction.novel;
    this.set(".others", prediction.novel ? "" : othersText(prediction));
    const pixels = find(this.element, ".pixels", HTMLImageElement);
    [pixels.hidden, pixels.src] = [!prediction.seen, prediction.seen ?? ""]; // without it where the storage was full
    const who = find(this.element, ".who", HTMLButtonElement);
    who.textContent = `${prediction.model}, version ${prediction.version}`;
    who.dataset.model = prediction.model;
    this.set(".time", `${milliseconds.toFixed(0)} ms`);
    this.set(".set", labelSetText(prediction));
    this.setBars(".top", prediction.top);
    this.showFacts({
      "Prepared": prediction.fit.join(", ") || "unchanged",
      "Novelty": prediction.novelty === undefined ? "not measured by this model" : prediction.novelty.toFixed(3),
      "Time": `${stages}; ${milliseconds.toFixed(1)} ms in total, network included`,
      "Model file": modelFile.replace("@", " "),
    });
    this.explain(given(prediction)[0]?.label ?? prediction.label);
  }

  /**
   * @param {string} selector
   * @param {import("./picture.js").Candidate[]} candidates
   */
  setBars(selector, candidates) {
    const bars = find(this.element, selector, HTMLElement);
    bars.replaceChildren(...candidates.map((one) => this.createBar(one)));
    bars.hidden = !candidates.length;
  }

  /** @param {Record<string, string>} facts */
  showFacts(facts) {
    const rows = Object.entries(facts).flatMap(([name, value]) => [create("dt", "", name), create("dd", "", value)]);
    find(this.element, ".facts", HTMLElement).replaceChildren(...rows);
  }

  /** @param {{ label: string, probability: number }} candidate */
  createBar({ label, probability }) {
    const [item, button] = [create("li"), create("button", "bar")];
    button.type = "button";
    button.dataset.label = label;
    button.style.setProperty("--share", `${100 * probability}%`);
    button.append(create("span", "what", label), create("span", "percent", percent(probability)));
    button.addEventListener("click", () => this.explain(label));
    item.append(button);
    return item;
  }

  /**
   * Show which pixels mattered for a label.
   * @param {string} label
   */
  explain(label) {
    for (const button of this.element.querySelectorAll(".bars button")) {
      button.setAttribute("aria-pressed", String(button instanceof HTMLElement && button.dataset.label === label));
    }
    const model = find(this.element, ".who", HTMLElement).dataset.model ?? "";
    if (this.picture) this.explanation.show(this.picture, model, label);
  }

  addSnippetButtons() {
    const buttons = Object.keys(SNIPPETS).map((name) => {
      const button = create("button", "", name);
      button.type = "button";
      button.addEventListener("click", () => this.showSnippet(name));
      return button;
    });
    find(this.element, ".languages", HTMLElement).replaceChildren(...buttons);
  }

  /** @param {string} name */
  showSnippet(name) {
    this.snippet = name;
    for (const button of this.element.querySelectorAll(".languages button")) {
      button.setAttribute("aria-pressed", String(button.textContent === name));
    }
    const { name: file, file: blob } = this.picture ?? { name: "", file: null };
    this.set(".command code", SNIPPETS[name]({ name: file, type: blob?.type ?? "", query: this.options.toString() }));
  }
}

/** @param {Prediction} prediction */
function othersText(prediction) {
  const also = others(prediction);
  if (!also.length) return "Nothing else is likely.";
  return `Could also be ${also.length > MAX_OTHERS ? firstOf(also, MAX_OTHERS) : either(also)}.`;
}

/** @param {Prediction} prediction */
function labelSetText({ set, coverage, labels }) {
  const listed = set.join(", ") || "empty";
  return coverage === null
    ? `Label set: ${listed}. It promises nothing for a picture like this.`
    : `Label set: ${listed}. It holds ${labels ? "each" : "the"} true label in ${percent(coverage, 0)} of cases, for pictures like the training data.`;
}
