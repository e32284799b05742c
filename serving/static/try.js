// Runs a call of the API page on the spot.

import { find } from "./elements.js";
import { contentType, getFile, RequestError, send, unreadable, whole } from "./request.js";

const MAX_SHOWN = 20_000; // characters of an answer

/**
 * Have a form send its call, and show the answer below.
 * @param {HTMLFormElement} form
 */
export function enableTry(form) {
  const [output, button] = [find(form, "pre", HTMLElement), find(form, "button", HTMLButtonElement)];
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.hidden = false;
    output.textContent = "…";
    button.disabled = true;
    try {
      output.textContent = await answer(form);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      output.textContent = error.message;
    } finally {
      button.disabled = false;
    }
  });
}

/** @param {HTMLFormElement} form */
async function answer(form) {
  const { method = "GET", path = "", body: kind = "" } = form.dataset;
  const values = new FormData(form);
  const filled = path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(String(values.get(name))));
  const response = await send(filled, { method, ...(kind && (await content(kind, form))) });
  return `${response.status} ${response.statusText}\n${pretty(await whole(response.text()))}`;
}

/**
 * Return the body of a call with its type.
 * @param {string} kind
 * @param {HTMLFormElement} form
 */
async function content(kind, form) {
  if (kind === "json") return json({});
  const file = find(form, "input[type=file]", HTMLInputElement).files?.[0] ?? (await drawing());
  if (kind === "image") return { body: file, headers: { "Content-Type": contentType(file) } };
  const bytes = await file.arrayBuffer().catch(() => { throw unreadable(); });
  const text = btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
  return json({ inputs: [{ name: "image", datatype: "BYTES", shape: [1], data: [text] }] });
}

/** @param {object} body */
function json(body) {
  return { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
}

/** Return a drawing, to send where no file is chosen. */
async function drawing() {
  return getFile("/static/handbag.png");
}

/** @param {string} text */
function pretty(text) {
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch { // it is another kind of text
  }
  return shown.length > MAX_SHOWN ? `${shown.slice(0, MAX_SHOWN)} …` : shown;
}
