/**
 * The wire format of the bus: fields in a fixed order, without tags, each of a fixed size or with its length before it.
 * The first byte is the version. A message of another version is not read and counts as lost, so an upgrade node by
 * node costs latency and nothing else.
 */
import { BinaryReader, BinaryWriter } from "@bufbuild/protobuf/wire";
import type { Notice, ReadNotice } from "../../ports/bus.ts";
import type { FeedKey } from "../../ports/store.ts";

const version = 1;

/** The header of a message. */
export interface Header {
  /** The publisher: a random id per process, so that a node that restarts is another publisher. */
  readonly node: string;
  readonly shard: number;
  /** The number of the message among those of this publisher on this shard, sent or dropped; the first is 1. */
  readonly n: number;
}

/** What a node sends once a second. */
export interface Heartbeat {
  readonly node: string;
  /** This is the node's last heartbeat: it shuts down. */
  readonly leaves: boolean;
  /** By shard, the number of the last message; 0 before the first. */
  readonly sent: readonly number[];
}

/** Estimates the size of a notice on the wire, in bytes. */
export function estimateSize(notice: Notice): number {
  if (notice.type === "entry" || notice.type === "live") return notice.body.length + 128;
  if (notice.type === "recall") return notice.ids.length * 40 + 128;
  if (notice.type === "disconnect") return notice.reason.length + 128;
  return (notice.readIds.length + notice.unreadIds.length + notice.deletedIds.length) * 40 + 128;
}

/** Encodes a message. */
export function encodeNotices({ node, shard, n }: Header, notices: readonly Notice[]): Buffer {
  const writer = new BinaryWriter().uint32(version).string(node).uint32(shard).double(n).uint32(notices.length);
  for (const notice of notices) write(writer, notice);
  return toBuffer(writer);
}

/**
 * Decodes a message; `notices` decodes the notices, so that a node can skip its own. Both throw for anything but a
 * message of this version.
 */
export function decodeNotices(bytes: Uint8Array): Header & { readonly notices: () => Notice[] } {
  const reader = open(bytes);
  const header = { node: reader.string(), shard: reader.uint32(), n: reader.double() };
  return { ...header, notices: () => list(reader, read) };
}

/** Encodes a heartbeat. */
export function encodeHeartbeat({ node, leaves, sent }: Heartbeat): Buffer {
  const writer = new BinaryWriter().uint32(version).string(node).bool(leaves).uint32(sent.length);
  for (const n of sent) writer.double(n);
  return toBuffer(writer);
}

/** Decodes a heartbeat. Throws for anything but a heartbeat of this version. */
export function decodeHeartbeat(bytes: Uint8Array): Heartbeat {
  const reader = open(bytes);
  return { node: reader.string(), leaves: reader.bool(), sent: list(reader, () => reader.double()) };
}

function toBuffer(writer: BinaryWriter): Buffer {
  const bytes = writer.finish();
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function open(bytes: Uint8Array): BinaryReader {
  const reader = new BinaryReader(bytes);
  const found = reader.uint32();
  if (found !== version) throw new Error(`a message of version ${found}`);
  return reader;
}

const types = ["entry", "live", "read", "recall", "disconnect"] as const;

function write(writer: BinaryWriter, notice: Notice): void {
  writer.uint32(types.indexOf(notice.type));
  switch (notice.type) {
    case "entry":
      writeFeed(writer, notice.feed).double(notice.epoch).double(notice.seq).string(notice.id);
      writer
        .bytes(notice.body)
        .double(notice.expireTime)
        .string(notice.trace ?? "");
      return;
    case "live":
      writeFeed(writer, notice.feed)
        .bytes(notice.body)
        .string(notice.trace ?? "");
      return;
    case "read":
      writer.string(notice.tenant).string(notice.user).bool(notice.all);
      for (const ids of [notice.readIds, notice.unreadIds, notice.deletedIds]) writeIds(writer, ids);
      return;
    case "recall":
      writeIds(writeFeed(writer, notice.feed), notice.ids);
      return;
    case "disconnect":
      writer.string(notice.tenant).string(notice.user).string(notice.tokenId).string(notice.reason);
  }
}

/** An empty string, one byte, stands for a message without a trace: most have none. */
function readTrace(reader: BinaryReader): { trace?: string } {
  const trace = reader.string();
  return trace === "" ? {} : { trace };
}

function read(reader: BinaryReader): Notice {
  const type = types[reader.uint32()];
  switch (type) {
    case "entry":
      return {
        type,
        feed: readFeed(reader),
        epoch: reader.double(),
        seq: reader.double(),
        id: reader.string(),
        body: readBytes(reader),
        expireTime: reader.double(),
        ...readTrace(reader),
      };
    case "live":
      return { type, feed: readFeed(reader), body: readBytes(reader), ...readTrace(reader) };
    case "read":
      return readRead(reader);
    case "recall":
      return { type, feed: readFeed(reader), ids: listIds(reader) };
    case "disconnect":
      return {
        type,
        tenant: reader.string(),
        user: reader.string(),
        tokenId: reader.string(),
        reason: reader.string(),
      };
    default:
      throw new Error("a notice of an unknown type");
  }
}

function readRead(reader: BinaryReader): ReadNotice {
  const [tenant, user, all] = [reader.string(), reader.string(), reader.bool()];
  const [readIds, unreadIds, deletedIds] = [listIds(reader), listIds(reader), listIds(reader)];
  return { type: "read", tenant, user, all, readIds, unreadIds, deletedIds };
}

function writeFeed(writer: BinaryWriter, { tenant, name }: FeedKey): BinaryWriter {
  return writer.string(tenant).string(name);
}

function readFeed(reader: BinaryReader): FeedKey {
  return { tenant: reader.string(), name: reader.string() };
}

function writeIds(writer: BinaryWriter, ids: readonly string[]): void {
  writer.uint32(ids.length);
  for (const id of ids) writer.string(id);
}

/** Copies the bytes: a body stays in a ring for long, and must not keep the whole network buffer in memory. */
function readBytes(reader: BinaryReader): Uint8Array {
  return new Uint8Array(reader.bytes());
}

function listIds(reader: BinaryReader): string[] {
  return list(reader, () => reader.string());
}

function list<T>(reader: BinaryReader, next: (reader: BinaryReader) => T): T[] {
  const items: T[] = [];
  // Every item takes at least a byte, so a forged length runs out of input and throws; it allocates nothing in advance.
  for (let left = reader.uint32(); left > 0; left--) items.push(next(reader));
  return items;
}
