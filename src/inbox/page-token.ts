import { createHash, createHmac, timingSafeEqual } from "node:crypto";
import { fail } from "../errors.ts";

/** Bytes of the signature kept. */
const signatureBytes = 16;

/**
 * Signs and checks page tokens. A token grants nothing: it is only good for the caller, the list and the filters it was
 * made for, and what the caller may see is decided anew with each page.
 */
export class PageTokens {
  readonly #secret: Uint8Array;

  constructor(secret: Uint8Array) {
    this.#secret = secret;
  }

  /** `scope`: whatever must not change between pages. `place`: where the next page begins, as JSON can hold it. */
  encode(scope: readonly unknown[], place: unknown): string {
    const payload = Buffer.from(JSON.stringify(place));
    return Buffer.concat([this.#sign(scope, payload), payload]).toString("base64url");
  }

  /** The place that `encode` was given. Throws PAGE_TOKEN_INVALID. */
  decode(scope: readonly unknown[], token: string): unknown {
    const bytes = Buffer.from(token, "base64url");
    const signature = bytes.subarray(0, signatureBytes);
    const payload = bytes.subarray(signatureBytes);
    // The second test: decoding ignores characters outside the alphabet, so other texts would pass for the same token.
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
