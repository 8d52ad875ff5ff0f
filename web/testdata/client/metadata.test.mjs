import assert from "node:assert/strict";
import { test } from "node:test";
import "./world.mjs";
import { contentType, withoutMetadata } from "./pages/client.js";

const CANARY = "N 52.5163 E 13.3777";
const bytes = (...parts) => Uint8Array.from(parts.flatMap((part) => (typeof part === "string" ? [...Buffer.from(part, "latin1")] : typeof part === "number" ? [part] : [...part])));
const two = (n) => [n >> 8, n & 255];
const four = (n) => [n >>> 24, (n >> 16) & 255, (n >> 8) & 255, n & 255];
const little = (n) => four(n).reverse();

async function stripped(...parts) {
  const kept = await withoutMetadata(new Blob([bytes(...parts)], { type: "x/y" }));
  return new Uint8Array(await kept.arrayBuffer());
}

/** Exif with a place and, if that is given, which way up the picture is. */
const exif = (way, order = "MM") => {
  const n = (value, size) => { const big = size === 2 ? two(value) : four(value); return order === "MM" ? big : big.reverse(); };
  return bytes(order, n(42, 2), n(8, 4), n(2, 2), n(0x0112, 2), n(3, 2), n(1, 4), n(way, 2), 0, 0, n(0x8825, 2), n(4, 2), n(1, 4), n(38, 4), n(0, 4), CANARY);
};

const segment = (marker, ...content) => {
  const body = bytes(...content);
  return [0xff, marker, ...two(body.length + 2), ...body];
};
const JFIF = segment(0xe0, "JFIF\0", 1, 2, 0, 0, 1, 0, 1, 0, 0);
const SCAN = [...segment(0xda, 1, 1, 0, 0, 63, 0), 0x12, 0xff, 0x00, 0x34, 0xff, 0xd0, 0x56];
const PICTURE = [...segment(0xdb, "table"), ...segment(0xc2, "frame"), ...segment(0xc4, "codes"), ...SCAN, ...segment(0xc4, "more"), ...SCAN];
const COLOURS = segment(0xe2, "ICC_PROFILE\0", 1, 1, "profile");
const ADOBE = segment(0xee, "Adobe", 0, 100, 0, 0, 0, 0, 1);
const END = [0xff, 0xd9];

test("a photograph keeps its picture and its colours, and nothing else", async () => {
  const got = await stripped(0xff, 0xd8, JFIF, segment(0xe1, "Exif\0\0", exif(1)), segment(0xe1, "http://ns.adobe.com/xap/1.0/\0", CANARY),
    COLOURS, segment(0xe2, "MPF\0", CANARY), segment(0xed, "Photoshop 3.0\0", CANARY), ADOBE, segment(0xfe, CANARY),
    0xff, 0xff, ...PICTURE.slice(1), END, 0xff, 0xd8, CANARY, "a film");
  assert.deepEqual(got, bytes(0xff, 0xd8, JFIF, COLOURS, ADOBE, PICTURE, END));
});

test("the right way up", async () => {
  for (const order of ["MM", "II"]) {
    for (let way = 2; way <= 8; way++) {
      const got = await stripped(0xff, 0xd8, segment(0xe1, "Exif\0\0", exif(way, order)), PICTURE, END);
      assert.ok(!Buffer.from(got).includes(CANARY));
      const own = segment(0xe1, "Exif\0\0", "MM", 0, 42, four(8), two(1), two(0x0112), two(3), four(1), two(way), 0, 0, four(0));
      assert.deepEqual(got, bytes(0xff, 0xd8, own, PICTURE, END));
    }
  }
  const first = await stripped(0xff, 0xd8, JFIF, segment(0xe1, "Exif\0\0", exif(6)), PICTURE, END);
  assert.deepEqual(first.slice(2, 2 + JFIF.length), bytes(JFIF));
  const odd = await stripped(0xff, 0xd8, segment(0xe1, "Exif\0\0", "MM", 0, 42, four(900)), segment(0xe1, "Exif\0\0"), PICTURE, END);
  assert.deepEqual(odd, bytes(0xff, 0xd8, PICTURE, END));
});

test("one that was cut off stays so", async () => {
  const cut = PICTURE.slice(0, -2);
  assert.deepEqual(await stripped(0xff, 0xd8, segment(0xfe, CANARY), cut), bytes(0xff, 0xd8, cut));
});

test("a screenshot", async () => {
  const chunk = (name, ...content) => {
    const body = bytes(...content);
    return [...four(body.length), ...bytes(name), ...body, 1, 2, 3, 4];
  };
  const head = bytes(0x89, "PNG\r\n\x1a\n");
  const kept = [...chunk("IHDR", "head"), ...chunk("iCCP", "p"), ...chunk("pHYs", "x"), ...chunk("IDAT", "one"), ...chunk("IDAT", "two"), ...chunk("IEND")];
  const got = await stripped(head, kept.slice(0, 16), chunk("tEXt", CANARY), chunk("iTXt", CANARY), chunk("zTXt", "z"), chunk("tIME", "now"),
    chunk("eXIf", exif(1)), chunk("caNv", CANARY), kept.slice(16), CANARY);
  assert.deepEqual(got, bytes(head, kept));
  await assert.rejects(stripped(head, kept.slice(0, 16), chunk("eXIf", exif(6)), kept.slice(16)), "it is drawn anew, which this place cannot do");
});

test("a moving picture", async () => {
  const head = bytes("GIF89a", 2, 0, 2, 0, 0x80, 0, 0, [0, 0, 0, 255, 255, 255]);
  const loops = bytes(0x21, 0xff, 11, "NETSCAPE2.0", 3, 1, 0, 0, 0);
  const frame = bytes(0x21, 0xf9, 4, 0, 9, 0, 0, 0, 0x2c, [0, 0, 0, 0, 2, 0, 2, 0, 0x80], [1, 2, 3, 4, 5, 6], 2, 3, 0x84, 0x51, 0x05, 0);
  const got = await stripped(head, 0x21, 0xff, 11, "XMP DataXMP", CANARY.length, CANARY, 0, loops, frame, 0x21, 0xfe, CANARY.length, CANARY, 0, frame, 0x3b, CANARY);
  assert.deepEqual(got, bytes(head, loops, frame, frame, 0x3b));
});

test("a WebP", async () => {
  const chunk = (name, ...content) => {
    const body = bytes(...content);
    return [...bytes(name), ...little(body.length), ...body, ...(body.length % 2 ? [0] : [])];
  };
  const webp = (...chunks) => bytes("RIFF", little(4 + chunks.flat().length), "WEBP", chunks.flat());
  const flags = (value) => chunk("VP8X", value, 0, 0, 0, 1, 0, 0, 1, 0, 0);
  const picture = [...chunk("ICCP", "odd"), ...chunk("VP8 ", "picture")];
  const got = await stripped(webp(flags(0x2c), picture, chunk("EXIF", exif(1)), chunk("XMP ", CANARY)), CANARY);
  assert.deepEqual(got, webp(flags(0x20), picture));
  await assert.rejects(stripped(webp(flags(0x08), picture, chunk("EXIF", "Exif\0\0", exif(3)))));
});

test("what is no picture stays as it is; what only begins as one is refused", async () => {
  const text = bytes("hello ", CANARY);
  assert.deepEqual(await stripped(text), text);
  for (const one of [["\x89PNG\r\n\x1a\n"], [0xff, 0xd8, 0xff], [0xff, 0xd8, 0xff, 0xe1, 0xff, 0xff, "x"], ["GIF89a"], ["RIFF", 1, 0, 0, 0, "WEBP"], [0xff, 0xd8, 0xff, 0xd8, 0xff, 0xd9]]) {
    await assert.rejects(stripped(...one));
  }
  const kinds = { "\x89PNG\r\n\x1a\n": "image/png", "%PDF-1.7": "application/pdf", "GIF87a": "image/gif", "RIFF1234WEBPVP8 ": "image/webp", "RIFF1234AVI ": "", "\xff\xd8\xff\xe0": "image/jpeg", "": "", "<svg": "" };
  for (const [begin, type] of Object.entries(kinds)) assert.equal(await contentType(new Blob([bytes(begin)])), type, begin);
});
