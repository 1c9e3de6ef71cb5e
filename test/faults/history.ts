/**
 * The history of a run, as its clients saw it, and a checker of the invariants that must hold whatever was killed meanwhile.
 * The checker knows nothing of the servers, and is tested itself, with wrong histories. All times are performance.now() of
 * the one process that records them.
 */

/** A publish that was attempted, answered or not. */
export interface Publish {
  /** Identifies the publish. Its message carries the key. */
  readonly key: string;
  /** The feeds of its audience, such as `tenant` or `user/ann`. */
  readonly feeds: readonly string[];
  /** The time of the first attempt. */
  readonly at: number;
}

/** An answer that a publisher received. */
export interface Answer {
  readonly key: string;
  readonly id: string;
  readonly at: number;
}

/** A message at its position, as a reader saw it. */
export interface Entry {
  readonly key: string;
  readonly id: string;
  readonly feed: string;
  readonly seq: number;
  /** In a list: whether the user has read it. */
  readonly read?: boolean;
}

/** All messages that one reader saw, in the order in which it saw them: a list newest first, a stream oldest first. */
export interface View {
  readonly reader: string;
  readonly kind: "list" | "stream";
  /** The feeds that it follows, from before the first publish until after the last. */
  readonly feeds: readonly string[];
  readonly entries: readonly Entry[];
  /** Of a stream: when each entry arrived. */
  readonly times?: readonly number[];
}

/** Messages that a user marked as read. Nothing marks them as unread again. */
export interface Mark {
  /** The reader whose list shows the mark. */
  readonly reader: string;
  readonly ids: readonly string[];
  /** When false, the mark may or may not have been stored. */
  readonly answered: boolean;
}

/** The number of unread messages of one reader at the end: as its client counted it, and as the server lists it. */
export interface Totals {
  readonly reader: string;
  readonly badge: number | undefined;
  readonly listed: number;
}

/** The online count at the end: as a node reports it, and the actual one. */
export interface Count {
  readonly node: string;
  readonly reported: string;
  readonly actual: string;
}

/** Everything that the clients of one run did and saw. */
export interface History {
  readonly publishes: readonly Publish[];
  readonly answers: readonly Answer[];
  readonly views: readonly View[];
  readonly marks: readonly Mark[];
  readonly totals: readonly Totals[];
  readonly counts: readonly Count[];
}

/** A violated invariant. */
export interface Finding {
  readonly kind: /** An answered or delivered message is not in a list. */
    | "lost"
    /** A stored message did not arrive on a stream. */
    | "missed"
    /** A reader has a message, or a position, twice. */
    | "twice"
    /** The messages of a feed are out of order. */
    | "reordered"
    /** A publish that began after another was answered is stored before it. */
    | "overtaken"
    /** A message was never published. */
    | "phantom"
    /** A message is in a feed that is not of its audience. */
    | "misdirected"
    /** A publish has two ids. */
    | "changed"
    /** A list lacks a seq. */
    | "hole"
    /** A read state has too much or too little. */
    | "mark"
    /** A client counts unread messages differently from the server. */
    | "badge"
    /** A node reports a wrong online count. */
    | "count";
  readonly detail: string;
}

/** Returns all violations of a history. */
export function check(history: History): Finding[] {
  const publishes = new Map(history.publishes.map((publish) => [publish.key, publish]));
  const answered = answeredByFeed(history.answers, publishes);
  return [
    ...history.views.flatMap((view) => [
      ...checkOrigins(view, publishes),
      ...checkOnce(view),
      ...checkOrder(view),
      ...checkAnswered(view, answered),
    ]),
    ...checkAgainstLists(history.views),
    ...checkTimes(history, publishes),
    ...checkIdentity(history),
    ...checkMarks(history),
    ...checkTotals(history.totals),
    ...history.counts
      .filter(({ reported, actual }) => reported !== actual)
      .map(
        ({ node, reported, actual }): Finding => ({
          kind: "count",
          detail: `${node} counts ${reported}, not ${actual}`,
        }),
      ),
  ];
}

/** The keys of answered publishes, by feed. */
function answeredByFeed(
  answers: readonly Answer[],
  publishes: ReadonlyMap<string, Publish>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const keys = new Map<string, Set<string>>();
  for (const { key } of answers) {
    for (const feed of publishes.get(key)?.feeds ?? []) keys.set(feed, (keys.get(feed) ?? new Set()).add(key));
  }
  return keys;
}

/** Every message was published, to a feed in which the reader has it. */
function checkOrigins({ reader, feeds, entries }: View, publishes: ReadonlyMap<string, Publish>): Finding[] {
  return entries.flatMap(({ key, feed }): Finding[] => {
    const publish = publishes.get(key);
    if (!publish) return [{ kind: "phantom", detail: `${reader} has ${key}, which was never published` }];
    if (publish.feeds.includes(feed) && feeds.includes(feed)) return [];
    return [{ kind: "misdirected", detail: `${reader} has ${key} in ${feed}` }];
  });
}

/** No key, no id and no seq occurs twice in a feed. */
function checkOnce({ reader, entries }: View): Finding[] {
  const seen = new Set<string>();
  return entries.flatMap(({ key, id, feed, seq }): Finding[] => {
    const names = [`${feed} key ${key}`, `${feed} id ${id}`, `${feed} seq ${seq}`];
    const repeated = names.filter((name) => seen.has(name));
    for (const name of names) seen.add(name);
    return repeated.length === 0 ? [] : [{ kind: "twice", detail: `${reader} has twice: ${repeated.join(", ")}` }];
  });
}

/** In each feed the seqs of a stream ascend, and those of a list descend without a hole down to 1. */
function checkOrder({ reader, kind, entries }: View): Finding[] {
  const findings: Finding[] = [];
  const last = new Map<string, number>();
  for (const { feed, seq, key } of entries) {
    const before = last.get(feed);
    last.set(feed, seq);
    if (before === undefined) continue;
    const detail = `${reader} has ${key} at ${feed} ${seq} right after ${before}`;
    if (kind === "stream" ? seq < before : seq > before) findings.push({ kind: "reordered", detail });
    else if (kind === "list" && seq < before - 1) findings.push({ kind: "hole", detail });
  }
  if (kind === "stream") return findings;
  for (const [feed, seq] of last) {
    if (seq > 1) findings.push({ kind: "hole", detail: `${reader} has nothing before ${feed} ${seq}` });
  }
  return findings;
}

/** Every answered message is in every view of its feeds. */
function checkAnswered(
  { reader, kind, feeds, entries }: View,
  answered: ReadonlyMap<string, ReadonlySet<string>>,
): Finding[] {
  const present = new Set(entries.map(({ feed, key }) => `${feed} ${key}`));
  return feeds.flatMap((feed) =>
    [...(answered.get(feed) ?? [])]
      .filter((key) => !present.has(`${feed} ${key}`))
      .map(
        (key): Finding => ({
          kind: kind === "list" ? "lost" : "missed",
          detail: `${reader} has no ${key} in ${feed}`,
        }),
      ),
  );
}

/** The ids at each seq, by feed. */
type IdsBySeq = Map<string, Map<number, string>>;

/** Every stored message, answered or not, arrived on every stream of its feed with the same id, and nothing else did. */
function checkAgainstLists(views: readonly View[]): Finding[] {
  const listed: IdsBySeq = new Map();
  for (const { kind, entries } of views) if (kind === "list") addIds(listed, entries);
  return views.flatMap(({ kind, reader, feeds, entries }): Finding[] => {
    if (kind === "list") return [];
    const streamed: IdsBySeq = new Map();
    addIds(streamed, entries);
    const missed = feeds.flatMap((feed) =>
      [...(listed.get(feed) ?? [])]
        .filter(([seq, id]) => streamed.get(feed)?.get(seq) !== id)
        .map(([seq]): Finding => ({ kind: "missed", detail: `${reader} did not receive ${feed} ${seq}` })),
    );
    const extra = entries
      .filter(({ feed, seq }) => !listed.get(feed)?.has(seq))
      .map(
        ({ feed, seq }): Finding => ({
          kind: "lost",
          detail: `${reader} received ${feed} ${seq}, which is not listed`,
        }),
      );
    return [...missed, ...extra];
  });
}

function addIds(ids: IdsBySeq, entries: readonly Entry[]): void {
  for (const { feed, seq, id } of entries) ids.set(feed, (ids.get(feed) ?? new Map()).set(seq, id));
}

/** A publish that was answered before another one was attempted precedes it in the feed. */
function checkTimes({ answers, views }: History, publishes: ReadonlyMap<string, Publish>): Finding[] {
  const answeredAt = new Map<string, number>();
  for (const { key, at } of answers) answeredAt.set(key, Math.min(at, answeredAt.get(key) ?? at));
  return views.flatMap(({ kind, reader, entries }): Finding[] => {
    if (kind === "stream") return [];
    const latest = new Map<string, { readonly key: string; readonly at: number }>();
    return entries.toReversed().flatMap(({ feed, key }): Finding[] => {
      const before = latest.get(feed);
      const at = publishes.get(key)?.at ?? 0;
      if (!before || at > before.at) latest.set(feed, { key, at });
      if (!before || before.at < (answeredAt.get(key) ?? Number.POSITIVE_INFINITY)) return [];
      const detail = `${reader} has ${before.key} before ${key} in ${feed}, which was answered before it was attempted`;
      return [{ kind: "overtaken", detail }];
    });
  });
}

/** All answers and all readers agree on the id of a publish. */
function checkIdentity({ answers, views }: History): Finding[] {
  const ids = new Map<string, string>();
  return [...answers, ...views.flatMap(({ entries }) => entries)].flatMap(({ key, id }): Finding[] => {
    const known = ids.get(key) ?? id;
    ids.set(key, known);
    return known === id ? [] : [{ kind: "changed", detail: `${key} is both ${known} and ${id}` }];
  });
}

/** Messages with an answered mark are read, and messages that were never marked are unread. */
function checkMarks({ marks, views }: History): Finding[] {
  return views.flatMap(({ kind, reader, entries }): Finding[] => {
    if (kind === "stream") return [];
    const own = marks.filter((mark) => mark.reader === reader);
    const must = new Set(own.filter(({ answered }) => answered).flatMap(({ ids }) => ids));
    const may = new Set(own.flatMap(({ ids }) => ids));
    return entries
      .filter(({ id, read }) => (read ? !may.has(id) : must.has(id)))
      .map(({ key, read }): Finding => ({ kind: "mark", detail: `${reader} has ${key} as ${read ? "" : "un"}read` }));
  });
}

function checkTotals(totals: readonly Totals[]): Finding[] {
  return totals
    .filter(({ badge, listed }) => badge !== listed)
    .map(({ reader, badge, listed }) => ({ kind: "badge", detail: `${reader} shows ${badge} and lists ${listed}` }));
}
