// Small means to find and make elements. All text is set with textContent, never as HTML.

/**
 * Return the first element below a node that a selector names; throws if the page lacks it.
 * @template {typeof Element} Kind
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {Kind} kind the class of the element
 * @returns {InstanceType<Kind>}
 */
export function find(parent, selector, kind) {
  const found = parent.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`The page has no ${kind.name} ${selector}.`);
  return /** @type {InstanceType<Kind>} */ (found);
}

/**
 * Return an element of the page by its id.
 * @template {typeof Element} [Kind=typeof HTMLElement]
 * @param {string} id
 * @param {Kind} kind
 * @returns {InstanceType<Kind>}
 */
export function byId(id, kind = /** @type {Kind} */ (/** @type {unknown} */ (HTMLElement))) {
  return find(document, `#${id}`, kind);
}

/**
 * Make an element with a class and a text.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} className
 * @param {string} text
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function create(tag, className = "", text = "") {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}

/**
 * Return a copy of the element in a template.
 * @param {string} id of the template
 */
export function fromTemplate(id) {
  const copy = byId(id, HTMLTemplateElement).content.firstElementChild?.cloneNode(true);
  if (!(copy instanceof HTMLElement)) throw new Error(`The template ${id} is empty.`);
  return copy;
}

/**
 * Return a share as a percentage.
 * @param {number} share
 * @param {number} digits
 */
export function percent(share, digits = 1) {
  return `${(100 * share).toFixed(digits)}%`;
}

/**
 * Return the first few names, and how many more there are.
 * @param {string[]} names
 */
export function firstOf(names, shown = 5) {
  return `${names.slice(0, shown).join(", ")}${names.length > shown ? ` and ${names.length - shown} more` : ""}`;
}

/**
 * Return texts as a list in a sentence.
 * @param {string[]} texts
 */
export function either(texts) {
  return texts.length < 2 ? texts.join("") : `${texts.slice(0, -1).join(", ")} or ${texts.at(-1)}`;
}
