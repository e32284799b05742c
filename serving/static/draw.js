// Draws a garment, and answers while it is drawn.

import { DrawingCanvas } from "./canvas.js";
import { byId, create, find, percent } from "./elements.js";
import { givenText, Picture } from "./picture.js";

const PAUSE_MS = 120; // between a change and the question about it
const SHOWN = 3; // labels

/**
 * Have a button open the drawing board.
 * @param {(files: File[]) => void} take
 * @param {() => URLSearchParams} options
 */
export function enableDrawing(take, options) {
  const [button, dialog] = [byId("draw", HTMLButtonElement), byId("draw-dialog", HTMLDialogElement)];
  const live = new LiveAnswer(byId("draw-answer"), options);
  const board = new DrawingCanvas(byId("board", HTMLCanvasElement), (drawing) => live.ask(drawing));
  button.addEventListener("click", () => dialog.showModal());
  byId("undo").addEventListener("click", () => board.undo());
  byId("wipe").addEventListener("click", () => board.wipe());
  dialog.addEventListener("change", () => {
    const pen = byId("pen", HTMLSelectElement).selectedOptions[0].dataset;
    board.pen = { colour: pen.colour ?? "", width: Number(byId("width", HTMLInputElement).value), fills: byId("fills", HTMLInputElement).checked };
  });
  byId("keep").addEventListener("click", async () => {
    const png = board.isEmpty ? null : await board.png();
    dialog.close();
    if (png) take([new File([png], "drawing.png", { type: "image/png" })]);
  });
}

class LiveAnswer {
  /**
   * @param {HTMLElement} element
   * @param {() => URLSearchParams} options
   */
  constructor(element, options) {
    this.element = element;
    this.options = options;
    this.timer = 0;
    this.asked = 0;
    /** @type {Picture | null} */
    this.picture = null;
  }

  /**
   * Ask about the drawing once it has not changed for a moment.
   * @param {DrawingCanvas} board
   */
  ask(board) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.answer(board), PAUSE_MS);
  }

  /** @param {DrawingCanvas} board */
  async answer(board) {
    this.picture?.remove(); // ends its question
    this.asked += 1;
    const asked = this.asked;
    const png = board.isEmpty ? null : await board.png();
    if (asked !== this.asked) return;
    const picture = png && new Picture("drawing.png", png);
    this.picture = picture;
    const outcome = picture && (await picture.classify(this.options(), picture.question.signal));
    picture?.remove();
    if (asked === this.asked) this.show(outcome);
  }

  /** @param {import("./picture.js").Outcome | null} outcome */
  show(outcome) {
    const prediction = outcome?.answer?.prediction;
    const heading = outcome?.problem ? `${outcome.problem.title}.` : prediction ? givenText(prediction) : "Draw a garment: a shoe, a bag, trousers.";
    find(this.element, "h3", HTMLElement).textContent = heading;
    find(this.element, "ol", HTMLElement).replaceChildren(...(prediction?.top ?? []).slice(0, SHOWN).map(({ label, probability }) => {
      const item = create("li", "bar");
      item.style.setProperty("--share", `${100 * probability}%`);
      item.append(create("span", "what", label), create("span", "percent", percent(probability, 0)));
      return item;
    }));
    const pixels = find(this.element, "img", HTMLImageElement);
    [pixels.hidden, pixels.src] = [!prediction, prediction?.seen ?? ""];
    find(this.element, "p", HTMLElement).textContent = prediction?.novel ? "Unlike the pictures that it learned from: drawings often are." : "";
  }
}
