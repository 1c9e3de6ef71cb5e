import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Position } from "../../gen/tidings/v1/message_pb.ts";
import type { Gap } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Totals } from "../inbox/inbox.ts";
import type { OnlineTotals } from "../ports/presence.ts";
import { eventFrame, type Frame } from "../wire/frame.ts";

/** What a client learns from Hello. */
export interface HelloParts {
  /** The id of the stream. */
  readonly id: string;
  readonly heartbeatMs: number;
  readonly online: OnlineTotals;
  /** The positions from which the stream goes on. */
  readonly positions: readonly Position[];
  /** The gaps that it is about to send. */
  readonly gaps: readonly Gap[];
  /** Undefined for a service. */
  readonly totals: Totals | undefined;
}

/**
 * The first event of a stream. Its positions lie before the gaps: a reader that disconnects between Hello and a gap must get
 * that gap when it returns.
 */
export function helloFrame({ id, heartbeatMs, online, positions, gaps, totals }: HelloParts): Frame {
  return eventFrame({
    case: "hello",
    value: {
      subscriptionId: id,
      heartbeatInterval: durationFromMs(heartbeatMs),
      online,
      positions: positions.map((at) => gaps.find(({ to }) => to?.feed === at.feed)?.after ?? at),
      ...(totals ? { unread: totals.unread } : {}),
    },
  });
}
