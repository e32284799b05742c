// The table of many pictures: sorted, filtered, downloaded.

import { byId, create, find, fromTemplate, percent } from "./elements.js";
import { given, givenText, others } from "./picture.js";
import { csv, json, save } from "./table_file.js";

/**
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {import("./picture.js").Outcome} Outcome
 * @typedef {{ select: (picture: Picture) => void, remove: (pictures: Picture[]) => void }} Actions
 * @typedef {{ text: string, accepts: (outcome: Outcome | null) => boolean }} Filter
 */

/** @type {Record<string, Filter>} */
const FILTERS = {
  all: { text: "All pictures", accepts: () => true },
  sure: { text: "Sure", accepts: (outcome) => isSure(outcome) },
  unsure: { text: "Could be several", accepts: (outcome) => Boolean(outcome?.answer) && !isSure(outcome) && !isNovel(outcome) },
  novel: { text: "Unlike anything known", accepts: (outcome) => isNovel(outcome) },
  failed: { text: "Failed", accepts: (outcome) => Boolean(outcome?.problem) },
};

/** @type {Record<string, (picture: Picture) => string | number>} */
const SORT_KEYS = {
  name: ({ name }) => name,
  label: ({ outcome }) => (outcome?.answer ? givenText(outcome.answer.prediction) : "\uffff"),
  probability: ({ outcome }) => outcome?.answer?.prediction.probability ?? -1,
  remark: ({ outcome }) => remark(outcome),
};

export class Many {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.element = byId("many");
    this.filter = find(this.element, ".filter", HTMLSelectElement);
    /** @type {Map<Picture, HTMLElement>} */
    this.rows = new Map();
    /** @type {Picture[]} */
    this.pictures = [];
    /** @type {Picture | null} */
    this.selected = null;
    this.sorted = { by: "", descending: false };
    this.scheduled = false;
    this.filter.addEventListener("change", () => this.draw());
    for (const heading of this.element.querySelectorAll("th[data-sort]")) {
      heading.addEventListener("click", () => this.sort(/** @type {HTMLElement} */ (heading)));
    }
    this.on(".as-csv", () => save("thimble.csv", new Blob([csv(this.shown())], { type: "text/csv" })));
    this.on(".as-json", () => save("thimble.json", new Blob([json(this.shown())], { type: "application/json" })));
    this.on(".clear", () => actions.remove(this.pictures));
  }

  /**
   * @param {string} selector
   * @param {() => void} act
   */
  on(selector, act) {
    find(this.element, selector, HTMLButtonElement).addEventListener("click", act);
  }

  /**
   * Show pictures, at most once for each frame of the screen.
   * @param {Picture[]} pictures
   * @param {Picture | null} selected
   */
  show(pictures, selected) {
    this.pictures = pictures;
    this.selected = selected;
    this.element.hidden = pictures.length < 2;
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame(() => {
      this.scheduled = false;
      this.draw();
    });
  }

  /** Return the pictures that the filter lets through, in the order of the table. */
  shown() {
    const { by, descending } = this.sorted;
    const filter = FILTERS[this.filter.value]?.accepts ?? (/** @type {Filter["accepts"]} */ (outcome) => labelsOf(outcome).some((label) => `label ${label}` === this.filter.value));
    const shown = this.pictures.filter(({ outcome }) => filter(outcome));
    if (!by) return shown;
    const key = SORT_KEYS[by];
    const compare = (/** @type {Picture} */ one, /** @type {Picture} */ other) => (key(one) < key(other) ? -1 : Number(key(one) > key(other)));
    return shown.sort((one, other) => (descending ? compare(other, one) : compare(one, other)));
  }

  draw() {
    const done = this.pictures.filter(({ outcome }) => outcome).length;
    const count = this.pictures.length;
    find(this.element, ".progress", HTMLElement).textContent = done < count ? `${done} of ${count}` : `${count} pictures`;
    const meter = find(this.element, "progress", HTMLProgressElement);
    [meter.value, meter.max, meter.hidden] = [done, count, done === count];
    this.offerFilters();
    const shown = this.shown();
    for (const picture of this.rows.keys()) if (picture.removed) this.rows.delete(picture);
    find(this.element, "tbody", HTMLElement).replaceChildren(...shown.map((picture) => this.row(picture)));
    find(this.element, ".none", HTMLElement).hidden = shown.length > 0;
  }

  /** Offer the filters and labels that pick out something, with how many pictures each has. */
  offerFilters() {
    const chosen = this.filter.value || "all";
    const labels = [...new Set(this.pictures.flatMap(({ outcome }) => labelsOf(outcome)))].sort();
    const options = Object.entries(FILTERS).map(([value, { text, accepts }]) => [value, text, this.pictures.filter(({ outcome }) => accepts(outcome)).length]);
    const byLabel = labels.map((label) => [`label ${label}`, label, this.pictures.filter(({ outcome }) => labelsOf(outcome).includes(label)).length]);
    this.filter.replaceChildren(...[...options, ...byLabel].filter(([value, , count]) => count || value === chosen).map(([value, text, count]) => {
      return new Option(`${text} (${count})`, String(value), false, value === chosen);
    }));
  }

  /** @param {HTMLElement} heading */
  sort(heading) {
    const by = heading.dataset.sort ?? "";
    const descending = this.sorted.by === by ? !this.sorted.descending : by === "probability";
    this.sorted = { by, descending };
    for (const other of this.element.querySelectorAll("th[data-sort]")) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
    this.draw();
  }

  /**
   * Return the row of a picture as it is now.
   * @param {Picture} picture
   */
  row(picture) {
    const row = this.rows.get(picture) ?? this.createRow(picture);
    const prediction = picture.outcome?.answer?.prediction;
    const thumbnail = find(row, "img", HTMLImageElement);
    thumbnail.hidden = !picture.thumbnail;
    if (thumbnail.getAttribute("src") !== picture.thumbnail) thumbnail.src = picture.thumbnail;
    find(row, ".is", HTMLElement).textContent = prediction ? givenText(prediction) : picture.outcome ? "No answer" : "…";
    find(row, ".share", HTMLElement).textContent = prediction ? percent(prediction.probability, 0) : "";
    find(row, ".remark", HTMLElement).textContent = remark(picture.outcome);
    row.classList.toggle("failed", Boolean(picture.outcome?.problem));
    row.classList.toggle("selected", picture === this.selected);
    find(row, ".pick", HTMLElement).setAttribute("aria-pressed", String(picture === this.selected));
    return row;
  }

  /** @param {Picture} picture */
  createRow(picture) {
    const row = fromTemplate("row");
    this.rows.set(picture, row);
    find(row, ".pick", HTMLElement).append(create("span", "", picture.name));
    row.addEventListener("click", () => this.actions.select(picture));
    const remove = find(row, ".remove", HTMLButtonElement);
    remove.setAttribute("aria-label", `Remove ${picture.name}`);
    remove.addEventListener("click", (event) => {
      event.stopPropagation();
      this.actions.remove([picture]);
    });
    return row;
  }
}

/** @param {Outcome | null} outcome */
function isNovel(outcome) {
  return Boolean(outcome?.answer?.prediction.novel);
}

/** @param {Outcome | null} outcome */
function isSure(outcome) {
  return outcome?.answer !== undefined && !isNovel(outcome) && !others(outcome.answer.prediction).length;
}

/** @param {Outcome | null} outcome */
function labelsOf(outcome) {
  return outcome?.answer ? given(outcome.answer.prediction).map(({ label }) => label) : [];
}

/** @param {Outcome | null} outcome */
function remark(outcome) {
  if (outcome?.problem) return outcome.problem.title;
  if (!outcome?.answer) return "";
  if (isNovel(outcome)) return "Unlike anything known";
  const also = others(outcome.answer.prediction);
  if (!also.length) return "";
  return `${outcome.answer.prediction.labels ? "perhaps" : "or"} ${also.join(", ")}`;
}
