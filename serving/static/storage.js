// The session storage, which ends with the tab. A browser may forbid it, and it may be full.

/**
 * Return what is stored under a key; null where there is nothing.
 * @param {string} key
 * @returns {string | null}
 */
export function load(key) {
  try {
    return sessionStorage.getItem(key);
  } catch { // it is forbidden
    return null;
  }
}

/**
 * Store a text; return whether that could be done.
 * @param {string} key
 * @param {string} text
 */
export function store(key, text) {
  try {
    sessionStorage.setItem(key, text);
    return true;
  } catch { // it is full, or forbidden
    return false;
  }
}
