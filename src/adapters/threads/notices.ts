/**
 * The form of notices between threads. A notice is a run of plain values in one flat list, which structured clone copies in
 * half the time of objects. Small bodies share one SharedArrayBuffer. The receiver copies them out of it, because one of
 * them in a ring would keep all the others in memory. Each large body has a SharedArrayBuffer of its own, and no thread
 * copies it.
 */
import type { DisconnectNotice, EntryNotice, LiveNotice, Notice, ReadNotice, RecallNotice } from "../../ports/bus.ts";

/** The least size of a large body, in bytes. */
const largeBytes = 16 * 1024;
/** The memory of a notice besides its body and its lists of ids, in bytes, estimated. */
const noticeBytes = 256;
/** The memory of an id, in bytes, estimated. */
const idBytes = 64;

type Value = string | number | boolean | readonly string[] | SharedArrayBuffer;

/** Notices as they pass between threads. */
export interface NoticeMessage {
  /** The memory that they take on their way, in bytes, estimated. */
  readonly size: number;
  /** The small bodies, one after the other. */
  readonly bodies: SharedArrayBuffer;
  readonly values: readonly Value[];
}

/** Packs the notices of an event-loop tick for several threads. */
export class NoticePacker {
  readonly #notices: readonly Notice[];
  /** The large bodies that were copied into shared memory. */
  readonly #shared = new Map<Uint8Array, SharedArrayBuffer>();
  #all: NoticeMessage | undefined;

  constructor(notices: readonly Notice[]) {
    this.#notices = notices;
  }

  /** Returns a message with the notices whose index is `wanted`, in their order; undefined if none is. */
  pack(wanted: (index: number) => boolean): NoticeMessage | undefined {
    const notices = this.#notices.filter((_, index) => wanted(index));
    if (notices.length === 0) return undefined;
    if (notices.length < this.#notices.length) return packNotices(notices, this.#shared);
    this.#all ??= packNotices(notices, this.#shared);
    return this.#all;
  }
}

function packNotices(notices: readonly Notice[], shared: Map<Uint8Array, SharedArrayBuffer>): NoticeMessage {
  const bodies = new Uint8Array(new SharedArrayBuffer(bytesOfSmallBodies(notices)));
  const values: Value[] = [];
  let [at, size] = [0, bodies.length];
  const addBody = (body: Uint8Array) => {
    if (body.length >= largeBytes) {
      const own = shared.get(body) ?? share(body);
      shared.set(body, own);
      values.push(own, 0);
      size += body.length;
      return;
    }
    bodies.set(body, at);
    values.push(at, body.length);
    at += body.length;
  };
  for (const notice of notices) {
    size += noticeBytes;
    switch (notice.type) {
      case "entry":
        values.push("entry", notice.feed.tenant, notice.feed.name, notice.epoch, notice.seq, notice.id);
        addBody(notice.body);
        values.push(notice.expireTime, notice.trace ?? "");
        break;
      case "live":
        values.push("live", notice.feed.tenant, notice.feed.name);
        addBody(notice.body);
        values.push(notice.trace ?? "");
        break;
      case "read": {
        const { tenant, user, readIds, unreadIds, deletedIds, all } = notice;
        values.push("read", tenant, user, readIds, unreadIds, deletedIds, all);
        size += idBytes * (readIds.length + unreadIds.length + deletedIds.length);
        break;
      }
      case "recall":
        values.push("recall", notice.feed.tenant, notice.feed.name, notice.ids);
        size += idBytes * notice.ids.length;
        break;
      case "disconnect":
        values.push("disconnect", notice.tenant, notice.user, notice.tokenId, notice.reason);
    }
  }
  return { size, bodies: bodies.buffer, values };
}

/** Returns the notices of a message. */
export function unpackNotices({ bodies, values }: NoticeMessage): Notice[] {
  const small = new Uint8Array(bodies);
  const reader = new Reader(small, values);
  const notices: Notice[] = [];
  while (!reader.isAtEnd) notices.push(readNotice(reader));
  return notices;
}

class Reader {
  readonly #small: Uint8Array;
  readonly #values: readonly Value[];
  #at = 0;

  constructor(small: Uint8Array, values: readonly Value[]) {
    this.#small = small;
    this.#values = values;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#values.length;
  }

  next<T extends Value>(): T {
    return this.#values[this.#at++] as T;
  }

  body(): Uint8Array {
    const from = this.next<number | SharedArrayBuffer>();
    const length = this.next<number>();
    return typeof from === "number" ? this.#small.slice(from, from + length) : new Uint8Array(from);
  }
}

function readNotice(reader: Reader): Notice {
  const type = reader.next<Notice["type"]>();
  const tenant = reader.next<string>();
  switch (type) {
    case "entry":
      return readEntry(reader, tenant);
    case "live":
      return readLive(reader, tenant);
    case "read":
      return readRead(reader, tenant);
    case "recall":
      return { type, feed: { tenant, name: reader.next() }, ids: reader.next() } satisfies RecallNotice;
    case "disconnect":
      return readDisconnect(reader, tenant);
  }
}

function readEntry(reader: Reader, tenant: string): EntryNotice {
  const feed = { tenant, name: reader.next<string>() };
  const [epoch, seq, id] = [reader.next<number>(), reader.next<number>(), reader.next<string>()];
  const [body, expireTime] = [reader.body(), reader.next<number>()];
  return { type: "entry", feed, epoch, seq, id, body, expireTime, ...readTrace(reader) };
}

function readLive(reader: Reader, tenant: string): LiveNotice {
  const feed = { tenant, name: reader.next<string>() };
  const body = reader.body();
  return { type: "live", feed, body, ...readTrace(reader) };
}

function readRead(reader: Reader, tenant: string): ReadNotice {
  const user = reader.next<string>();
  const [readIds, unreadIds, deletedIds] = [ids(reader), ids(reader), ids(reader)];
  return { type: "read", tenant, user, readIds, unreadIds, deletedIds, all: reader.next() };
}

function readDisconnect(reader: Reader, tenant: string): DisconnectNotice {
  const [user, tokenId, reason] = [reader.next<string>(), reader.next<string>(), reader.next<string>()];
  return { type: "disconnect", tenant, user, tokenId, reason };
}

function ids(reader: Reader): readonly string[] {
  return reader.next<readonly string[]>();
}

/** An empty string stands for a message without a trace: most have none. */
function readTrace(reader: Reader): { trace?: string } {
  const trace = reader.next<string>();
  return trace === "" ? {} : { trace };
}

function bytesOfSmallBodies(notices: readonly Notice[]): number {
  let bytes = 0;
  for (const notice of notices) {
    if ((notice.type === "entry" || notice.type === "live") && notice.body.length < largeBytes)
      bytes += notice.body.length;
  }
  return bytes;
}

function share(body: Uint8Array): SharedArrayBuffer {
  if (body.buffer instanceof SharedArrayBuffer && body.buffer.byteLength === body.length) return body.buffer;
  const shared = new SharedArrayBuffer(body.length);
  new Uint8Array(shared).set(body);
  return shared;
}
