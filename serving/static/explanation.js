// The third view: which pixels mattered for a label.

import { find, percent } from "./elements.js";
import { postFile } from "./request.js";

const SMALL_FALL = 0.1; // as the service: below it, it tries larger windows

/** @typedef {import("./picture.js").Picture} Picture */

export class Explanation {
  /** @param {HTMLElement} view the article with the figure that it fills */
  constructor(view) {
    this.view = view;
    this.question = new AbortController();
  }

  /**
   * Show a picture with the pixels that mattered for a label; a later call replaces it.
   * @param {Picture} picture
   * @param {string} model
   * @param {string} label
   */
  async show(picture, model, label) {
    const signal = this.clear();
    this.say(`Looking for what mattered for ${label} …`);
    find(this.view, ".mattered", HTMLElement).setAttribute("aria-busy", "true");
    const query = new URLSearchParams({ model, label });
    const result = await picture.ask((file) => postFile(`/explain?${query}`, file, ({ grid }) => Array.isArray(grid), signal));
    if (signal.aborted) return;
    find(this.view, ".mattered", HTMLElement).setAttribute("aria-busy", "false");
    if ("problem" in result) this.say(`${result.problem.title}. ${result.problem.detail}`);
    else this.draw(result.body);
  }

  /** Remove what is shown, and end its question; return the signal that ends the next one. */
  clear() {
    find(this.view, ".overlay", HTMLElement).hidden = true;
    find(this.view, ".scale", HTMLElement).hidden = true;
    find(this.view, ".mattered", HTMLElement).setAttribute("aria-busy", "false");
    this.say("");
    this.question.abort();
    this.question = new AbortController();
    return this.question.signal;
  }

  /** @param {string} text */
  say(text) {
    find(this.view, ".finding", HTMLElement).textContent = text;
  }

  /** @param {{ label: string, probability: number, grid: number[][], overlay: string }} explained */
  draw({ label, probability, grid, overlay }) {
    const fall = Math.max(0, ...grid.flat());
    const decided = fall >= SMALL_FALL;
    const image = find(this.view, ".overlay", HTMLImageElement);
    [image.src, image.hidden] = [overlay, !decided];
    find(this.view, ".scale", HTMLElement).hidden = !decided;
    this.say(
      decided
        ? `With the reddest part covered, ${label} falls from ${percent(probability, 0)} to ${percent(Math.max(0, probability - fall), 0)}.`
        : `No single part decides: whatever is covered, ${label} stays ${probability < 0.5 ? "as unlikely" : "as likely"} as it is.`,
    );
  }
}
