/**
 * Returns black or white, whichever is easier to read on a CSS colour. The contrast is at least 4.5 to 1.
 * @param {string} colour
 * @returns {string} "" if it is not a colour
 */
export function onColour(colour) {
  if (!CSS.supports("color", colour)) return "";
  const context = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = [...context.getImageData(0, 0, 1, 1).data].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b; // WCAG 2
  return luminance > 0.179 ? "#000" : "#fff";
}
