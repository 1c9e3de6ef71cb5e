import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { fail } from "../errors.ts";

/** Length of a signature, in bytes. */
const signatureBytes = 16;

/**
 * Signs and checks page tokens. A token is valid only for the caller, the list and the filters that it was made for, and it
 * grants nothing: every page checks again what the caller may see.
 */
export class PageTokens {
  readonly #secret: Uint8Array;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** Makes a token. `scope` is whatever must not change between pages; `cursor`, a JSON value, is where the next page begins. */
  encode(scope: readonly unknown[], cursor: unknown): string {
    const payload = Buffer.from(JSON.stringify(cursor));
    return Buffer.concat([this.#sign(scope, payload), payload]).toString("base64url");
  }

  /** Returns the cursor of a token that `encode` made for the same scope. Throws PAGE_TOKEN_INVALID. */
  decode(scope: readonly unknown[], token: string): unknown {
    const bytes = Buffer.from(token, "base64url");
    const signature = bytes.subarray(0, signatureBytes);
    const payload = bytes.subarray(signatureBytes);
    // Decoding skips characters outside the alphabet. Encoding again rejects other spellings of the same bytes.
    if (
      bytes.toString("base64url") !== token ||
      signature.length < signatureBytes ||
      !timingSafeEqual(signature, this.#sign(scope, payload))
    ) {
      throw fail("PAGE_TOKEN_INVALID", "give next_page_token of the page before, with the same filters", {
        field: "page_token",
      });
    }
    return JSON.parse(payload.toString());
  }

  #sign(scope: readonly unknown[], payload: Uint8Array): Uint8Array {
    const digest = createHash("sha256").update(JSON.stringify(scope)).digest();
    return createHmac("sha256", this.#secret).update(digest).update(payload).digest().subarray(0, signatureBytes);
  }
}
