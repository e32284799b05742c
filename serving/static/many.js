// The table of many pictures: sorted, filtered, downloaded.

import { byId, create, find, firstOf, fromTemplate, percent } from "./elements.js";
import { given, givenText, others } from "./picture.js";
import { csv, json, save } from "./table_file.js";

/**
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {import("./picture.js").Outcome} Outcome
 * @typedef {{ select: (picture: Picture) => void, remove: (pictures: Picture[]) => void }} Actions
 * @typedef {{ text: string, accepts: (outcome: Outcome | null) => boolean }} Filter
 * @typedef {{ element: HTMLElement, outcome?: Outcome | null, thumbnail: string, selected: boolean }} Row with what it shows
 */

const PAUSE_MS = 200; // between two drawings: a long table takes a browser 20 ms

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
  label: ({ outcome }) => (outcome?.answer ? givenText(outcome.answer.prediction) : "\uffff"), // those without a label last
  probability: ({ outcome }) => outcome?.answer?.prediction.probability ?? -1,
  remark: ({ outcome }) => remark(outcome),
};

export class Many {
  /** @param {Actions} actions */
  constructor(actions) {
    this.actions = actions;
    this.element = byId("many");
    this.filter = find(this.element, ".filter", HTMLSelectElement);
    /** @type {Map<Picture, Row>} */
    this.rows = new Map();
    /** @type {Picture[]} */
    this.pictures = [];
    /** @type {Picture | null} */
    this.selected = null;
    this.sorted = { by: "", descending: false };
    this.scheduled = false;
    this.next = 0; // when it may be drawn again
    this.filter.addEventListener("change", () => this.draw());
    for (const heading of this.element.querySelectorAll("th[data-sort]")) {
      heading.addEventListener("click", () => this.sort(/** @type {HTMLElement} */ (heading)));
    }
    this.on(".as-csv", () => save("thimble.csv", new Blob([csv(this.shown())], { type: "text/csv" })));
    this.on(".as-json", () => save("thimble.json", new Blob([json(this.shown())], { type: "application/json" })));
    this.on(".clear", () => {
      actions.remove(this.pictures);
      byId("files").focus({ preventScroll: true });
    });
  }

  /**
   * @param {string} selector
   * @param {() => void} act
   */
  on(selector, act) {
    find(this.element, selector, HTMLButtonElement).addEventListener("click", act);
  }

  /**
   * Show pictures: at once, or, soon after another time, a moment later.
   * @param {Picture[]} pictures
   * @param {Picture | null} selected
   */
  show(pictures, selected) {
    this.pictures = pictures;
    this.selected = selected;
    this.element.hidden = pictures.length < 2;
    if (this.element.hidden) this.filter.value = "all"; // the next table begins with all it has
    if (this.scheduled) return;
    this.scheduled = true;
    const wait = Math.max(0, this.next - performance.now());
    setTimeout(() => requestAnimationFrame(() => {
      this.scheduled = false;
      this.next = performance.now() + PAUSE_MS;
      this.draw();
    }), wait);
  }

  /** Return the pictures that the filter lets through, in the order of the table. */
  shown() {
    const { by, descending } = this.sorted;
    const filter = FILTERS[this.filter.value]?.accepts ?? (/** @type {Filter["accepts"]} */ (outcome) => labelsOf(outcome).some((label) => `label ${label}` === this.filter.value));
    const shown = this.pictures.filter(({ outcome }) => filter(outcome));
    if (!by) return shown;
    const key = SORT_KEYS[by];
    const compare = (/** @type {Picture} */ one, /** @type {Picture} */ other) => compareKeys(key(one), key(other));
    return shown.sort((one, other) => (descending ? compare(other, one) : compare(one, other)));
  }

  draw() {
    const done = this.pictures.filter(({ outcome }) => outcome).length;
    const count = this.pictures.length;
    find(this.element, ".progress", HTMLElement).textContent = done < count ? `${done} of ${count}` : `${count} pictures`;
    const failed = this.pictures.filter(({ outcome }) => outcome?.problem).length;
    find(this.element, ".failures", HTMLElement).textContent = failed ? `${failed} failed` : "";
    const meter = find(this.element, "progress", HTMLProgressElement);
    [meter.value, meter.max, meter.hidden] = [done, count, done === count];
    this.offerFilters();
    const shown = this.shown();
    for (const picture of this.rows.keys()) if (picture.removed) this.rows.delete(picture);
    arrange(find(this.element, "tbody", HTMLElement), shown.map((picture) => this.row(picture)));
    find(this.element, ".none", HTMLElement).hidden = shown.length > 0;
  }

  /** Offer the filters and labels that pick out something, with how many pictures each has. */
  offerFilters() {
    const chosen = this.filter.value || "all";
    const labels = [...new Set(this.pictures.flatMap(({ outcome }) => labelsOf(outcome)))].sort();
    const options = Object.entries(FILTERS).map(([value, { text, accepts }]) => [value, text, this.pictures.filter(({ outcome }) => accepts(outcome)).length]);
    const byLabel = labels.map((label) => [`label ${label}`, label, this.pictures.filter(({ outcome }) => labelsOf(outcome).includes(label)).length]);
    const offered = [...options, ...byLabel].filter(([value, , count]) => count || value === chosen).map(([value, text, count]) => {
      return new Option(`${text} (${count})`, String(value), false, value === chosen);
    });
    const present = [...this.filter.options];
    if (sameItems(offered.map(({ value }) => value), present.map(({ value }) => value))) {
      for (const [place, { text }] of offered.entries()) if (present[place].text !== text) present[place].text = text;
    } else {
      this.filter.replaceChildren(...offered);
    }
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
    const { element } = row;
    const { outcome, thumbnail } = picture;
    const selected = picture === this.selected;
    if (row.outcome === outcome && row.thumbnail === thumbnail && row.selected === selected) return element;
    Object.assign(row, { outcome, thumbnail, selected });
    const prediction = outcome?.answer?.prediction;
    const image = find(element, "img", HTMLImageElement);
    image.hidden = !thumbnail;
    if (image.getAttribute("src") !== thumbnail) image.src = thumbnail;
    const text = remark(outcome);
    const is = find(element, ".is", HTMLElement);
    is.textContent = prediction ? givenText(prediction) : outcome ? "No answer" : "…";
    is.dataset.remark = text; // narrow screens show it below the label
    find(element, ".share", HTMLElement).textContent = prediction ? percent(prediction.probability, 0) : "";
    find(element, ".remark", HTMLElement).textContent = text;
    element.classList.toggle("failed", Boolean(outcome?.problem));
    element.classList.toggle("selected", selected);
    find(element, ".pick", HTMLElement).setAttribute("aria-pressed", String(selected));
    return element;
  }

  /**
   * @param {Picture} picture
   * @returns {Row}
   */
  createRow(picture) {
    const row = { element: fromTemplate("row"), outcome: undefined, thumbnail: "", selected: false };
    this.rows.set(picture, row);
    find(row.element, ".pick", HTMLElement).append(create("span", "", picture.name));
    row.element.addEventListener("click", () => this.actions.select(picture));
    const remove = find(row.element, ".remove", HTMLButtonElement);
    remove.setAttribute("aria-label", `Remove ${picture.name}`);
    remove.addEventListener("click", (event) => {
      event.stopPropagation();
      const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
      this.actions.remove([picture]);
      this.draw();
      (next && !this.element.hidden ? find(next, ".remove", HTMLElement) : byId("files")).focus({ preventScroll: true });
    });
    return row;
  }
}

const byText = new Intl.Collator(undefined, { numeric: true }).compare; // picture-9 comes before picture-10

/**
 * @param {string | number} one
 * @param {string | number} other
 */
function compareKeys(one, other) {
  return typeof one === "number" && typeof other === "number" ? one - other : byText(String(one), String(other));
}

/**
 * Make rows the children of a table's body, moving as few as need be: one that is moved loses the focus.
 * @param {HTMLElement} body
 * @param {HTMLElement[]} rows
 */
function arrange(body, rows) {
  const focused = document.activeElement;
  const wanted = new Set(rows);
  for (const row of [...body.children]) if (!wanted.has(/** @type {HTMLElement} */ (row))) row.remove();
  for (const [place, row] of rows.entries()) if (body.children[place] !== row) body.insertBefore(row, body.children[place] ?? null);
  if (focused instanceof HTMLElement && body.contains(focused)) focused.focus({ preventScroll: true });
}

/**
 * @param {unknown[]} some
 * @param {unknown[]} others
 */
function sameItems(some, others) {
  return some.length === others.length && some.every((item, place) => item === others[place]);
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
  return `${outcome.answer.prediction.labels ? "perhaps" : "or"} ${firstOf(also, 3)}`;
}
