// Asks the service: one file a request, with patience when it is busy.

const TRIES = 4;
const PATIENCE = 60_000; // milliseconds

/** Send a file and return the answer's document and headers; throws an Error that can be shown. */
export async function ask(address, file) {
  for (let left = TRIES; ; left -= 1) {
    const response = await send(address, file);
    const wait = Number(response.headers.get("Retry-After"));
    if (!wait || left === 1) return read(response);
    await new Promise((resume) => setTimeout(resume, 1000 * Math.min(wait, 10)));
  }
}

/** Return the type under which a file is sent: the browser's own word, if it is that of an image. */
export function kind(file) {
  return file.type.startsWith("image/") ? file.type : "application/octet-stream";
}

async function send(address, file) {
  const headers = { "Content-Type": kind(file) };
  try {
    return await fetch(address, { method: "POST", headers, body: file, signal: AbortSignal.timeout(PATIENCE) });
  } catch {
    throw new Error("The service does not answer, or the file cannot be read. Is the service running?");
  }
}

async function read(response) {
  let said;
  try {
    said = await response.json();
  } catch {
    throw new Error(`The answer makes no sense (status ${response.status}).`);
  }
  if (!response.ok) throw new Error(said.title ? `${said.title}. ${said.detail}` : `Status ${response.status}.`);
  return { said, headers: response.headers };
}
