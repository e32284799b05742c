// Sends a file to the service, and retries while the service is busy.

import { load, store } from "./storage.js";
import { inTurn } from "./uplink.js";

const MAX_ATTEMPTS = 4;
const MAX_WAIT_S = 60; // between attempts: within a minute a limit per minute has room again
const TIMEOUT_MS = 60_000; // of an attempt, beside its upload
const BYTES_PER_MS = 64; // of an upload: slower ones the service refuses, too
const KEY = "thimble-key"; // in the session storage
const KEY_TEXT = /^[\x20-\x7e]*$/; // what a header can hold
let key = load(KEY) ?? "";

export const ROOT = document.documentElement.dataset.root ?? ""; // the path under which a proxy shows the service

/** A refusal or a failure: code names its kind, the message can be shown. */
export class RequestError extends Error {
  /**
   * @param {string} code
   * @param {string} title
   * @param {string} detail
   */
  constructor(code, title, detail) {
    super(`${title}. ${detail}`);
    this.code = code;
    this.title = title;
    this.detail = detail;
  }
}

/** Return the key that the person has given, or an empty text. */
export function savedKey() {
  return key;
}

/** @param {string} text */
export function saveKey(text) {
  key = text.trim();
  store(KEY, key);
}

/**
 * Post a file; return the JSON body and the headers of the response, and how long it took. Throws RequestError.
 * @param {string} path
 * @param {Blob} file
 * @param {(body: any) => unknown} isAnswer whether a body is what is asked for
 * @param {AbortSignal} [signal] ends the request, and the wait for another attempt
 */
export async function postFile(path, file, isAnswer, signal) {
  for (let attempt = 1; ; attempt += 1) {
    let start = 0;
    const response = await inTurn(file.size, () => {
      start = performance.now();
      return send(path, { method: "POST", headers: { "Content-Type": contentType(file) }, body: file, signal });
    }, signal);
    const wait = Number(response.headers.get("Retry-After"));
    if (!wait || wait > MAX_WAIT_S || attempt === MAX_ATTEMPTS) return { ...(await read(response, isAnswer)), milliseconds: performance.now() - start };
    await pause(1000 * wait, signal);
  }
}

/**
 * Return the JSON at a path. Throws RequestError.
 * @param {string} path
 * @param {(body: any) => unknown} isAnswer whether it is what is asked for
 */
export async function getJson(path, isAnswer) {
  return (await read(await send(path, {}), isAnswer)).body;
}

/**
 * Return the file at a path. Throws RequestError.
 * @param {string} path
 */
export async function getFile(path) {
  const response = await send(path, {});
  if (!response.ok) await read(response, () => false); // throws its error
  return whole(response.blob());
}

/**
 * Return the Content-Type to send a file with: the browser's, if it is an image type.
 * @param {{ type: string }} file
 */
export function contentType(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

/**
 * Send a request with the key, if there is one. Throws RequestError.
 * @param {string} path
 * @param {RequestInit & { headers?: Record<string, string> }} init
 */
export async function send(path, init) {
  if (!KEY_TEXT.test(key)) throw new RequestError("unauthorised", "That is not a key", "It has characters that a key cannot have.");
  const headers = { ...init.headers, ...(key && { "X-API-Key": key }) };
  const size = init.body instanceof Blob ? init.body.size : 0;
  const signals = [AbortSignal.timeout(TIMEOUT_MS + Math.ceil(size / BYTES_PER_MS)), ...(init.signal ? [init.signal] : [])];
  try {
    return await fetch(ROOT + path, { ...init, headers, signal: AbortSignal.any(signals) });
  } catch {
    if (init.body instanceof Blob && !(await isReadable(init.body))) throw unreadable();
    throw noAnswer("It may have stopped.");
  }
}

/**
 * Return the JSON object of a response with its headers. Throws RequestError.
 * @param {Response} response
 * @param {(body: any) => unknown} isAnswer whether it is what is asked for, unless it is an error
 * @returns {Promise<{ body: any, headers: Headers }>}
 */
async function read(response, isAnswer) {
  const body = parsed(await whole(response.text()));
  if (!body || (response.ok && !isAnswer(body))) throw fromElsewhere(response.status);
  if (!response.ok) throw new RequestError(body.code ?? "", body.title ?? `Status ${response.status}`, body.detail ?? "");
  return { body, headers: response.headers };
}

/**
 * Return a body once it has arrived. Throws RequestError.
 * @template Body
 * @param {Promise<Body>} body
 */
export async function whole(body) {
  try {
    return await body;
  } catch {
    throw noAnswer("Its answer ended early.");
  }
}

/**
 * @param {string} text
 * @returns {Record<string, any> | null} null where it is not a JSON object
 */
function parsed(text) {
  try {
    const value = JSON.parse(text);
    return value instanceof Object ? value : null;
  } catch {
    return null;
  }
}

/** @param {Blob} file */
function isReadable(file) {
  return file.slice(0, 1).arrayBuffer().then(() => true, () => false);
}

/** Return the error of a file that has gone since it was chosen. */
export function unreadable() {
  return new RequestError("gone-file", "The file cannot be read any more", "It was moved, changed or deleted.");
}

/** @param {string} detail */
const noAnswer = (detail) => new RequestError("no-answer", "The service does not answer", detail);

/**
 * Return the error of an answer that the service does not give; a proxy may.
 * @param {number} status
 */
function fromElsewhere(status) {
  if (status === 413) return new RequestError("too-large", "The picture is too large", "A proxy before the service refuses it.");
  if (status >= 500) return new RequestError("proxy-error", "The service does not answer", `In its place a proxy answers with status ${status}.`);
  return new RequestError("bad-answer", "The answer is not from the service", `Status ${status}, and not the JSON that was asked for.`);
}

/**
 * Wait, but not longer than a signal allows.
 * @param {number} milliseconds
 * @param {AbortSignal} [signal]
 */
function pause(milliseconds, signal) {
  return new Promise((resume) => {
    setTimeout(resume, milliseconds);
    signal?.addEventListener("abort", resume);
  });
}
