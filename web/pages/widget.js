// The line that a site pastes loads this. It waits for nothing, names nothing,
// and if the server is away the page is as it was.
(() => {
  const script = document.currentScript;
  const base = new URL(".", script.src).href;
  const start = () => import(`${base}assets/{{version}}/visitor.js`)
    .then(({ start }) => start(base, { ...script.dataset }, Number("{{ttl}}")))
    .catch((error) => console.warn("livesupport:", error));
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, { once: true });
  else start();
})();
