/** Checks the invariants of a simulated system that has come to rest, whatever happened before. */
import { ReadState } from "../../../src/inbox/read-state.ts";
import { type Doc, type Documents, feedId, feedKey } from "../backends/documents.ts";
import { visible } from "../backends/store-queries.ts";
import { epoch } from "../runtime/host.ts";
import type { DeviceRecord, History } from "./history.ts";

const never = Number.POSITIVE_INFINITY;

/** The kinds of violations. */
export type FindingKind =
  /** An answered publish is not in the store. */
  | "lost"
  /** A message is stored or delivered twice. */
  | "duplicate"
  /** A feed has a seq without a message. */
  | "hole"
  /** One seq stood for two messages. */
  | "diverged"
  /** A message was not delivered, and no gap was reported. */
  | "missed"
  /** Messages of a feed were delivered out of order. */
  | "reordered"
  /** A publish that began after another was answered is stored before it. */
  | "real-time order"
  /** A device counts unread messages differently from the store. */
  | "badge"
  /** A device shows a wrong online count. */
  | "online"
  /** A read state has too much or too little. */
  | "mark"
  /** A message has a wrong publish time, and so expires too early or too late. */
  | "time"
  /** A call, a stream or a start did not end. */
  | "stuck"
  /** A resource is in use after everything has closed. */
  | "leak"
  /** A client saw an error that must never happen. */
  | "error";

/** A violated invariant. */
export interface Finding {
  readonly kind: FindingKind;
  readonly detail: string;
}

/** The state of a system that has come to rest. */
export interface FinalState {
  readonly history: History;
  /** The documents that a majority has. */
  readonly documents: Documents;
  /** All messages that a majority ever had, in the order in which it got them. */
  readonly inserted: readonly Doc[];
  /** Messages kept per feed. */
  readonly keep: number;
  /** The correct time. */
  readonly now: number;
}

/** Returns all violations. */
export function check(final: FinalState): Finding[] {
  return [
    ...final.history.errors.map((detail): Finding => ({ kind: "error", detail })),
    ...checkPublishes(final),
    ...checkFeeds(final),
    ...checkTimes(final),
    ...checkRealTime(final),
    ...final.history.devices.flatMap((device) => checkDevice(device, final)),
    ...checkMarks(final),
  ];
}

/** Every answered publish is stored under the id of the answer, and no publish is stored twice. */
function checkPublishes({ history, inserted }: FinalState): Finding[] {
  const findings: Finding[] = [];
  const docsByKey = Map.groupBy(inserted, ({ append }) => requestIdOf(append.key));
  for (const { key, answered } of history.publishes) {
    const docs = docsByKey.get(key) ?? [];
    // A key may be used again when its message has expired.
    if (docs.some(({ append }, index) => (docs[index + 1]?.append.publishTime ?? never) < append.expireTime)) {
      findings.push({ kind: "duplicate", detail: `${key} is stored at ${docs.map(({ seq }) => seq).join(" and ")}` });
    }
    if (answered && !docs.some(({ append }) => append.id === answered.id)) {
      findings.push({ kind: "lost", detail: `${key} was answered, but is not in the store` });
    }
  }
  return findings;
}

/** The seqs of a feed have no holes, and each is assigned once. */
function checkFeeds({ inserted }: FinalState): Finding[] {
  const findings: Finding[] = [];
  const last = new Map<string, number>();
  for (const { feed, seq, append } of inserted) {
    const before = last.get(feed) ?? 0;
    last.set(feed, Math.max(before, seq));
    const detail = `${append.key} is stored at ${feedKey(feed).name} ${seq} right after ${before}`;
    if (seq > before + 1) findings.push({ kind: "hole", detail });
    if (seq <= before) findings.push({ kind: "diverged", detail });
  }
  return findings;
}

/** Messages are stored at most a minute after their publish time, however slow the store is. */
function checkTimes({ inserted }: FinalState): Finding[] {
  return inserted.flatMap(({ append, time }): Finding[] => {
    const lateMs = epoch + time - append.publishTime;
    if (lateMs > -1000 && lateMs < 60_000) return [];
    return [{ kind: "time", detail: `${append.key} is stored ${lateMs} ms after its publish time` }];
  });
}

/** A publish that was answered before another one was sent precedes it in the feed. */
function checkRealTime({ history, inserted }: FinalState): Finding[] {
  // The first message of each key; a second one may have been stored after the first expired.
  const seqs = new Map(inserted.toReversed().map(({ append, seq }) => [requestIdOf(append.key), seq]));
  const findings: Finding[] = [];
  for (const early of history.publishes) {
    if (!early.answered) continue;
    for (const late of history.publishes) {
      if (late.feed !== early.feed || late.invoked <= early.answered.time) continue;
      const [first, second] = [seqs.get(early.key), seqs.get(late.key)];
      if (first !== undefined && second !== undefined && first > second) {
        findings.push({
          kind: "real-time order",
          detail: `${late.key} was sent after ${early.key} was answered, but is stored before it`,
        });
      }
    }
  }
  return findings;
}

function checkDevice(device: DeviceRecord, final: FinalState): Finding[] {
  const { name, live } = device;
  if (!live) return [{ kind: "stuck", detail: `${name} has no stream that has caught up` }];
  return [
    ...checkOrder(device),
    ...checkIdentity(device, final),
    ...checkDelivered(device, final),
    ...checkBadge(device, final),
    ...checkOnline(device, final),
  ];
}

function checkOrder({ name, delivered }: DeviceRecord): Finding[] {
  const findings: Finding[] = [];
  const last = new Map<string, number>();
  for (const { feed, seq, key } of delivered) {
    const before = last.get(feed) ?? 0;
    last.set(feed, seq);
    if (seq <= before)
      findings.push({ kind: "reordered", detail: `${name} received ${key} at ${feed} ${seq} after ${before}` });
  }
  return findings;
}

/** A message that a device received is the one that the store has at its seq. */
function checkIdentity(device: DeviceRecord, { inserted }: FinalState): Finding[] {
  const ids = new Map(inserted.map((doc) => [`${doc.feed} ${doc.seq}`, doc.append.id]));
  return device.delivered.flatMap(({ feed, seq, id, key }): Finding[] => {
    const stored = ids.get(`${storeFeed(device, feed)} ${seq}`);
    if (stored === id) return [];
    const detail = `${device.name} received ${key} at ${feed} ${seq}, where the store has ${stored ?? "nothing"}`;
    return [{ kind: "diverged", detail }];
  });
}

/** A device received every message after its start exactly once, or a gap that covers it. */
function checkDelivered(device: DeviceRecord, final: FinalState): Finding[] {
  const { name, delivered, gaps, start } = device;
  // Deletions are taken from the requests: the read state forgets them when the messages are trimmed.
  const deleted = new Set(final.history.marks.flatMap((mark) => (mark.do === "delete" ? mark.ids : [])));
  const received = new Map<string, number>();
  for (const { id } of delivered) received.set(id, (received.get(id) ?? 0) + 1);
  const recalled = new Set(final.history.recalls.map(({ id }) => id));
  const findings: Finding[] = [];
  for (const [feed, from] of start) {
    const id = storeFeed(device, feed);
    for (const { seq, append } of final.inserted.filter((doc) => doc.feed === id && doc.seq > from)) {
      const times = received.get(append.id) ?? 0;
      const detail = `${name} received ${requestIdOf(append.key)} at ${feed} ${seq} ${times} times`;
      if (times > 1) findings.push({ kind: "duplicate", detail });
      const mayBeMissing =
        recalled.has(append.id) ||
        append.expireTime <= final.now ||
        deleted.has(append.id) ||
        gaps.some((gap) => gap.feed === feed && gap.after < seq && seq <= gap.to);
      if (times === 0 && !mayBeMissing) findings.push({ kind: "missed", detail });
    }
  }
  return findings;
}

/** The unread count of a device is that of the store. */
function checkBadge(device: DeviceRecord, final: FinalState): Finding[] {
  const unread = unreadOf(device, final).length;
  // A recall that was neither answered nor repeated may have been stored without a notice. Badges stay too high then, until
  // the next totals.
  if (device.badge === unread || final.history.recalls.some(({ answered }) => !answered)) return [];
  return [{ kind: "badge", detail: `${device.name} shows ${device.badge}, but ${unread} are unread` }];
}

/** The online count is the number of users and devices: all devices are connected at the end. */
function checkOnline({ name, online }: DeviceRecord, { history: { devices } }: FinalState): Finding[] {
  const users = new Set(devices.map(({ user }) => user)).size;
  if (online?.users === users && online.connections === devices.length) return [];
  return [{ kind: "online", detail: `${name} shows ${online?.users} users, ${online?.connections} connections` }];
}

/** Every mark that was answered is in the read state, and the read state has nothing that was not marked. */
function checkMarks(final: FinalState): Finding[] {
  const findings: Finding[] = [];
  const users = new Map(final.history.devices.map((device) => [`${device.tenant}\n${device.user}`, device]));
  for (const device of users.values()) {
    const { tenant, user } = device;
    const marks = final.history.marks.filter((mark) => mark.tenant === tenant && mark.user === user);
    const unread = new Set(unreadOf(device, final).map(({ append }) => append.id));
    for (const mark of marks.filter(({ answered }) => answered)) {
      for (const id of mark.ids) {
        if (unread.has(id))
          findings.push({ kind: "mark", detail: `${user}'s mark of ${id} was answered, but ${id} is unread` });
      }
      for (const { seq, feed, append } of unreadOf(device, final)) {
        if (seq > (mark.upTo?.get(streamFeed(feed)) ?? 0)) continue;
        const detail = `${user} marked up to ${feedKey(feed).name} ${mark.upTo?.get(streamFeed(feed))}, but ${append.key} is unread`;
        findings.push({ kind: "mark", detail });
      }
    }
    findings.push(...checkUnmarked(device, final, unread));
  }
  return findings;
}

function checkUnmarked(device: DeviceRecord, final: FinalState, unread: ReadonlySet<string>): Finding[] {
  const { history } = final;
  const marks = history.marks.filter(({ tenant, user }) => tenant === device.tenant && user === device.user);
  const named = new Set(marks.flatMap(({ ids }) => ids));
  return history.publishes.flatMap(({ key, notification, feed, invoked }): Finding[] => {
    if (!notification || !inboxOf(device).includes(feed)) return [];
    const docs = visible(final.documents, feedKey(feed), final.keep);
    const doc = docs.find(({ append }) => requestIdOf(append.key) === key);
    if (!doc || doc.append.expireTime <= final.now || named.has(doc.append.id) || unread.has(doc.append.id)) return [];
    const mayBeMarked = marks.some(
      (mark) =>
        mark.do === "all" &&
        mark.ended >= invoked &&
        (mark.upTo === undefined || doc.seq <= (mark.upTo.get(streamFeed(feed)) ?? 0)),
    );
    return mayBeMarked ? [] : [{ kind: "mark", detail: `${key} is read for ${device.user}, who never marked it` }];
  });
}

function unreadOf(device: DeviceRecord, { documents, keep, now }: FinalState): Doc[] {
  const state = readState(device, documents);
  return inboxOf(device).flatMap((feed) => {
    const name = streamFeed(feed);
    return visible(documents, feedKey(feed), keep).filter(
      ({ seq, append }) =>
        append.kind === 1 && append.expireTime > now && !state.read(name).has(seq) && !state.deleted(name).has(seq),
    );
  });
}

function readState({ tenant, user }: DeviceRecord, documents: Documents): ReadState {
  return ReadState.decode(documents.states.get(`${tenant}\n${user}`) ?? { version: 0, json: "" });
}

function inboxOf({ tenant, user }: DeviceRecord): string[] {
  return [`${tenant}\nuser/${user}`, `${tenant}\ntenant`, "\neveryone"];
}

/** The store's name of a feed, from its name on a stream of this device. */
function storeFeed({ tenant, user }: DeviceRecord, feed: string): string {
  if (feed === "everyone") return feedId({ tenant: "", name: feed });
  return feedId({ tenant, name: feed === "user" ? `user/${user}` : feed });
}

/** The name of a feed on a stream, from its name in the store. */
function streamFeed(feed: string): string {
  const { name } = feedKey(feed);
  return name.startsWith("user/") ? "user" : name;
}

/** The request id in an idempotency key. */
function requestIdOf(key: string): string {
  return key.split("\n")[1] ?? key;
}
