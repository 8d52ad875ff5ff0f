// The line that a site pastes loads this script. It does not block the page, defines no global names,
// and leaves the page unchanged if the server is unavailable.
(() => {
  const key = Symbol.for("livesupport"); // shared by all copies of this script in a page
  const server = new URL("{{chatURL}}" || `${/^http/.test(location.protocol) ? location.protocol : "https:"}//{{host}}`).href.replace(/\/*$/, "/");
  // As a module, or bundled into a site's script, this has no currentScript: then it looks for a module
  // of its name, or else uses the host that the server has filled in.
  const named = (one) => /\/widget\.js(?:[?#]|$)/.test(one?.src);
  const modules = () => [...document.querySelectorAll("script[type=module][src]")].filter(named);
  const script = document.currentScript ?? modules().find(({ src }) => src.startsWith(server)) ?? modules().pop();
  const from = new URL(named(script) ? script.src : server);
  from.username = from.password = ""; // a page's own URL may have these, but a fetch must not
  const base = new URL(".", from).href;
  const line = { script, options: { ...script?.dataset } };
  if (window[key]) return window[key].push(line); // the line is there twice, or again after a navigation within the document

  const lines = [line];
  Object.defineProperty(window, key, { value: lines, configurable: true });
  const told = new Set();
  const refused = ({ blockedURI, effectiveDirective, disposition }) => {
    if (disposition !== "enforce" || told.has(effectiveDirective) || !blockedURI.replace(/^ws/, "http").startsWith(new URL(base).origin)) return;
    told.add(effectiveDirective);
    console.warn(`livesupport: this page's Content-Security-Policy does not allow ${blockedURI}. Add ${new URL(blockedURI).origin} to its ${effectiveDirective}.`);
  };
  const start = async () => {
    if (document.prerendering) return document.addEventListener("prerenderingchange", start, { once: true });
    document.addEventListener("securitypolicyviolation", refused);
    try {
      const { start } = await import(`${base}assets/{{version}}/shell.js`);
      await start(base, { ttl: Number("{{ttl}}"), preview: "{{preview}}" === "true" }, lines);
    } catch (error) {
      delete window[key]; // a later line can try again
      console.warn("livesupport:", error);
    }
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start, { once: true });
  else start();
})();
