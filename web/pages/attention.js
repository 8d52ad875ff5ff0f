/** Draws attention to a page: with a short sound, and with the number of unread messages in its title. */

import { clearInterval, setInterval, setTimeout } from "./native.js";

/** The longest delay of a sound, in ms. A later one would seem to announce something else. */
const LATE = 500;
/** The shortest time between two sounds, in ms. */
const REST = 1_000;

let audio = null;
let last = -Infinity;

/**
 * Plays two short, quiet notes, unless this page or another one of its origin has just made a sound.
 * Browsers allow sounds only after somebody has used the page. Until then there are none, because the
 * browser would play all of them at once later.
 */
export async function chime() {
  const wanted = performance.now();
  if (wanted - last < REST || navigator.userActivation?.hasBeenActive === false) return;
  try {
    audio ??= new AudioContext();
    if (audio.state !== "running") await audio.resume(); // this can take until somebody uses the page
    const now = performance.now();
    if (audio.state !== "running" || now - wanted > LATE || now - last < REST) return;
    last = now;
    if (await alone()) play();
  } catch {
    // this browser has no sound
  }
}

/** Returns whether no other page is making a sound now. */
function alone() {
  if (!navigator.locks) return true; // no TLS
  return new Promise((resolve) => {
    navigator.locks.request("livesupport sound", { ifAvailable: true }, (lock) => {
      resolve(lock !== null);
      return lock && new Promise((end) => setTimeout(end, REST));
    }).catch(() => resolve(true));
  });
}

function play() {
  for (const [at, pitch] of [[0, 660], [0.12, 880]]) {
    const start = audio.currentTime + at;
    const tone = audio.createOscillator();
    const volume = audio.createGain();
    tone.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, start);
    volume.gain.exponentialRampToValueAtTime(0.08, start + 0.02);
    volume.gain.exponentialRampToValueAtTime(0.0001, start + 0.25);
    tone.connect(volume).connect(audio.destination);
    tone.start(start);
    tone.stop(start + 0.3);
  }
}

const FLASH = 1_500; // ms

/**
 * Shows a text in the page's title while nobody looks at the page. It alternates with the page's own
 * title, unless the system asks for less motion. The page may change its own title in the meantime.
 */
export class TitleFlash {
  #own = "";
  #text = "";
  #timer = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => !document.hidden && this.show(""));
  }

  /** @param {string} text "" for the page's own title */
  show(text) {
    if (text && !document.hidden) return;
    this.#restore();
    clearInterval(this.#timer);
    this.#text = text;
    if (!text) return;
    this.#flash();
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    this.#timer = setInterval(() => (document.title === this.#text ? this.#restore() : this.#flash()), FLASH);
  }

  #flash() {
    this.#own = document.title;
    document.title = this.#text;
  }

  #restore() {
    if (this.#text && document.title === this.#text) document.title = this.#own;
  }
}
