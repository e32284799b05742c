// Buttons that copy the command beside them, where the browser lets pages do so.

/** Make the copy button of a command work. */
export function copies(command) {
  const button = command.querySelector(".copy");
  button.hidden = !navigator.clipboard; // only on https and on this machine
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(command.querySelector("code").textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
