// Buttons that copy the command beside them.

import { find } from "./elements.js";

/**
 * Enable the copy button of a command, if the browser allows pages to write to the clipboard.
 * @param {Element} command
 */
export function enableCopy(command) {
  const button = find(command, ".copy", HTMLButtonElement);
  button.hidden = !navigator.clipboard; // browsers define it only for https and localhost
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(find(command, "code", HTMLElement).textContent ?? "");
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
