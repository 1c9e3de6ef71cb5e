/** What a batch costs: known before anything of it is checked, stored or answered. */
import type { PublishRequest } from "../../gen/tidings/v1/push_service_pb.ts";
import { fail } from "../errors.ts";

/** Entries that are checked or stored at once; then other calls get their slice of the event loop and of the store. */
const sliceEntries = 2000;
/** The most bytes of an answer: the server refuses to write more, and that must not happen after the effect. */
export const maxAnswerBytes = 16 * 1024 * 1024;
/** The most bytes of a receipt without its user id, and of an outcome without its receipts, in JSON and in Protobuf. */
const receiptBytes = 96;
const outcomeBytes = 1024;

/** The number of inbox entries that a request makes: one for each user that it names, or one for a whole audience. */
export function entriesOf({ audience }: PublishRequest): number {
  return audience?.to.case === "users" ? Math.max(1, audience.to.value.userIds.length) : 1;
}

/**
 * Throws REQUEST_TOO_LARGE for a batch that makes more than `maxEntries` inbox entries, or whose answer could exceed the
 * size of an answer in the codec.
 */
export function checkBatchSize(requests: readonly PublishRequest[], maxEntries: number, codec: "proto" | "json"): void {
  const entries = requests.reduce((sum, request) => sum + entriesOf(request), 0);
  if (entries > maxEntries) {
    const sentence = `users and requests make ${entries} inbox entries, and at most ${maxEntries} are allowed; send fewer at once`;
    const metadata = { limit: String(maxEntries), size: String(entries) };
    throw fail("REQUEST_TOO_LARGE", sentence, { field: "requests", metadata });
  }
  // Most batches are far from the limit whatever their ids: 128 characters of at most four bytes, or two escapes.
  if (entries * (receiptBytes + 4 * 128) + requests.length * outcomeBytes <= maxAnswerBytes) return;
  const bytes = requests.reduce((sum, request) => sum + answerBytes(request, codec), 0);
  if (bytes <= maxAnswerBytes) return;
  const sentence = `the answer could have ${bytes} bytes, and at most ${maxAnswerBytes} are sent; name fewer users at once`;
  const metadata = { limit: String(maxAnswerBytes), size: String(bytes) };
  throw fail("REQUEST_TOO_LARGE", sentence, { field: "requests", metadata });
}

/** The most bytes of the outcome of a request. */
function answerBytes({ audience }: PublishRequest, codec: "proto" | "json"): number {
  const userIds = audience?.to.case === "users" ? audience.to.value.userIds : [];
  const idBytes = (id: string) => Buffer.byteLength(codec === "json" ? JSON.stringify(id) : id);
  return userIds.reduce((sum, id) => sum + receiptBytes + idBytes(id), outcomeBytes);
}

/** Cuts items into runs of about 2,000 entries; an item with more is a run of its own. */
export function* slices<T>(items: readonly T[], entries: (item: T) => number): Generator<readonly T[]> {
  let start = 0;
  let sum = 0;
  for (let index = 0; index < items.length; index++) {
    const more = entries(items[index] as T);
    if (index > start && sum + more > sliceEntries) {
      yield items.slice(start, index);
      start = index;
      sum = 0;
    }
    sum += more;
  }
  if (start < items.length) yield items.slice(start);
}
