// Uploads take turns on a slow network: the service refuses one that arrives at less than 64,000 bytes a second.

const SLOW_BYTES = 1_000_000; // at once on a slow network: at that rate they take 16 s, of the 20 s that each has beside
const FAST_RATE = 512; // bytes a millisecond, from which several at once are each fast enough
const SMALL_BYTES = 200_000; // up to this size an upload does not wait; its time says little about the network
const TIMED_OUT = 408; // the status of an upload that came too slowly

let [running, bytes, isFast] = [0, 0, false];
/** @type {(() => void)[]} */
const waiting = [];

/**
 * Send an upload; a large one waits while others are sent and the network is slow, or not yet known.
 * @param {number} size
 * @param {() => Promise<Response>} send
 * @param {AbortSignal} [signal] ends the wait
 */
export async function inTurn(size, send, signal) {
  if (size <= SMALL_BYTES) return send();
  while (running && !isFast && bytes + size > SLOW_BYTES && !signal?.aborted) {
    await new Promise((resume) => {
      waiting.push(() => resume(null));
      signal?.addEventListener("abort", resume);
    });
  }
  [running, bytes] = [running + 1, bytes + size];
  const start = performance.now();
  try {
    const response = await send();
    if (response.ok) isFast ||= (size * running) / (performance.now() - start) > FAST_RATE;
    if (response.status === TIMED_OUT) isFast = false;
    return response;
  } catch (error) {
    if (!signal?.aborted) isFast = false;
    throw error;
  } finally {
    [running, bytes] = [running - 1, bytes - size];
    for (const resume of waiting.splice(0)) resume();
  }
}
