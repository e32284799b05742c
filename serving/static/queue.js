// Work in order, a few pieces at once.

export class Queue {
  /** @param {number} limit how many run at once */
  constructor(limit) {
    this.limit = limit;
    this.running = 0;
    /** @type {(() => Promise<void>)[]} */
    this.waiting = [];
  }

  /**
   * Run a piece of work when its turn comes.
   * @param {() => Promise<void>} work
   */
  add(work) {
    this.waiting.push(work);
    this.next();
  }

  next() {
    const work = this.running < this.limit ? this.waiting.shift() : undefined;
    if (!work) return;
    this.running += 1;
    work().finally(() => {
      this.running -= 1;
      this.next();
    });
  }
}
