/** How long an announcement stays in the page for screen readers, in ms. */
const SAID = 1_000;

/**
 * Creates an element. Each of the props becomes a property if the element has it, otherwise an attribute.
 * on… adds a listener, class sets the class, and dataset adds its entries.
 * @param {string} tag
 * @param {object} props
 * @param {...(Node|string)} children
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "class") element.className = value;
    else if (key === "dataset") Object.assign(element.dataset, value);
    else if (key in element && !key.startsWith("aria")) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

const ICONS = {
  chat: "M4 5.5A1.5 1.5 0 0 1 5.5 4h13A1.5 1.5 0 0 1 20 5.5v9a1.5 1.5 0 0 1-1.5 1.5H11l-4.5 4v-4h-1A1.5 1.5 0 0 1 4 14.5z",
  close: "M6 6l12 12M18 6L6 18",
  down: "M6 9.5l6 6 6-6",
  back: "M14.5 6l-6 6 6 6",
  send: "M12 19V5M5.5 11.5L12 5l6.5 6.5",
  sound: "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9a4 4 0 0 1 0 6M18 6.5a7.5 7.5 0 0 1 0 11",
  mute: "M4 9.5h3.5L12 5.5v13l-4.5-4H4zM15.5 9.5l5 5M20.5 9.5l-5 5",
  bell: "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15zM10 20.5h4",
  bellOff: "M6 16.5V11c0-1 .25-2 .7-2.8M9.5 5.5A6 6 0 0 1 18 11v4M4.5 18h13M10 20.5h4M4 4l16 16",
  help: "M9.2 9a2.9 2.9 0 1 1 4.3 2.6c-.9.5-1.5 1.1-1.5 2.1v.3M12 17.2v.3",
  star: "M12 3.6l2.6 5.3 5.8.85-4.2 4.1 1 5.75L12 16.9l-5.2 2.7 1-5.75-4.2-4.1 5.8-.85z",
  note: "M5 4.5h14v10l-5 5H5zM14 19.5v-5h5",
  give: "M4 12h14M12.5 6l6 6-6 6",
  mail: "M4 6h16v12H4zM4.5 6.5l7.5 6.5 7.5-6.5",
  clip: "M19.5 11.5l-7.6 7.6a4.6 4.6 0 0 1-6.5-6.5l8-8a3.1 3.1 0 0 1 4.4 4.4l-7.9 7.9a1.5 1.5 0 0 1-2.2-2.2l7.2-7.1",
  camera: "M4 8h3.5L9 5.5h6L16.5 8H20v11H4zM15.4 13a3.4 3.4 0 1 1-6.8 0 3.4 3.4 0 0 1 6.8 0z",
  file: "M6 3.5h8l4 4v13H6zM14 3.5v4h4",
  retry: "M19 12a7 7 0 1 1-2.2-5.1M19.5 3.5v4.3h-4.3",
  archive: "M3.5 4.5h17v4h-17zM5 8.5v11h14v-11M9.5 12.5h5",
  save: "M12 4v11M7 10.5l5 5 5-5M5 19.5h14",
  bin: "M4.5 6.5h15M9.5 6.5v-2h5v2M6.5 6.5l1 13h9l1-13M10 10.5v5M14 10.5v5",
  replies: "M13 3.5L5 13.5h6l-1 7 8-10h-6z",
};

const SVG = "http://www.w3.org/2000/svg";

/** An icon of 24 by 24 units in the colour of the text, hidden from assistive technology. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/** Sets a text only if it has changed, so that nothing is announced or laid out needlessly. */
export function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** Sets the icon and the name of an icon button. */
export function label(button, picture, text) {
  if (button.getAttribute("aria-label") === text) return;
  button.setAttribute("aria-label", text);
  button.title = text;
  button.replaceChildren(icon(picture));
}

/** Formats a duration in ms, such as 2:05 or 1:02:05. */
export function clock(span) {
  const seconds = Math.max(0, Math.floor(span / 1000));
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (!parts[0]) parts.shift();
  return parts.map((part, i) => (i ? String(part).padStart(2, "0") : part)).join(":");
}

/**
 * Makes screen readers read out a text, even if it is the same as the last one.
 * @param {Element} region a live region
 * @param {string} text
 */
export function announce(region, text) {
  const now = performance.now();
  for (const said of [...region.children]) {
    if (now - said.dataset.at > SAID) said.remove();
  }
  region.append(h("p", { dataset: { at: now } }, text));
}
