// The API page: its commands name this service's address and can be copied, its calls can be tried and searched.

import { enableCopy } from "./copy.js";
import { byId, find } from "./elements.js";
import { ROOT } from "./request.js";
import { enableTry } from "./try.js";

for (const command of document.querySelectorAll(".command")) {
  const code = find(command, "code", HTMLElement);
  code.textContent = code.textContent?.replaceAll("http://127.0.0.1:8000", location.origin + ROOT) ?? "";
  enableCopy(command);
}

for (const form of document.querySelectorAll("form.try")) enableTry(/** @type {HTMLFormElement} */ (form));

const calls = [...document.querySelectorAll("details.call")];

/** Show only what has all words of a search. */
function search() {
  const words = byId("search", HTMLInputElement).value.toLowerCase().split(/\s+/).filter(Boolean);
  const matches = calls.filter((call) => words.every((word) => call.textContent?.toLowerCase().includes(word)));
  for (const call of calls) /** @type {HTMLElement} */ (call).hidden = !matches.includes(call);
  for (const link of document.querySelectorAll(".contents li a")) {
    const target = document.getElementById(link.getAttribute("href")?.slice(1) ?? "");
    if (link.parentElement) link.parentElement.hidden = target?.matches(".call[hidden]") ?? false;
  }
  byId("found").textContent = words.length ? `${matches.length} of ${calls.length} calls and types` : "";
}

/** Open what the address points to. */
function openTarget() {
  const target = document.querySelector(":target");
  if (target?.closest("[hidden]")) {
    byId("search", HTMLInputElement).value = "";
    search();
  }
  if (target instanceof HTMLDetailsElement) target.open = true;
  target?.scrollIntoView();
}

byId("search").addEventListener("input", search);
addEventListener("hashchange", openTarget);
if (location.hash) openTarget();
