// Uploads take turns on a slow network: the service refuses one that arrives at less than 64,000 bytes a second.

const SLOW_BYTES = 1_000_000; // at once on a slow network: at that rate they are there within the 20 s that each has beside
const FAST_RATE = 512; // bytes in a millisecond: of a network with room for several
const SMALL_BYTES = 200_000; // of an upload that need not wait, and whose time says little about the network

let [running, bytes, isFast] = [0, 0, false];
/** @type {(() => void)[]} */
const waiting = [];

/**
 * Send an upload once there is room for it; of large ones the first goes alone, and shows whether the network is fast.
 * @param {number} size
 * @param {() => Promise<Response>} send
 * @param {AbortSignal} [signal] ends the wait
 */
export async function inTurn(size, send, signal) {
  while (size > SMALL_BYTES && running && !isFast && bytes + size > SLOW_BYTES && !signal?.aborted) {
    await new Promise((resume) => {
      waiting.push(() => resume(null));
      signal?.addEventListener("abort", resume);
    });
  }
  [running, bytes] = [running + 1, bytes + size];
  const start = performance.now();
  let rate = 0; // of all at once
  try {
    const response = await send();
    if (response.ok) rate = (size * running) / (performance.now() - start);
    return response;
  } finally {
    if (size > SMALL_BYTES) isFast = rate > FAST_RATE;
    [running, bytes] = [running - 1, bytes - size];
    for (const resume of waiting.splice(0)) resume();
  }
}
