// A canvas to draw on with a pointer or with the keys: light on black, as the pictures of garments are.

const BLACK = "#000";
const STEP = 8; // pixels that an arrow key moves the pen: about one of the model's input

/** @typedef {{ x: number, y: number }} Point */

export class DrawingCanvas {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(drawing: DrawingCanvas) => void} changed called after each change
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d", { willReadFrequently: true }));
    this.pen = { colour: "#d8d8d8", width: 24, fills: false };
    /** @type {Point[]} the stroke in the making */
    this.stroke = [];
    /** @type {number | null} of a stroke: another finger, or the palm, is ignored until it ends */
    this.pointer = null;
    /** @type {ImageData[]} the canvas before each stroke */
    this.earlier = [];
    this.keyboard = { x: canvas.width / 2, y: canvas.height / 2, down: false };
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => { if (event.pointerId === this.pointer && this.stroke.length) this.continue(this.place(event)); });
    for (const kind of /** @type {const} */ (["pointerup", "pointercancel"])) {
      canvas.addEventListener(kind, (event) => { if (event.pointerId === this.pointer) this.end(); });
    }
    canvas.addEventListener("keydown", (event) => this.press(event));
    this.wipe();
  }

  /** @param {PointerEvent} event */
  begin(event) {
    event.preventDefault();
    if (this.pointer !== null || event.button !== 0) return;
    this.pointer = event.pointerId;
    this.canvas.focus();
    this.canvas.setPointerCapture(event.pointerId);
    this.start(this.place(event));
  }

  /** @param {Point} point */
  start(point) {
    this.earlier.push(this.context.getImageData(0, 0, this.canvas.width, this.canvas.height));
    this.stroke = [point];
    this.continue(point);
  }

  /** @param {Point} point */
  continue(point) {
    const previous = this.stroke.at(-1) ?? point;
    this.stroke.push(point);
    Object.assign(this.context, { strokeStyle: this.pen.colour, lineWidth: this.pen.width, lineCap: "round", lineJoin: "round" });
    this.context.beginPath();
    this.context.moveTo(previous.x, previous.y);
    this.context.lineTo(point.x, point.y);
    this.context.stroke();
    this.changed(this);
  }

  /** End the stroke, and fill what it encloses. */
  end() {
    if (this.pen.fills && this.stroke.length > 2) {
      this.context.fillStyle = this.pen.colour;
      this.context.beginPath();
      for (const { x, y } of this.stroke) this.context.lineTo(x, y);
      this.context.fill();
      this.changed(this);
    }
    this.lift();
  }

  /**
   * Move the pen with the arrows; the space bar puts it down and lifts it.
   * @param {KeyboardEvent} event
   */
  press(event) {
    const [dx, dy] = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP], " ": [0, 0] }[event.key] ?? [NaN, NaN];
    if (Number.isNaN(dx)) return;
    event.preventDefault();
    const { keyboard, canvas } = this;
    keyboard.x = Math.min(canvas.width, Math.max(0, keyboard.x + dx));
    keyboard.y = Math.min(canvas.height, Math.max(0, keyboard.y + dy));
    if (event.key === " ") {
      keyboard.down = !keyboard.down;
      if (keyboard.down) this.start({ x: keyboard.x, y: keyboard.y });
      else this.end();
    } else if (keyboard.down) {
      this.continue({ x: keyboard.x, y: keyboard.y });
    }
  }

  /** @param {PointerEvent} event */
  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return { x: (event.clientX - box.left) * this.canvas.width / box.width, y: (event.clientY - box.top) * this.canvas.height / box.height };
  }

  undo() {
    const before = this.earlier.pop();
    if (before) this.context.putImageData(before, 0, 0);
    this.lift();
    this.changed(this);
  }

  wipe() {
    this.earlier = [];
    this.lift();
    this.context.fillStyle = BLACK;
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.changed(this);
  }

  /** Give up the stroke in the making. */
  lift() {
    [this.stroke, this.pointer] = [[], null];
    this.keyboard.down = false;
  }

  get isEmpty() {
    return this.earlier.length === 0;
  }

  /** @returns {Promise<Blob | null>} the drawing as a PNG */
  png() {
    return new Promise((resolve) => this.canvas.toBlob(resolve, "image/png"));
  }
}
