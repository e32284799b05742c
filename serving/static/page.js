// The page that classifies images: chosen, dropped, pasted or sample files, one request at a time.

import { savedKey, saveKey } from "./request.js";
import { Result } from "./result.js";

const byId = (id) => document.getElementById(id);
const results = [];
let queue = Promise.resolve();

document.documentElement.classList.add("js");

/** Return the chosen options as query parameters. */
function options() {
  const chosen = ["model", "coverage"].map((name) => [name, byId(name).value]);
  return new URLSearchParams(chosen.filter(([, value]) => value));
}

function enqueue(result) {
  queue = queue.then(async () => { byId("status").textContent = await result.classify(); });
}

/** Show files above the earlier ones, and classify each. */
function addFiles(files) {
  const added = [...files].map((file) => new Result(file, options));
  results.unshift(...added);
  byId("results").prepend(...added.map((result) => result.element));
  added.forEach(enqueue);
}

byId("files").addEventListener("change", ({ target }) => {
  addFiles(target.files);
  target.value = ""; // otherwise choosing the same file again would fire no event
});

for (const name of ["model", "coverage"]) byId(name).addEventListener("change", () => results.forEach(enqueue));

if (byId("key")) { // the service asks for one
  byId("key").value = savedKey();
  byId("key").addEventListener("input", ({ target }) => saveKey(target.value));
  byId("key").addEventListener("change", () => results.forEach(enqueue));
}

byId("samples").addEventListener("click", async ({ target }) => {
  const url = target.closest("button")?.dataset.sample;
  if (!url) return;
  const response = await fetch(url);
  addFiles([new File([await response.blob()], url.split("/").pop(), { type: "image/png" })]);
});

document.addEventListener("paste", ({ clipboardData }) => addFiles(clipboardData.files));

document.addEventListener("dragover", (event) => {
  event.preventDefault(); // otherwise the browser opens the dropped file
  byId("drop").classList.add("over");
});
document.addEventListener("dragleave", ({ relatedTarget }) => byId("drop").classList.toggle("over", relatedTarget !== null));
document.addEventListener("drop", (event) => {
  event.preventDefault();
  byId("drop").classList.remove("over");
  addFiles(event.dataTransfer.files);
});
