// Sends a file to the service, and retries while the service is busy.

import { load, store } from "./storage.js";

const MAX_ATTEMPTS = 4;
const MAX_WAIT_S = 10; // between attempts
const TIMEOUT_MS = 60_000; // of an attempt
const KEY = "thimble-key"; // in the session storage, which ends with the tab

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
  return load(KEY) ?? "";
}

/** @param {string} key */
export function saveKey(key) {
  store(KEY, key.trim());
}

/**
 * Post a file; return the JSON body and the headers of the response. Throws RequestError.
 * @param {string} path
 * @param {Blob} file
 */
export async function postFile(path, file) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await send(path, { method: "POST", headers: { "Content-Type": contentType(file) }, body: file });
    const wait = Number(response.headers.get("Retry-After"));
    if (!wait || attempt === MAX_ATTEMPTS) return read(response);
    await new Promise((resume) => setTimeout(resume, 1000 * Math.min(wait, MAX_WAIT_S)));
  }
}

/**
 * Return the JSON at a path. Throws RequestError.
 * @param {string} path
 */
export async function getJson(path) {
  return (await read(await send(path, {}))).body;
}

/**
 * Return the file at a path. Throws RequestError.
 * @param {string} path
 */
export async function getFile(path) {
  const response = await send(path, {});
  if (!response.ok) await read(response);
  return response.blob();
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
  const headers = { ...init.headers, ...(savedKey() && { "X-API-Key": savedKey() }) };
  try {
    return await fetch(ROOT + path, { ...init, headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new RequestError(
      "no-answer", "The service does not answer", "It may have stopped, or the file cannot be read any more.",
    );
  }
}

/** @param {Response} response */
async function read(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    if (response.status >= 500) throw new RequestError("proxy-error", "The service does not answer", `In its place a proxy answers with status ${response.status}.`);
    throw new RequestError("bad-answer", "Something else than the service answers", `Status ${response.status}, and not valid JSON.`);
  }
  if (!response.ok) throw new RequestError(body.code ?? "", body.title ?? `Status ${response.status}`, body.detail ?? "");
  return { body, headers: response.headers };
}
