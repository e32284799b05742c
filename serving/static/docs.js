// The page about the interface: its commands ask this service, and can be copied.

import { copies } from "./copy.js";

for (const command of document.querySelectorAll(".command")) {
  const code = command.querySelector("code");
  code.textContent = code.textContent.replaceAll("http://127.0.0.1:8000", location.origin);
  copies(command);
}
