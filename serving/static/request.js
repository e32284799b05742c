// Sends a file to the service, and retries while the service is busy.

const MAX_ATTEMPTS = 4;
const MAX_WAIT_S = 10; // between attempts
const TIMEOUT_MS = 60_000; // of an attempt
const KEY = "thimble-key"; // in the session storage, which ends with the tab

export const ROOT = document.documentElement.dataset.root; // the path under which a proxy shows the service

/** Return the key that the person has given, or an empty text. */
export function savedKey() {
  return sessionStorage.getItem(KEY) ?? "";
}

export function saveKey(key) {
  sessionStorage.setItem(KEY, key.trim());
}

/** Post a file; return the JSON body and the headers of the response. Throws an Error whose message can be shown. */
export async function postFile(url, file) {
  for (let attempt = 1; ; attempt += 1) {
    const response = await send(url, file);
    const wait = Number(response.headers.get("Retry-After"));
    if (!wait || attempt === MAX_ATTEMPTS) return read(response);
    await new Promise((resume) => setTimeout(resume, 1000 * Math.min(wait, MAX_WAIT_S)));
  }
}

/** Return the Content-Type to send a file with: the browser's, if it is an image type. */
export function contentType(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

async function send(url, file) {
  const headers = { "Content-Type": contentType(file), ...(savedKey() && { "X-API-Key": savedKey() }) };
  try {
    return await fetch(url, { method: "POST", headers, body: file, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch {
    throw new Error("The service does not answer, or the file cannot be read. Check that the service is running.");
  }
}

async function read(response) {
  let body;
  try {
    body = await response.json();
  } catch {
    throw new Error(`The response is not valid JSON (status ${response.status}).`);
  }
  if (!response.ok) throw new Error(body.title ? `${body.title}. ${body.detail}` : `Status ${response.status}.`);
  return { body, headers: response.headers };
}
