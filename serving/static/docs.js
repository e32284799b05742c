// The API page: its commands name this service's address, and can be copied.

import { enableCopy } from "./copy.js";

for (const command of document.querySelectorAll(".command")) {
  const code = command.querySelector("code");
  code.textContent = code.textContent.replaceAll("http://127.0.0.1:8000", location.origin + document.documentElement.dataset.root);
  enableCopy(command);
}
