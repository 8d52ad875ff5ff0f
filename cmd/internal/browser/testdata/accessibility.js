/*
 * Finds faults that a machine can see, by WCAG 2.2 AA: names of controls (4.1.2), contrast of text
 * (1.4.3) and of controls' borders (1.4.11), sizes of targets (2.5.8), ids that are used twice or
 * lead nowhere, headings and lists, the order of focus (2.4.3), the page's language and title.
 */
(root, shown) => {
  const faults = [];
  const say = (one, what) => faults.push(`${what}: <${one.tagName.toLowerCase()} class="${one.className}"> ${one.textContent.trim().slice(0, 40)}`);
  const dialog = root.querySelector("dialog[open]");
  const scope = dialog ?? root;
  const all = [...scope.querySelectorAll("*")].filter((one) => shown(one) && one.namespaceURI.endsWith("xhtml"));
  const byId = (id) => root.getElementById(id);

  const name = (one) => {
    const labelled = one.getAttribute("aria-labelledby");
    if (labelled) return labelled.split(/\s+/).map((id) => byId(id)?.textContent ?? "").join(" ").trim();
    return (one.getAttribute("aria-label") ?? one.labels?.[0]?.textContent ?? ([one.textContent, ...[...one.querySelectorAll("img")].map(({ alt }) => alt)].join(" "))).trim();
  };
  const controls = all.filter((one) => one.matches("button, a[href], input, textarea, select, [role=tab], [tabindex]"));
  for (const one of [...controls, ...all.filter((one) => one.matches("[role=dialog], dialog, [role=region], [role=tablist], [role=tabpanel]"))]) {
    if (!name(one)) say(one, "no name");
  }
  for (const one of controls) {
    if (one.tabIndex > 0) say(one, "its own place in the order of focus");
    if (one.closest("[aria-hidden=true]")) say(one, "focusable, and hidden from assistive technology");
    const { width, height } = one.getBoundingClientRect();
    const inline = getComputedStyle(one).display === "inline";
    if (!inline && (width < 24 || height < 24)) say(one, `a target of ${width} by ${height}`);
  }

  const ids = [...root.querySelectorAll("[id]")].map(({ id }) => id);
  for (const id of new Set(ids.filter((id, i) => ids.indexOf(id) !== i))) faults.push(`id used twice: ${id}`);
  for (const one of all) {
    for (const attribute of ["aria-labelledby", "aria-describedby", "aria-controls", "for"]) {
      for (const id of one.getAttribute(attribute)?.split(/\s+/) ?? []) if (!byId(id)) say(one, `${attribute} leads nowhere`);
    }
    if (one.tagName === "LI" && !one.parentElement.matches("ul, ol")) say(one, "outside of a list");
    if (one.matches("ul, ol") && [...one.children].some(({ tagName }) => tagName !== "LI")) say(one, "a list with something else in it");
    if (one.tagName === "IMG" && !one.hasAttribute("alt")) say(one, "no alternative text");
    if (one.getAttribute("role") === "tab" && !one.closest("[role=tablist]")) say(one, "a tab outside of a list of tabs");
    if (one.getAttribute("role") === "tablist" && !one.querySelector("[role=tab]")) say(one, "a list of tabs without any");
    if (one.matches("pre:not([role]), div:not([role]), span:not([role]), p:not([role])") && one.matches("[aria-label], [aria-labelledby]")) say(one, "a name on an element without a role");
  }
  if (document.documentElement.lang === "") faults.push("the page has no language");
  if (document.title === "") faults.push("the page has no title");
  if (root === document && document.querySelectorAll("main:not([hidden])").length !== 1) faults.push("not one main landmark");
  if (root === document && ![...document.querySelectorAll("h1")].some(shown)) faults.push("no heading of the first level");

  // Colours are painted on a canvas to learn them in sRGB.
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  const painted = new Map();
  const paint = (...colours) => {
    const key = colours.join();
    if (!painted.has(key)) {
      context.clearRect(0, 0, 1, 1);
      for (const colour of colours) {
        context.fillStyle = colour;
        context.fillRect(0, 0, 1, 1);
      }
      painted.set(key, [...context.getImageData(0, 0, 1, 1).data]);
    }
    return painted.get(key);
  };
  const canvas = matchMedia("(prefers-color-scheme: dark)").matches ? "#121212" : "#fff";
  const behind = (one) => {
    const colours = [];
    for (let at = one; at; at = at.parentElement ?? at.getRootNode().host) {
      const { backgroundColor } = getComputedStyle(at);
      colours.unshift(backgroundColor);
      if (paint(backgroundColor)[3] === 255) return colours;
    }
    return [canvas, ...colours];
  };
  const luminance = ([r, g, b]) => {
    const [lr, lg, lb] = [r, g, b].map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * lr + 0.7152 * lg + 0.0722 * lb;
  };
  const contrast = (front, back) => {
    const [high, low] = [luminance(paint(...back, front)), luminance(paint(...back))].sort((a, b) => b - a);
    return (high + 0.05) / (low + 0.05);
  };
  const seen = (one) => {
    const range = one.ownerDocument.createRange();
    range.selectNodeContents(one);
    return range.getBoundingClientRect().width > 1;
  };
  for (const one of all) {
    const style = getComputedStyle(one);
    const back = behind(one);
    const disabled = one.closest(":disabled");
    if (one.closest(".unseen") || disabled) continue;
    const written = [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (written && seen(one)) {
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      const got = contrast(style.color, back);
      if (got < (large ? 3 : 4.5)) say(one, `text with a contrast of ${got.toFixed(2)}`);
    }
    if (one.matches("input, textarea")) {
      const got = contrast(getComputedStyle(one, "::placeholder").color, back);
      if (got < 4.5) say(one, `a placeholder with a contrast of ${got.toFixed(2)}`);
      const edge = one.closest(".field") ?? one;
      const border = contrast(getComputedStyle(edge).borderTopColor, behind(edge.parentElement));
      if (border < 3) say(one, `a border with a contrast of ${border.toFixed(2)}`);
    }
    if (one.tagName === "BUTTON" && !one.textContent.trim()) {
      const got = contrast(style.color, back);
      if (got < 3) say(one, `a picture with a contrast of ${got.toFixed(2)}`);
    }
  }
  return faults;
}
