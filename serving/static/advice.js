// What a person can do about a problem, by its code.

/** @type {Record<string, string>} */
const ADVICE = {
  "bad-request": "Choose another model, or reload the page.",
  "unknown-model": "The model was removed. Choose another one.",
  unauthorised: "Type the key of this service into the field beside the model.",
  "not-allowed": "Ask whoever runs this service for a key that may classify.",
  "too-large": "Save the picture smaller, and try again.",
  "too-many-pixels": "Save the picture smaller, and try again.",
  "unreadable-image": "Open it in a picture viewer, save it as JPEG or PNG, and try again.",
  "unsupported-type": "Save it as JPEG or PNG, and try again.",
  "rate-limited": "Wait a little, then try again.",
  overloaded: "The service is busy. Wait a little, then try again.",
  "no-model": "Wait until a model is loaded, then try again.",
  "slow-body": "The connection is slow. Try again, or save the picture smaller.",
  "no-answer": "Check that the service is running and that you are connected, then try again.",
  "gone-file": "Add the file again.",
  "empty-file": "Choose another file, or save the picture again.",
  "proxy-error": "Wait a little, then try again.",
};

/**
 * Return what to do about a problem.
 * @param {string} code
 */
export function advice(code) {
  return ADVICE[code] ?? "Try again. If it fails again, tell whoever runs this service.";
}
