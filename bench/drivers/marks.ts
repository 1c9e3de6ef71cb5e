import { marker, markLength } from "../message.ts";
import type { Group } from "./group.ts";

const needle = Buffer.from(marker);
const first = needle[0] as number;
const nothing = Buffer.alloc(0);

/** Counts the messages of one stream in its bytes, however they are cut and framed. */
export class Marks {
  readonly #group: Group;
  /** The beginning of a mark that the next chunk completes. */
  #rest: Buffer = nothing;
  count = 0;

  constructor(group: Group) {
    this.#group = group;
  }

  /** The chunk may be reused afterwards. */
  take(data: Buffer): void {
    const chunk = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(needle, from);
      if (at < 0 || at + markLength > chunk.length) break;
      this.count++;
      this.#group.saw(chunk, at + needle.length);
      from = at + markLength;
    }
    const cut = chunk.indexOf(first, Math.max(from, chunk.length - markLength + 1));
    this.#rest = cut < 0 ? nothing : Buffer.from(chunk.subarray(cut));
  }
}
