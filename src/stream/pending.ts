import type { Position } from "../../gen/tidings/v1/message_pb.ts";
import type { OnlineTotals } from "../ports/presence.ts";
import { sameCount } from "../presence/online-counts.ts";
import { eventFrame, type Frame } from "../wire/frame.ts";

/** What one stream tells besides messages and totals: that it is there, and how many are online. */
export class Pending {
  #beat = false;
  #online: OnlineTotals | undefined;
  /** The online count that the reader has. */
  #shown: OnlineTotals | undefined;

  /** A heartbeat is due. */
  beat(): void {
    this.#beat = true;
  }

  /** So many are online now; told when the reader has another count. */
  online(tally: OnlineTotals): void {
    this.#online = tally;
  }

  /** The reader was told this count. */
  showed(tally: OnlineTotals): void {
    this.#shown = tally;
  }

  /** There is something to look at. */
  get due(): boolean {
    return this.#beat || this.#online !== undefined;
  }

  /** What is to be told; nothing is due after. */
  take(positions: readonly Position[]): readonly Frame[] {
    const frames: Frame[] = [];
    if (this.#online && !sameCount(this.#online, this.#shown)) {
      frames.push(eventFrame({ case: "online", value: this.#online }));
      this.#shown = this.#online;
    }
    if (this.#beat) frames.push(eventFrame({ case: "heartbeat", value: { positions: [...positions] } }));
    this.#online = undefined;
    this.#beat = false;
    return frames;
  }
}
