/** The page that shows the widget in use: the line to paste, with this server's address. */

import { write } from "./dom.js";

const { chatUrl, chatPort, lobbyPort } = document.querySelector("meta[name=livesupport]").dataset;
const base = chatUrl || new URL(".", location.href).href.replace(/\/$/, "");
const line = `<script src="${base}/widget.js" async></script>`;
document.getElementById("line").textContent = line;
if (location.port === chatPort) { // there is no proxy
  document.getElementById("console").href = `${location.protocol}//${location.hostname}:${lobbyPort}/`;
}

const copy = document.getElementById("copy");
copy.hidden = !navigator.clipboard; // only pages with TLS or on localhost have one
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(line);
  write(copy, "Copied");
  write(document.getElementById("copied"), "Copied to the clipboard.");
});
