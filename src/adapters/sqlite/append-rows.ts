/**
 * The messages of `append`, and its results, as they pass between threads. Structured clone takes half as long for an array
 * of plain values as for objects, and every publish passes one.
 */
import type { Append, AppendResult } from "../../ports/store.ts";

/** The values of one message. */
const width = 16;

/** The messages of a call: `width` values for each. */
export type AppendRows = readonly unknown[];
/** The epoch of the store and, for each message, its seq if it was stored in one feed and replaced nothing, or else its result. */
export type AppendAnswer = readonly [epoch: number, ...results: readonly (number | AppendResult)[]];

/** Encodes the messages of a call. */
export function toRows(messages: readonly Append[]): AppendRows {
  return messages.length === 1 ? toRow(messages[0] as Append) : messages.flatMap(toRow);
}

function toRow(message: Append): unknown[] {
  const { publishTime, keyTime = publishTime } = message;
  return [
    message.tenant,
    message.id,
    toField(message.feeds),
    message.body,
    message.key,
    message.digest,
    keyTime,
    message.replace,
    message.kind,
    message.category,
    message.actorId,
    message.objectType,
    message.objectId,
    message.batchId,
    publishTime,
    message.expireTime,
  ];
}

/** The reverse of `toRows`. */
export function fromRows(rows: AppendRows): Append[] {
  const messages: Append[] = [];
  for (let at = 0; at < rows.length; at += width) {
    messages.push({
      tenant: rows[at] as string,
      id: rows[at + 1] as string,
      feeds: toFeeds(rows[at + 2] as string | readonly string[]),
      body: rows[at + 3] as Uint8Array,
      key: rows[at + 4] as string,
      digest: rows[at + 5] as string,
      keyTime: rows[at + 6] as number,
      replace: rows[at + 7] as boolean,
      kind: rows[at + 8] as number,
      category: rows[at + 9] as string,
      actorId: rows[at + 10] as string,
      objectType: rows[at + 11] as string,
      objectId: rows[at + 12] as string,
      batchId: rows[at + 13] as string,
      publishTime: rows[at + 14] as number,
      expireTime: rows[at + 15] as number,
    });
  }
  return messages;
}

/** The number of messages in a call. */
export function countRows(rows: AppendRows): number {
  return rows.length / width;
}

/** Encodes the results of a call. */
export function toAnswer(epoch: number, results: readonly AppendResult[]): AppendAnswer {
  return [epoch, ...results.map(toSeq)];
}

/** The reverse of `toAnswer`; `messages` are those of the call. */
export function fromAnswer(messages: readonly Append[], [epoch, ...results]: AppendAnswer): AppendResult[] {
  return results.map((result, index) => {
    if (typeof result !== "number") return result;
    const { id, publishTime } = messages[index] as Append;
    return { outcome: "stored", id, publishTime, epoch, seqs: [result] };
  });
}

function toSeq(result: AppendResult): number | AppendResult {
  const isPlain = result.outcome === "stored" && result.seqs.length === 1 && result.replaced === undefined;
  return isPlain ? (result.seqs[0] as number) : result;
}

/** Writes a single feed without an array: nearly every message has one feed. */
function toField(feeds: readonly string[]): string | readonly string[] {
  return feeds.length === 1 ? (feeds[0] as string) : feeds;
}

function toFeeds(field: string | readonly string[]): readonly string[] {
  return typeof field === "string" ? [field] : field;
}
