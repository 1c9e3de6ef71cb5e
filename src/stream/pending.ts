import type { Position } from "../../gen/tidings/v1/message_pb.ts";
import type { OnlineTotals } from "../ports/presence.ts";
import { sameCount } from "../presence/online-counts.ts";
import { eventFrame, type Frame } from "../wire/frame.ts";

/** The heartbeat and the online count that one stream has still to send. */
export class Pending {
  #heartbeat = false;
  #online: OnlineTotals | undefined;
  /** The online count that the reader has. */
  #sent: OnlineTotals | undefined;

  /** A heartbeat is due. */
  heartbeat(): void {
    this.#heartbeat = true;
  }

  /** The online count is this now. It is sent if the reader has another one. */
  online(count: OnlineTotals): void {
    this.#online = count;
  }

  /** The reader got this count with Hello. */
  sentOnline(count: OnlineTotals): void {
    this.#sent = count;
  }

  /** Whether `take` may have something. */
  get due(): boolean {
    return this.#heartbeat || this.#online !== undefined;
  }

  /** The events to send, none of which is due afterwards. */
  take(positions: readonly Position[]): readonly Frame[] {
    const frames: Frame[] = [];
    if (this.#online && !sameCount(this.#online, this.#sent)) {
      frames.push(eventFrame({ case: "online", value: this.#online }));
      this.#sent = this.#online;
    }
    if (this.#heartbeat) frames.push(eventFrame({ case: "heartbeat", value: { positions: [...positions] } }));
    this.#online = undefined;
    this.#heartbeat = false;
    return frames;
  }
}
