/** How a page draws attention: a short sound, and a title that says how much is unread. */

let audio = null;

/** Two short notes, quiet. Browsers allow them once somebody has used the page. */
export function chime() {
  try {
    audio ??= new AudioContext();
    if (audio.state === "suspended") audio.resume().catch(() => {});
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
  } catch {
    // no sound here
  }
}

const FLASH = 1_500; // ms

/**
 * Shows a text in the page's title instead of its own while nobody looks at the page; in turn with
 * its own, unless motion is to be reduced. The page may change its title meanwhile.
 */
export class TitleFlash {
  #own = "";
  #text = "";
  #timer = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => !document.hidden && this.show(""));
  }

  /** @param {string} text empty for the page's own title */
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
