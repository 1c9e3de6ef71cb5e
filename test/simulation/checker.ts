/** What must be true of a simulated world at rest, whatever happened before. */
import { ReadState } from "../../src/inbox/read-state.ts";
import { type Doc, type Documents, feedId, feedKey } from "./documents.ts";
import type { DeviceRecord, History } from "./history.ts";
import { visible } from "./questions.ts";

const endless = Number.POSITIVE_INFINITY;

/** What a finding is about. */
export type FindingKind =
  | "lost"
  | "twice"
  | "hole"
  | "changed"
  | "missed"
  | "reordered"
  | "late order"
  | "badge"
  | "online"
  | "mark"
  | "stuck"
  | "left over"
  | "alarm";

/** Something that is wrong. */
export interface Finding {
  readonly kind: FindingKind;
  readonly detail: string;
}

/** A world at rest. */
export interface Rest {
  readonly history: History;
  /** What the majority has. */
  readonly documents: Documents;
  /** All that a majority ever had, in that order. */
  readonly inserted: readonly Doc[];
  readonly keep: number;
  /** The time, as right clocks have it. */
  readonly now: number;
}

/** Everything that is wrong; empty when nothing is. */
export function check(rest: Rest): Finding[] {
  return [
    ...rest.history.alarms.map((detail): Finding => ({ kind: "alarm", detail })),
    ...checkPublishes(rest),
    ...checkFeeds(rest),
    ...checkRealTime(rest),
    ...rest.history.devices.flatMap((device) => checkDevice(device, rest)),
    ...checkMarks(rest),
  ];
}

/** What was answered is there under its id, and nothing is there twice. */
function checkPublishes({ history, inserted }: Rest): Finding[] {
  const findings: Finding[] = [];
  const times = Map.groupBy(inserted, ({ append }) => titleKey(append.key));
  for (const { key, answered } of history.publishes) {
    const docs = times.get(key) ?? [];
    // A key is free again once its message has expired.
    if (docs.some(({ append }, index) => (docs[index + 1]?.append.publishTime ?? endless) < append.expireTime)) {
      findings.push({ kind: "twice", detail: `${key} is at ${docs.map(({ seq }) => seq).join(" and ")}` });
    }
    if (answered && !docs.some(({ append }) => append.id === answered.id)) {
      findings.push({ kind: "lost", detail: `${key} was answered, and is not in the store` });
    }
  }
  return findings;
}

/** Seqs count, each place is given once, in order. */
function checkFeeds({ inserted }: Rest): Finding[] {
  const findings: Finding[] = [];
  const last = new Map<string, number>();
  for (const { feed, seq, append } of inserted) {
    const before = last.get(feed) ?? 0;
    last.set(feed, Math.max(before, seq));
    const detail = `${append.key} is at ${feedKey(feed).name} ${seq} right after ${before}`;
    if (seq > before + 1) findings.push({ kind: "hole", detail });
    if (seq <= before) findings.push({ kind: "changed", detail });
  }
  return findings;
}

/** What was answered before something else was sent comes before it. */
function checkRealTime({ history, inserted }: Rest): Finding[] {
  // The first one, where another was stored once it had expired.
  const seqs = new Map(inserted.toReversed().map(({ append, seq }) => [titleKey(append.key), seq]));
  const findings: Finding[] = [];
  for (const early of history.publishes) {
    if (!early.answered) continue;
    for (const late of history.publishes) {
      if (late.feed !== early.feed || late.invoked <= early.answered.time) continue;
      const [first, second] = [seqs.get(early.key), seqs.get(late.key)];
      if (first !== undefined && second !== undefined && first > second) {
        findings.push({ kind: "late order", detail: `${late.key} came after ${early.key}, and is before it` });
      }
    }
  }
  return findings;
}

function checkDevice(device: DeviceRecord, rest: Rest): Finding[] {
  const { name, live } = device;
  if (!live) return [{ kind: "stuck", detail: `${name} has no stream that is through with what it missed` }];
  return [
    ...checkOrder(device),
    ...checkSame(device, rest),
    ...checkDelivered(device, rest),
    ...checkBadge(device, rest),
    ...checkOnline(device, rest),
  ];
}

function checkOrder({ name, delivered }: DeviceRecord): Finding[] {
  const findings: Finding[] = [];
  const last = new Map<string, number>();
  for (const { feed, seq, key } of delivered) {
    const before = last.get(feed) ?? 0;
    last.set(feed, seq);
    if (seq <= before)
      findings.push({ kind: "reordered", detail: `${name} took ${key} at ${feed} ${seq} after ${before}` });
  }
  return findings;
}

/** What a device took is what the store has at that place. */
function checkSame(device: DeviceRecord, { inserted }: Rest): Finding[] {
  const places = new Map(inserted.map((doc) => [`${doc.feed} ${doc.seq}`, doc.append.id]));
  return device.delivered.flatMap(({ feed, seq, id, key }): Finding[] => {
    const there = places.get(`${storeFeed(device, feed)} ${seq}`);
    if (there === id) return [];
    const detail = `${device.name} took ${key} at ${feed} ${seq}, where the store has ${there ?? "nothing"}`;
    return [{ kind: "changed", detail }];
  });
}

/** Everything after its start came, once, or it was told that it will not. */
function checkDelivered(device: DeviceRecord, rest: Rest): Finding[] {
  const { name, delivered, gaps, start } = device;
  // What a user has deleted is forgotten again once it is trimmed.
  const deleted = new Set(rest.history.marks.flatMap((mark) => (mark.do === "delete" ? mark.ids : [])));
  const took = new Map<string, number>();
  for (const { id } of delivered) took.set(id, (took.get(id) ?? 0) + 1);
  const recalled = new Set(rest.history.recalls.map(({ id }) => id));
  const findings: Finding[] = [];
  for (const [feed, from] of start) {
    const id = storeFeed(device, feed);
    for (const { seq, append } of rest.inserted.filter((doc) => doc.feed === id && doc.seq > from)) {
      const times = took.get(append.id) ?? 0;
      const detail = `${name}, ${titleKey(append.key)} at ${feed} ${seq}, ${times} times`;
      if (times > 1) findings.push({ kind: "twice", detail });
      const excused =
        recalled.has(append.id) ||
        append.expireTime <= rest.now ||
        deleted.has(append.id) ||
        gaps.some((gap) => gap.feed === feed && gap.from < seq && seq <= gap.to);
      if (times === 0 && !excused) findings.push({ kind: "missed", detail });
    }
  }
  return findings;
}

/** The totals that the device counted itself to are those of the store. */
function checkBadge(device: DeviceRecord, rest: Rest): Finding[] {
  const unread = unreadOf(device, rest).length;
  // A recall whose answer was lost, and that nobody repeated, was never announced: the next totals will tell.
  if (device.badge === unread || rest.history.recalls.some(({ answered }) => !answered)) return [];
  return [{ kind: "badge", detail: `${device.name} shows ${device.badge}, and ${unread} are unread` }];
}

/** Everybody is there at the end, and nobody else. */
function checkOnline({ name, online }: DeviceRecord, { history: { devices } }: Rest): Finding[] {
  const users = new Set(devices.map(({ user }) => user)).size;
  if (online?.users === users && online.connections === devices.length) return [];
  return [{ kind: "online", detail: `${name} shows ${online?.users} users, ${online?.connections} connections` }];
}

/** What was answered as marked is marked, and nothing is that nobody marked. */
function checkMarks(rest: Rest): Finding[] {
  const findings: Finding[] = [];
  const users = new Map(rest.history.devices.map((device) => [`${device.tenant}\n${device.user}`, device]));
  for (const device of users.values()) {
    const { tenant, user } = device;
    const marks = rest.history.marks.filter((mark) => mark.tenant === tenant && mark.user === user);
    const unread = new Set(unreadOf(device, rest).map(({ append }) => append.id));
    for (const mark of marks.filter(({ answered }) => answered)) {
      for (const id of mark.ids) {
        if (unread.has(id))
          findings.push({ kind: "mark", detail: `${user}'s mark of ${id} was answered, and is gone` });
      }
      for (const { seq, feed, append } of unreadOf(device, rest)) {
        if (seq > (mark.upTo?.get(streamFeed(feed)) ?? 0)) continue;
        const detail = `${user} marked up to ${feedKey(feed).name} ${mark.upTo?.get(streamFeed(feed))}; ${append.key} is unread`;
        findings.push({ kind: "mark", detail });
      }
    }
    findings.push(...checkUnmarked(device, rest, unread));
  }
  return findings;
}

function checkUnmarked(device: DeviceRecord, rest: Rest, unread: ReadonlySet<string>): Finding[] {
  const { history } = rest;
  const marks = history.marks.filter(({ tenant, user }) => tenant === device.tenant && user === device.user);
  const named = new Set(marks.flatMap(({ ids }) => ids));
  return history.publishes.flatMap(({ key, notification, feed, invoked }): Finding[] => {
    if (!notification || !inboxOf(device).includes(feed)) return [];
    const doc = visible(rest.documents, feedKey(feed), rest.keep).find(({ append }) => titleKey(append.key) === key);
    if (!doc || doc.append.expireTime <= rest.now || named.has(doc.append.id) || unread.has(doc.append.id)) return [];
    const reached = marks.some(
      (mark) =>
        mark.do === "all" &&
        mark.ended >= invoked &&
        (mark.upTo === undefined || doc.seq <= (mark.upTo.get(streamFeed(feed)) ?? 0)),
    );
    return reached ? [] : [{ kind: "mark", detail: `nobody marked ${key}, and ${device.user} has it as read` }];
  });
}

function unreadOf(device: DeviceRecord, { documents, keep, now }: Rest): Doc[] {
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

/** The store's feed of a feed on a stream. */
function storeFeed({ tenant, user }: DeviceRecord, feed: string): string {
  if (feed === "everyone") return feedId({ tenant: "", name: feed });
  return feedId({ tenant, name: feed === "user" ? `user/${user}` : feed });
}

/** The name on a stream of a feed of the store. */
function streamFeed(feed: string): string {
  const { name } = feedKey(feed);
  return name.startsWith("user/") ? "user" : name;
}

/** The request id of an idempotency key. */
function titleKey(key: string): string {
  return key.split("\n")[1] ?? key;
}
