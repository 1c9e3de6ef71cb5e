import { marker, markLength } from "../workload/message.ts";
import type { Group } from "./group.ts";

const needle = Buffer.from(marker);
const first = needle[0] as number;
const nothing = Buffer.alloc(0);

/** Counts the messages of one stream by their markers, whatever the framing and wherever chunks split a message. */
export class MessageCounter {
  readonly #group: Group;
  /** The start of a marker and timestamp that the next chunk completes. */
  #rest: Buffer = nothing;
  count = 0;

  constructor(group: Group) {
    this.#group = group;
  }

  /** Counts the messages of a chunk, which the caller may reuse afterwards. */
  take(data: Buffer): void {
    const chunk = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data]);
    let from = 0;
    for (;;) {
      const at = chunk.indexOf(needle, from);
      if (at < 0 || at + markLength > chunk.length) break;
      this.count++;
      this.#group.count(chunk, at + needle.length);
      from = at + markLength;
    }
    const cut = chunk.indexOf(first, Math.max(from, chunk.length - markLength + 1));
    this.#rest = cut < 0 ? nothing : Buffer.from(chunk.subarray(cut));
  }
}
