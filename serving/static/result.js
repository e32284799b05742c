// One image and its prediction. All text is set with textContent, never as HTML.

import { enableCopy } from "./copy.js";
import { contentType, postFile, ROOT, savedKey } from "./request.js";

const SMALL_PIXELS = 100; // the page enlarges images up to this width
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;
const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

export class Result {
  /** Show a file without a prediction; options() returns the query parameters of its requests. */
  constructor(file, options) {
    this.file = file;
    this.options = options;
    this.element = document.getElementById("result").content.firstElementChild.cloneNode(true);
    this.find(".name").textContent = file.name;
    this.find(".upload").alt = file.name;
    this.find(".upload").addEventListener("load", ({ target }) => target.classList.toggle("small", target.naturalWidth <= SMALL_PIXELS));
    this.find(".upload").addEventListener("error", () => { this.find(".stack").hidden = true; }); // the browser cannot show TIFF, for example
    this.find(".upload").src = URL.createObjectURL(file);
    this.find(".explain").addEventListener("click", () => this.find(".bars button").click());
    enableCopy(this.find(".command"));
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  /** Classify the file and show the prediction; return a summary for the status line. */
  async classify() {
    const query = this.options();
    query.set("seen", "true");
    this.element.setAttribute("aria-busy", "true");
    this.clear();
    this.find(".curl").textContent = this.curl(`${ROOT}/classify?${query}`);
    const start = performance.now();
    try {
      const { body, headers } = await postFile(`${ROOT}/classify?${query}`, this.file);
      this.showPrediction(body.predictions[0], headers, performance.now() - start);
    } catch (error) {
      this.find(".label").textContent = "No prediction";
      this.showError(error);
    }
    this.element.setAttribute("aria-busy", "false");
    return `${this.file.name}: ${this.find(".label").textContent}`;
  }

  clear() {
    for (const name of [".problem", ".who", ".novel", ".set", ".why", ".seen", ".overlay"]) this.find(name).hidden = true;
    this.find(".bars").replaceChildren();
    this.find(".facts").replaceChildren();
  }

  showError(error) {
    this.find(".problem").textContent = error.message;
    this.find(".problem").hidden = false;
  }

  showPrediction(prediction, headers, milliseconds) {
    this.find(".label").textContent = `${prediction.label}, ${percent(prediction.probability)}`;
    this.find(".who").textContent = `${prediction.model}, version ${prediction.version}, in ${milliseconds.toFixed(0)} ms`;
    this.find(".novel").hidden = !prediction.novel;
    this.find(".set").textContent = labelSetText(prediction);
    this.find(".pixels").src = prediction.seen;
    this.find(".fit").textContent = prediction.fit.join(", ") || "unchanged";
    this.find(".bars").append(...prediction.top.map((candidate) => this.createBar(candidate)));
    this.find(".legend").textContent = "Or press a label to explain that label.";
    for (const name of [".who", ".set", ".why", ".seen"]) this.find(name).hidden = false;
    this.addFact("Model", headers.get("Thimble-Model")?.replace("@", " ") ?? "");
    this.addFact("Novelty", prediction.novelty === undefined ? "not measured by this model" : prediction.novelty.toFixed(3));
    this.addFact("Time", `${stageTimes(headers)}; ${milliseconds.toFixed(1)} ms in total, with the network`);
  }

  createBar({ label, probability }) {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-pressed", "false");
    button.style.setProperty("--share", `${100 * probability}%`);
    button.append(span("what", label), span("percent", percent(probability)));
    button.addEventListener("click", () => this.explain(label, button));
    item.append(button);
    return item;
  }

  addFact(name, value) {
    const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
    [term.textContent, definition.textContent] = [name, value];
    this.find(".facts").append(term, definition);
  }

  /** Overlay the heat map of a label on the image, or hide it if it is shown. */
  async explain(label, button) {
    const shown = button.getAttribute("aria-pressed") === "true";
    for (const other of this.element.querySelectorAll(".bars button")) other.setAttribute("aria-pressed", "false");
    this.find(".overlay").hidden = true;
    this.find(".problem").hidden = true;
    this.find(".legend").textContent = "";
    if (shown) return;
    button.setAttribute("aria-pressed", "true");
    const query = this.options();
    query.delete("coverage");
    query.set("label", label);
    try {
      const { body } = await postFile(`${ROOT}/explain?${query}`, this.file);
      if (button.getAttribute("aria-pressed") === "true") this.showOverlay(body);
    } catch (error) {
      this.showError(error);
    }
  }

  showOverlay(explained) {
    const largestFall = Math.max(0, ...explained.grid.flat());
    this.find(".overlay").src = explained.overlay;
    this.find(".overlay").hidden = false;
    this.find(".legend").textContent = largestFall < 0.01
      ? `No single part of the image lowers the probability of ${explained.label} when covered.`
      : `Covering the reddest part lowers the probability of ${explained.label} from ${percent(explained.probability)} by ${(100 * largestFall).toFixed(0)} percentage points.`;
  }

  curl(path) {
    const key = savedKey() && ' -H "Authorization: Bearer $THIMBLE_KEY"';
    return `curl --data-binary @${shellQuote(this.file.name)} -H 'Content-Type: ${contentType(this.file)}'${key} ${shellQuote(location.origin + path)}`;
  }
}

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function labelSetText({ set, coverage }) {
  const promise = coverage === null
    ? "It promises nothing for this image."
    : `It holds the true label in ${percent(coverage, 0)} of cases, for images like the training data.`;
  return `Label set: ${set.join(", ")}. ${promise}`;
}

/** Return the stages in a Server-Timing header with their times, as text. */
function stageTimes(headers) {
  const entries = (headers.get("Server-Timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g);
  return [...entries].map(([, name, time]) => `${name} ${Number(time).toFixed(1)} ms`).join(", ");
}
