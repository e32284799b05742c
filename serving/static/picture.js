// A picture and its answers. A picture that outlived a reload may have lost its file.

import { postFile, RequestError } from "./request.js";

const THUMBNAIL_SIDE = 96; // twice what the table shows, for dense screens

/**
 * @typedef {{ label: string, index: number, probability: number }} Candidate
 * @typedef {{
 *   model: string, version: string, label: string, index: number, probability: number, top: Candidate[], labels?: Candidate[],
 *   set: string[], coverage: number | null, novelty?: number, novel?: boolean, fit: string[], seen?: string,
 * }} Prediction
 * @typedef {{ code: string, title: string, detail: string }} Problem
 * @typedef {{ prediction: Prediction, modelFile: string, stages: string, milliseconds: number }} Answer
 * @typedef {{ answer?: Answer, problem?: Problem }} Outcome
 */

export class Picture {
  /**
   * @param {string} name
   * @param {Blob | null} file
   * @param {Outcome | null} outcome null while it is not answered
   * @param {string} thumbnail a data: URL, or empty
   */
  constructor(name, file, outcome = null, thumbnail = "") {
    this.name = name;
    this.file = file;
    this.outcome = outcome;
    this.thumbnail = thumbnail;
    this.url = file ? URL.createObjectURL(file) : "";
    this.removed = false;
    this.question = new AbortController();
  }

  /** Forget the file, whose memory the browser keeps until then. */
  remove() {
    this.removed = true;
    this.question.abort();
    URL.revokeObjectURL(this.url);
  }

  /** Begin to ask anew; return the signal that ends it: the picture is removed, or asked about again. */
  begin() {
    this.question.abort();
    this.question = new AbortController();
    this.outcome = null;
    return this.question.signal;
  }

  /**
   * Ask for a prediction.
   * @param {URLSearchParams} options
   * @param {AbortSignal} [signal] ends it
   * @returns {Promise<Outcome>}
   */
  async classify(options, signal) {
    const query = new URLSearchParams([...options, ["seen", "true"]]);
    return this.ask(async (file) => {
      const { body, headers, milliseconds } = await postFile(`/classify?${query}`, file, isAnswer, signal);
      const [prediction] = body.predictions;
      const modelFile = headers.get("Thimble-Model") ?? "";
      return { answer: { prediction, modelFile, stages: stageTimes(headers), milliseconds } };
    });
  }

  /**
   * Call with the file, and make an error an outcome.
   * @template {object} Result
   * @param {(file: Blob) => Promise<Result>} call
   * @returns {Promise<Result | { problem: Problem }>}
   */
  async ask(call) {
    try {
      if (!this.file) throw new RequestError("gone-file", "The file is gone", "It was not kept when the page was reloaded.");
      if (!this.file.size) throw new RequestError("empty-file", "The file is empty", "It has 0 bytes.");
      return await call(this.file);
    } catch (error) {
      if (!(error instanceof RequestError)) throw error;
      return { problem: { code: error.code, title: error.title, detail: error.detail } };
    }
  }

  /** Make the thumbnail: of the file, or, where the browser cannot show that, of what the model saw. */
  async makeThumbnail() {
    if (this.thumbnail) return;
    this.thumbnail = (this.file && (await thumbnail(this.file))) || this.outcome?.answer?.prediction.seen || "";
  }
}

/** @param {{ predictions?: (Prediction | undefined)[] }} body */
function isAnswer({ predictions }) {
  const prediction = Array.isArray(predictions) ? predictions[0] : undefined;
  return Array.isArray(prediction?.top) && Array.isArray(prediction?.set) && Array.isArray(prediction?.fit);
}

/**
 * Return the labels that a picture is given: of a multi-label model all that reach their thresholds, or none; otherwise one.
 * @param {Prediction} prediction
 * @returns {Candidate[]}
 */
export function given({ labels, label, index, probability }) {
  return labels ?? [{ label, index, probability }];
}

/**
 * Return the labels of a picture as text.
 * @param {Prediction} prediction
 */
export function givenText(prediction) {
  return given(prediction).map(({ label }) => label).join(", ") || "None of its labels";
}

/**
 * Return what else a picture could show: the labels of its set that it is not given.
 * @param {Prediction} prediction
 */
export function others(prediction) {
  const own = given(prediction).map(({ label }) => label);
  return prediction.set.filter((label) => !own.includes(label));
}

/**
 * Return a small copy of an image as a data: URL; empty where the browser cannot read it.
 * @param {Blob} file
 */
async function thumbnail(file) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) return "";
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.round(side * scale)));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.toDataURL("image/webp", 0.8);
}

/**
 * Return the stages in a Server-Timing header with their times, as text.
 * @param {Headers} headers
 */
function stageTimes(headers) {
  const entries = (headers.get("Server-Timing") ?? "").matchAll(/(\w+);dur=([\d.]+)/g);
  return [...entries].map(([, name, time]) => `${name} ${Number(time).toFixed(1)} ms`).join(", ");
}
