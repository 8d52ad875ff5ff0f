/** The words for the agent who has left, by the reason. */
const LEFT = { transfer: "handedOver", lost: "agentLost" };
/** A wait of this many minutes or more is told in hours. */
const LONG = 90;

/**
 * The text for a waiting visitor. It never says more than is known.
 * @param {(key: string, values?: object) => string} t
 * @param {import("./client.js").Place|null} place null while unknown
 * @param {{agents?: number}|null} status the server's answer about available agents, if it has one
 */
export function waitingWords(t, place, status) {
  if (!place) return t("waiting");
  const { position, estimate } = place;
  if (position === 0) return t("aboutToJoin");
  if (estimate === null) return `${status?.agents === 0 ? `${t("nobodyHere")} ` : ""}${t("place", { place: position })}`;
  const minutes = Math.max(1, Math.ceil(estimate / 60));
  if (minutes < LONG) return t("placeMinutes", { place: position, count: minutes });
  return t("placeHours", { place: position, count: Math.round(minutes / 60) });
}

/**
 * The text for a visitor whose agent has left.
 * @param {(key: string, values?: object) => string} t
 * @param {import("./client.js").Leaving} left
 * @param {import("./client.js").Place|null} place
 */
export function leftWords(t, { supportUserName, reason }, place) {
  const words = t(supportUserName ? LEFT[reason] ?? "anotherSoon" : "anotherSoon", { name: supportUserName });
  return place ? `${words} ${waitingWords(t, place, null)}` : words;
}
