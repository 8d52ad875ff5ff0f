import { h } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
/** The round numbers at which a scale may end, for numbers and for seconds. */
const NUMBERS = [1, 2, 5];
const SECONDS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 28_800, 43_200, 86_400];
/** The width of a bar with its gap, and the height of the chart, in units of the drawing. */
const STEP = 10;
const HEIGHT = 100;

/**
 * A bar chart in reading direction. Screen readers get a sentence instead; the table beside the chart
 * has every value.
 * @param {string} title
 * @param {string} summary
 * @param {{words: string, value: number|null, part?: number}[]} points words: its description; part: the share
 *        at the top that is drawn hollow
 * @param {{first: string, last: string, most: (value: number) => string, seconds?: boolean, rtl: boolean,
 *          legend?: Node}} how first and last: the labels below the two ends
 */
export function barChart(title, summary, points, { first, last, most, seconds = false, rtl, legend }) {
  const highest = scaleEnd(Math.max(0, ...points.map(({ value }) => value ?? 0)), seconds);
  const svg = draw("svg", { viewBox: `0 0 ${STEP * points.length} ${HEIGHT}`, preserveAspectRatio: "none", role: "img", "aria-label": summary },
    draw("path", { class: "grid", d: [0, HEIGHT / 2, HEIGHT].map((y) => `M0 ${y}h${STEP * points.length}`).join("") }));
  for (const [i, { words, value, part = 0 }] of points.entries()) {
    const x = STEP * (rtl ? points.length - 1 - i : i);
    const [top, middle] = [value ?? 0, (value ?? 0) - part].map((one) => HEIGHT * (1 - one / highest));
    const place = draw("g", {}, draw("title", {}, words), draw("rect", { class: "place", x, y: 0, width: STEP, height: HEIGHT }));
    if (part) place.append(draw("rect", { class: "hollow", x: x + 2, y: top, width: STEP - 4, height: middle - top }));
    if (value > part) place.append(draw("rect", { class: "bar", x: x + 1.5, y: middle, width: STEP - 3, height: HEIGHT - middle }));
    svg.append(place);
  }
  return h("figure", { class: "chart" }, h("figcaption", {}, title),
    h("div", { class: "plot" },
      h("div", { class: "scale", "aria-hidden": "true" }, h("span", {}, most(highest)), h("span", {}, most(0))), svg),
    h("div", { class: "ends", "aria-hidden": "true" }, h("span", {}, first), h("span", {}, last)), ...(legend ? [legend] : []));
}

/**
 * A chart of horizontal bars, each with its name.
 * @param {string} title
 * @param {string} summary
 * @param {{name: string, value: number}[]} points
 * @param {{write: (value: number) => string, rtl: boolean}} how
 */
export function rankChart(title, summary, points, { write, rtl }) {
  const highest = Math.max(1, ...points.map(({ value }) => value));
  const rows = points.map(({ name, value }) => {
    const width = HEIGHT * value / highest;
    const svg = draw("svg", { viewBox: `0 0 ${HEIGHT} 10`, preserveAspectRatio: "none", "aria-hidden": "true" },
      draw("rect", { class: "bar", x: rtl ? HEIGHT - width : 0, y: 1, width, height: 8 }));
    return h("div", { class: "rank" }, h("span", { class: "name", dir: "auto" }, name), svg, h("span", { class: "value" }, write(value)));
  });
  return h("figure", { class: "chart" }, h("figcaption", {}, title), h("div", { class: "ranks", role: "img", "aria-label": summary }, ...rows));
}

/** The first round number that is not below the highest value. */
function scaleEnd(value, seconds) {
  if (seconds) return SECONDS.find((one) => one >= value) ?? Math.ceil(value / 86_400) * 86_400;
  for (let power = 1; ; power *= 10) {
    const end = NUMBERS.find((one) => one * power >= value);
    if (end) return end * power;
  }
}

function draw(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}
