// The page: takes images in from every side, and has them answered one after another.

import { Result } from "./result.js";

const part = (name) => document.getElementById(name);
const results = [];
let queue = Promise.resolve();

document.documentElement.classList.add("js");

/** Return the query that the options say. */
function options() {
  const chosen = ["model", "coverage"].map((name) => [name, part(name).value]);
  return new URLSearchParams(chosen.filter(([, value]) => value));
}

function enqueue(result) {
  queue = queue.then(async () => { part("status").textContent = await result.classify(); });
}

/** Show files, the newest on top, and ask about each. */
function take(files) {
  const added = [...files].map((file) => new Result(file, options));
  results.unshift(...added);
  part("results").prepend(...added.map((result) => result.element));
  added.forEach(enqueue);
}

part("files").addEventListener("change", ({ target }) => {
  take(target.files);
  target.value = ""; // so that the same file may be chosen again
});

for (const name of ["model", "coverage"]) part(name).addEventListener("change", () => results.forEach(enqueue));

part("samples").addEventListener("click", async ({ target }) => {
  const address = target.closest("button")?.dataset.sample;
  if (!address) return;
  const response = await fetch(address);
  take([new File([await response.blob()], address.split("/").pop(), { type: "image/png" })]);
});

document.addEventListener("paste", ({ clipboardData }) => take(clipboardData.files));

document.addEventListener("dragover", (event) => {
  event.preventDefault(); // without it the browser would open what is dropped
  part("drop").classList.add("over");
});
document.addEventListener("dragleave", ({ relatedTarget }) => part("drop").classList.toggle("over", relatedTarget !== null));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  part("drop").classList.remove("over");
  take(event.dataTransfer.files);
});
