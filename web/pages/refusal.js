/** What a server refuses, or what cannot reach it: `code` is the protocol's, or `unreachable`. */
export class Refusal extends Error {
  /** @param {string} code @param {string} message one sentence, in English */
  constructor(code, message, options) {
    super(message, options);
    this.code = code;
  }
}
