// The request that was just made, as a command and as programs.

import { contentType, ROOT, savedKey } from "./request.js";

/**
 * @typedef {{ name: string, type: string, query: string }} Request a file's name and type, and the parameters
 * @typedef {(request: Request) => string} Snippet
 */

/** @param {string} text */
const shellQuote = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const quote = JSON.stringify; // Python and JavaScript read it alike
const service = () => location.origin + ROOT;
/** @param {Request} request */
const address = ({ query }) => `${service()}/classify${query && `?${query}`}`;
/** @param {Request} request */
const pairs = ({ query }) => [...new URLSearchParams(query)];

/** @type {Snippet} */
function curl(request) {
  const key = savedKey() && ' -H "Authorization: Bearer $THIMBLE_KEY"';
  const type = `-H 'Content-Type: ${contentType(request)}'`;
  return `curl --data-binary @${shellQuote(request.name)} ${type}${key} ${shellQuote(address(request))}`;
}

/** @type {Snippet} */
function python(request) {
  const key = savedKey() && ', "Authorization": "Bearer " + os.environ["THIMBLE_KEY"]';
  return `${savedKey() && "import os\n\n"}import requests

with open(${quote(request.name)}, "rb") as file:
    response = requests.post(
        ${quote(address(request))},
        data=file,
        headers={"Content-Type": ${quote(contentType(request))}${key}},
        timeout=60,
    )
response.raise_for_status()
print(response.json()["predictions"][0]["label"])`;
}

/** @type {Snippet} */
function client(request) {
  const key = savedKey() && ', key=os.environ["THIMBLE_KEY"]';
  const options = pairs(request).map(([name, value]) => `, ${name}=${name === "model" ? quote(value) : value}`).join("");
  return `${savedKey() && "import os\n\n"}from serving.client import Client

with Client(${quote(service())}${key}) as client:
    print(client.classify(${quote(request.name)}${options}))`;
}

/** @type {Snippet} */
function javaScript(request) {
  const key = savedKey() && ', "X-API-Key": key';
  return `const response = await fetch(${quote(address(request))}, {
  method: "POST",
  headers: { "Content-Type": ${quote(contentType(request))}${key} },
  body: file, // a File or a Blob
});
const { predictions } = await response.json();
console.log(predictions[0].label);`;
}

/** @type {Record<string, Snippet>} */
export const SNIPPETS = { curl, "Python": python, "Python client": client, "JavaScript": javaScript };
