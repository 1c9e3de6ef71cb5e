import type { Entry } from "../../ports/store.ts";
import { toTime, toUuid } from "./database.ts";

/** A row of an entry joined with its message. */
interface Row {
  seq: number;
  id: Uint8Array;
  body: Uint8Array;
  kind: number;
  category: string;
  publish_time: number;
  expire_time: number | null;
  actor_id: string | null;
  object_type: string | null;
  object_id: string | null;
  batch_id: string | null;
}

/** The columns of a Row, for queries that name the table of entries `e` and that of messages `m`. */
export const rowColumns = `e.seq, m.id, m.body, e.kind, e.category, e.publish_time, e.expire_time,
  e.actor_id, e.object_type, e.object_id, e.batch_id`;

/** Converts a row that was selected with `rowColumns`. `epoch` is that of the store. */
export function toEntry(raw: unknown, epoch: number): Entry {
  const row = raw as Row;
  return {
    epoch,
    seq: row.seq,
    id: toUuid(row.id),
    body: row.body,
    kind: row.kind,
    category: row.category,
    actorId: row.actor_id ?? "",
    objectType: row.object_type ?? "",
    objectId: row.object_id ?? "",
    batchId: row.batch_id ?? "",
    publishTime: row.publish_time,
    expireTime: toTime(row.expire_time),
  };
}
