/** Cuts lines into batches that a server takes. */
import type { PublishRequest } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { LineRequests } from "./line-requests.ts";
import type { Line } from "./lines.ts";

/** One line that is to be published, or that cannot be. */
export interface Item {
  /** The number of the line. */
  readonly line: number;
  /** The request; undefined where the line is none. */
  readonly request: PublishRequest | undefined;
  /** Why there is no request; empty where there is one. */
  readonly fault: string;
}

/** Lines that are published with one call, in order. */
export interface Batch {
  readonly items: readonly Item[];
  /** The bytes of the input up to the end of the last line. */
  readonly end: number;
}

/** The limit of the contract. */
export const maxItems = 1_000;
/** The most bytes of JSON: far below the 16 MiB of a request, since numbers are longer in Protobuf. */
const maxBytes = 1024 * 1024;
/** The most inbox entries: as many as one request may make, with an answer far below its limit of 16 MiB. */
const maxEntries = 10_000;

/** Batches of at most `limit` items. A request that exceeds a limit by itself is a batch of its own. */
export function* batchesOf(lines: readonly Line[], requests: LineRequests, limit: number): Generator<Batch> {
  let items: Item[] = [];
  let bytes = 0;
  let entries = 0;
  let end = 0;
  for (const line of lines) {
    const result = requests.read(line);
    if (result === undefined) continue;
    const item =
      "fault" in result
        ? { line: line.number, request: undefined, fault: result.fault }
        : { line: line.number, request: result, fault: "" };
    const moreBytes = (line.bytes?.length ?? 0) + requests.addedBytes;
    const moreEntries = entriesOf(item.request);
    if (
      items.length >= limit ||
      (items.length > 0 && (bytes + moreBytes > maxBytes || entries + moreEntries > maxEntries))
    ) {
      yield { items, end };
      items = [];
      bytes = 0;
      entries = 0;
    }
    items.push(item);
    bytes += moreBytes;
    entries += moreEntries;
    end = line.end;
  }
  if (items.length > 0) yield { items, end };
}

function entriesOf(request: PublishRequest | undefined): number {
  const to = request?.audience?.to;
  return to?.case === "users" ? to.value.userIds.length : 1;
}
