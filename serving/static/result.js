// One image with its answer. All text is set as text, never as markup.

import { ask, kind } from "./ask.js";
import { copies } from "./copy.js";

const SMALL = 100; // pixels; images up to that are shown larger, as squares
const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)}\u00a0%`;
const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`; // for a shell

export class Result {
  /** Show a file, not yet answered; options() returns the query to ask with. */
  constructor(file, options) {
    this.file = file;
    this.options = options;
    this.element = document.getElementById("result").content.firstElementChild.cloneNode(true);
    this.part(".name").textContent = file.name;
    this.part(".upload").alt = file.name;
    this.part(".upload").addEventListener("load", ({ target }) => target.classList.toggle("small", target.naturalWidth <= SMALL));
    this.part(".upload").addEventListener("error", () => { this.part(".stack").hidden = true; }); // such as TIFF
    this.part(".upload").src = URL.createObjectURL(file);
    this.part(".explain").addEventListener("click", () => this.part(".bars button").click());
    copies(this.part(".command"));
  }

  part(selector) {
    return this.element.querySelector(selector);
  }

  /** Ask about the file and show the answer; returns it in a few words. */
  async classify() {
    const query = this.options();
    query.set("seen", "true");
    this.element.setAttribute("aria-busy", "true");
    this.clear();
    this.part(".curl").textContent = this.curl(`/classify?${query}`);
    const start = performance.now();
    try {
      const { said, headers } = await ask(`/classify?${query}`, this.file);
      this.show(said.predictions[0], headers, performance.now() - start);
    } catch (error) {
      this.part(".label").textContent = "No answer";
      this.fail(error);
    }
    this.element.setAttribute("aria-busy", "false");
    return `${this.file.name}: ${this.part(".label").textContent}`;
  }

  clear() {
    for (const name of [".problem", ".who", ".novel", ".set", ".why", ".seen", ".overlay"]) this.part(name).hidden = true;
    this.part(".bars").replaceChildren();
    this.part(".facts").replaceChildren();
  }

  fail(error) {
    this.part(".problem").textContent = error.message;
    this.part(".problem").hidden = false;
  }

  show(prediction, headers, milliseconds) {
    this.part(".label").textContent = `${prediction.label}, ${percent(prediction.probability)}`;
    this.part(".who").textContent = `${prediction.model}, version ${prediction.version}, in ${milliseconds.toFixed(0)} ms`;
    this.part(".novel").hidden = !prediction.novel;
    this.part(".set").textContent = inWords(prediction);
    this.part(".pixels").src = prediction.seen;
    this.part(".fit").textContent = prediction.fit.join(", ") || "untouched";
    this.part(".bars").append(...prediction.top.map((candidate) => this.bar(candidate)));
    this.part(".legend").textContent = "Or press a label to see what spoke for it.";
    for (const name of [".who", ".set", ".why", ".seen"]) this.part(name).hidden = false;
    this.fact("Model", headers.get("Thimble-Model")?.replace("@", " ") ?? "");
    this.fact("Novelty", prediction.novelty === undefined ? "not given" : prediction.novelty.toFixed(3));
    this.fact("Time", `${stages(headers)}; ${milliseconds.toFixed(1)} ms with the way there and back`);
  }

  bar({ label, probability }) {
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

  fact(name, value) {
    const parts = [document.createElement("dt"), document.createElement("dd")];
    [parts[0].textContent, parts[1].textContent] = [name, value];
    this.part(".facts").append(...parts);
  }

  /** Lay over the image what spoke for a label; or take that away again. */
  async explain(label, button) {
    const shown = button.getAttribute("aria-pressed") === "true";
    for (const other of this.element.querySelectorAll(".bars button")) other.setAttribute("aria-pressed", "false");
    this.part(".overlay").hidden = true;
    this.part(".problem").hidden = true;
    this.part(".legend").textContent = "";
    if (shown) return;
    button.setAttribute("aria-pressed", "true");
    const query = this.options();
    query.delete("coverage");
    query.set("label", label);
    try {
      const { said } = await ask(`/explain?${query}`, this.file);
      if (button.getAttribute("aria-pressed") === "true") this.lay(said);
    } catch (error) {
      this.fail(error);
    }
  }

  lay(explained) {
    const most = Math.max(0, ...explained.grid.flat());
    this.part(".overlay").src = explained.overlay;
    this.part(".overlay").hidden = false;
    this.part(".legend").textContent = most < 0.01
      ? `Covering no single part makes ${explained.label} less probable.`
      : `Covering the reddest part takes ${explained.label} from ${percent(explained.probability)} down by ${(100 * most).toFixed(0)} points.`;
  }

  curl(address) {
    return `curl --data-binary @${quoted(this.file.name)} -H 'Content-Type: ${kind(this.file)}' ${quoted(location.origin + address)}`;
  }
}

function span(name, text) {
  const element = document.createElement("span");
  element.className = name;
  element.textContent = text;
  return element;
}

function inWords({ set, coverage }) {
  return `On images like its training data the true label is among these in ${percent(coverage, 0)} of cases: ${set.join(", ")}.`;
}

/** Return the stages of a Server-Timing header in words. */
function stages(headers) {
  const entries = (headers.get("Server-Timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g);
  return [...entries].map(([, name, time]) => `${name} ${Number(time).toFixed(1)} ms`).join(", ");
}
