/**
 * Removes the metadata that cameras and programs write into pictures: where, when, by whom and with
 * what the picture was taken, previews, whole films after the end. The pixels, the colours and the
 * orientation stay the same. A part of client.js.
 *
 * It drops segments of the file instead of drawing the picture again. Drawing would cost quality and
 * the memory of the whole picture, and some browsers return noise from a canvas. Only a picture that
 * cannot be parsed, or whose orientation is in a dropped segment, is drawn again.
 */

/** Types by the first bytes of a file's content. */
const KINDS = [
  { type: "image/jpeg", begins: [0xff, 0xd8, 0xff], strip: jpeg },
  { type: "image/png", begins: [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a], strip: png },
  { type: "image/gif", begins: text("GIF8"), strip: gif },
  { type: "image/webp", begins: text("RIFF"), also: text("WEBP"), strip: webp },
  { type: "application/pdf", begins: text("%PDF-") },
];

/** The quality of a picture that is drawn again. */
const QUALITY = 0.92;

/**
 * Detects the type of a file from its content, whatever its name.
 * @param {Blob} file
 * @returns {Promise<string>} its type, "" if unknown
 */
export async function contentType(file) {
  const head = new Uint8Array(await file.slice(0, 12).arrayBuffer());
  return kindOf(head)?.type ?? "";
}

/**
 * Returns the same picture without its metadata, and any other file unchanged.
 * @param {Blob} file
 * @returns {Promise<Blob>}
 * @throws {Error} if it only pretends to be a picture
 */
export async function withoutMetadata(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const kind = kindOf(bytes);
  if (!kind?.strip) return file;
  let parts;
  try {
    parts = kind.strip(bytes, new DataView(bytes.buffer));
  } catch {
    return drawnAnew(file, kind.type);
  }
  return new Blob(parts, { type: kind.type });
}

function kindOf(bytes) {
  const at = (list, from) => list.every((byte, i) => bytes[from + i] === byte);
  return KINDS.find(({ begins, also }) => at(begins, 0) && (!also || at(also, 8)));
}

function text(letters) {
  return Array.from(letters, (letter) => letter.charCodeAt(0));
}

function letters(bytes, from, count) {
  return String.fromCharCode(...bytes.subarray(from, from + count));
}

function need(holds) {
  if (!holds) throw new RangeError("this is not how the file should be");
}

async function drawnAnew(file, type) {
  const bitmap = await createImageBitmap(file); // applies the orientation
  const canvas = document.createElement("canvas");
  canvas.width = bitmap.width;
  canvas.height = bitmap.height;
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  bitmap.close();
  const drawn = await new Promise((resolve) => canvas.toBlob(resolve, type, QUALITY));
  if (!drawn) throw new RangeError("this picture is too large");
  return drawn;
}

/* JPEG: segments of a marker and a length; the scans have no length */

const [SOI, EOI, SOS, TEM] = [0xd8, 0xd9, 0xda, 0x01];
const isRestart = (marker) => marker >= 0xd0 && marker <= 0xd7;

function jpeg(bytes, view) {
  const kept = [];
  let way = 1;
  let at = 2;
  while (at < bytes.length) { // a file that was cut off has no end
    need(bytes[at] === 0xff);
    while (bytes[at + 1] === 0xff) at++; // fill bytes
    const marker = bytes[at + 1];
    if (marker === EOI) {
      kept.push(bytes.subarray(at, at + 2));
      break;
    }
    need(marker !== SOI && marker !== undefined);
    if (isRestart(marker) || marker === TEM) {
      at += 2;
      continue;
    }
    const end = at + 2 + view.getUint16(at + 2);
    need(end <= bytes.length);
    if (marker === 0xe1 && letters(bytes, at + 4, 6) === "Exif\0\0") way = orientation(bytes.subarray(at + 10, end));
    const next = marker === SOS ? endOfScan(bytes, end) : end;
    if (isPicture(bytes, marker, at, end)) kept.push(bytes.subarray(at, next));
    at = next;
  }
  need(kept.length > 0);
  const first = kept[0][1] === 0xe0 ? kept.shift() : new Uint8Array(0); // JFIF must be the first
  return [bytes.subarray(0, 2), first, way > 1 ? onlyOrientation(way) : new Uint8Array(0), ...kept];
}

/** Whether a decoder needs a segment: tables, frames, scans, and segments about colours. */
function isPicture(bytes, marker, at, end) {
  if ((marker >= 0xc0 && marker <= 0xcf) || (marker >= SOS && marker <= 0xdf)) return true;
  if (marker === 0xdb) return true;
  if (marker === 0xe0) return letters(bytes, at + 4, 5) === "JFIF\0" && end - at === 18; // without a preview
  if (marker === 0xe2) return letters(bytes, at + 4, 12) === "ICC_PROFILE\0";
  return marker === 0xee && letters(bytes, at + 4, 5) === "Adobe";
}

function endOfScan(bytes, at) {
  while (at < bytes.length) {
    at = bytes.indexOf(0xff, at);
    if (at < 0 || at + 1 === bytes.length) return bytes.length;
    const next = bytes[at + 1];
    if (next !== 0 && next !== 0xff && !isRestart(next)) return at;
    at += next === 0xff ? 1 : 2;
  }
  return bytes.length;
}

/** The orientation of a picture, 1 to 8, from its Exif data; 1 if that cannot be read. @param {Uint8Array} tiff */
function orientation(tiff) {
  try {
    const view = new DataView(tiff.buffer, tiff.byteOffset, tiff.byteLength);
    const little = view.getUint16(0) === 0x4949;
    const list = view.getUint32(4, little);
    for (let i = view.getUint16(list, little) - 1; i >= 0; i--) {
      const entry = list + 2 + 12 * i;
      if (view.getUint16(entry, little) !== 0x0112) continue;
      const way = view.getUint16(entry + 8, little);
      return way <= 8 ? way : 1;
    }
  } catch {
    // malformed
  }
  return 1;
}

/** An Exif segment with only the orientation. */
function onlyOrientation(way) {
  return new Uint8Array([0xff, 0xe1, 0, 34, ...text("Exif\0\0MM"), 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, way, 0, 0, 0, 0, 0, 0]);
}

/* PNG: chunks of a length, a name and a sum */

const PNG_CHUNKS = [
  "IHDR", "PLTE", "IDAT", "IEND", "tRNS", "acTL", "fcTL", "fdAT", // the picture, including animations
  "gAMA", "cHRM", "sRGB", "iCCP", "cICP", "mDCV", "cLLI", "sBIT", "bKGD", "pHYs", // its colours and form
];

function png(bytes, view) {
  const kept = [bytes.subarray(0, 8)];
  for (let at = 8; at < bytes.length;) {
    const end = at + 12 + view.getUint32(at);
    need(end <= bytes.length);
    const name = letters(bytes, at + 4, 4);
    if (name === "eXIf") need(orientation(bytes.subarray(at + 8, end - 4)) === 1);
    if (PNG_CHUNKS.includes(name)) kept.push(bytes.subarray(at, end));
    if (name === "IEND") return kept;
    at = end;
  }
  throw new RangeError("no end");
}

/* GIF: blocks, each a row of short ones that a 0 ends */

function gif(bytes) {
  const table = (flags) => (flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0);
  const row = (at) => {
    while (bytes[at] > 0) at += bytes[at] + 1;
    need(bytes[at] === 0);
    return at + 1;
  };
  let at = 13 + table(bytes[10]);
  const kept = [bytes.subarray(0, at)];
  for (;;) {
    const kind = bytes[at];
    if (kind === 0x3b) {
      kept.push(bytes.subarray(at, at + 1));
      return kept;
    }
    need(kind === 0x21 || kind === 0x2c);
    const end = kind === 0x2c ? row(at + 11 + table(bytes[at + 9])) : row(at + 2);
    const loops = bytes[at + 1] === 0xff && ["NETSCAPE2.0", "ANIMEXTS1.0"].includes(letters(bytes, at + 3, 11));
    if (kind === 0x2c || bytes[at + 1] === 0xf9 || loops) kept.push(bytes.subarray(at, end));
    at = end;
  }
}

/* WebP: chunks of a name and a length */

const WEBP_CHUNKS = ["VP8 ", "VP8L", "VP8X", "ALPH", "ANIM", "ANMF", "ICCP"];

function webp(bytes, view) {
  const kept = [];
  const whole = Math.min(bytes.length, 8 + view.getUint32(4, true));
  for (let at = 12; at < whole;) {
    const end = at + 8 + view.getUint32(at + 4, true);
    need(end <= whole);
    const name = letters(bytes, at, 4);
    if (name === "EXIF") need(orientation(exifOf(bytes.subarray(at + 8, end))) === 1);
    const chunk = bytes.slice(at, end + (end % 2));
    if (name === "VP8X") chunk[8] &= ~0x0c; // the flags for Exif and XMP
    if (WEBP_CHUNKS.includes(name)) kept.push(chunk);
    at = end + (end % 2);
  }
  need(kept.length > 0);
  const head = bytes.slice(0, 12);
  new DataView(head.buffer).setUint32(4, kept.reduce((sum, { length }) => sum + length, 4), true);
  return [head, ...kept];
}

/** Some programs put a JPEG header in front of it. */
function exifOf(bytes) {
  return letters(bytes, 0, 6) === "Exif\0\0" ? bytes.subarray(6) : bytes;
}
