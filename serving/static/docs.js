// The API page: its commands name this service's address, and can be copied.

import { enableCopy } from "./copy.js";
import { find } from "./elements.js";
import { ROOT } from "./request.js";

for (const command of document.querySelectorAll(".command")) {
  const code = find(command, "code", HTMLElement);
  code.textContent = code.textContent?.replaceAll("http://127.0.0.1:8000", location.origin + ROOT) ?? "";
  enableCopy(command);
}
