// Buttons that copy the command beside them.

/** Enable the copy button of a command, if the browser allows pages to write to the clipboard. */
export function enableCopy(command) {
  const button = command.querySelector(".copy");
  button.hidden = !navigator.clipboard; // browsers define it only for https and localhost
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
