/**
 * What the clients of a run saw, and what must be true of it whatever was killed in between. Nothing here knows the
 * servers: the checker is itself tested with histories that are wrong. Times are performance.now() of the one process
 * that wrote them down.
 */

/** A publish that was attempted, answered or not. */
export interface Publish {
  /** Names the publish; its message carries it. */
  readonly key: string;
  /** The feeds that it is for, such as `tenant` or `user/ann`. */
  readonly feeds: readonly string[];
  /** When it was first attempted. */
  readonly at: number;
}

/** An answer that a publisher received. */
export interface Answer {
  readonly key: string;
  readonly id: string;
  readonly at: number;
}

/** A message at its place, as a reader saw it. */
export interface Entry {
  readonly key: string;
  readonly id: string;
  readonly feed: string;
  readonly seq: number;
  /** Of a list: whether its reader has read it. */
  readonly read?: boolean;
}

/** All that one reader saw, in the order in which it saw it: a list newest first, a stream oldest first. */
export interface View {
  readonly reader: string;
  readonly kind: "list" | "stream";
  /** The feeds that it follows, from before the first publish to after the last. */
  readonly feeds: readonly string[];
  readonly entries: readonly Entry[];
  /** Of a stream: when each came. */
  readonly times?: readonly number[];
}

/** Messages that a user marked as read; nothing marks them as unread again. */
export interface Mark {
  /** The lists of this user show it. */
  readonly reader: string;
  readonly ids: readonly string[];
  /** Without an answer it may have happened, or not. */
  readonly answered: boolean;
}

/** Unread totals of one reader at rest: as its client counted, and as the server lists. */
export interface Totals {
  readonly reader: string;
  readonly badge: number | undefined;
  readonly listed: number;
}

/** Who is online, at rest: as a node says, and as it is. */
export interface Count {
  readonly node: string;
  readonly told: string;
  readonly actual: string;
}

/** One run. */
export interface History {
  readonly publishes: readonly Publish[];
  readonly answers: readonly Answer[];
  readonly views: readonly View[];
  readonly marks: readonly Mark[];
  readonly totals: readonly Totals[];
  readonly counts: readonly Count[];
}

/** What is wrong. */
export interface Finding {
  readonly kind:
    | "lost"
    | "missed"
    | "twice"
    | "reordered"
    | "overtaken"
    | "phantom"
    | "misdirected"
    | "changed"
    | "hole"
    | "mark"
    | "badge"
    | "count";
  readonly detail: string;
}

/** Everything that is wrong with a history; empty when nothing is. */
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
      .filter(({ told, actual }) => told !== actual)
      .map(({ node, told, actual }): Finding => ({ kind: "count", detail: `${node} counts ${told}, not ${actual}` })),
  ];
}

/** The keys of what was answered, by feed. */
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

/** Every message was published, and to a feed where it is seen. */
function checkOrigins({ reader, feeds, entries }: View, publishes: ReadonlyMap<string, Publish>): Finding[] {
  return entries.flatMap(({ key, feed }): Finding[] => {
    const publish = publishes.get(key);
    if (!publish) return [{ kind: "phantom", detail: `${reader} has ${key}, which nobody published` }];
    if (publish.feeds.includes(feed) && feeds.includes(feed)) return [];
    return [{ kind: "misdirected", detail: `${reader} has ${key} in ${feed}` }];
  });
}

/** No message twice in a feed, whether by its id or by what it carries. */
function checkOnce({ reader, entries }: View): Finding[] {
  const seen = new Set<string>();
  return entries.flatMap(({ key, id, feed, seq }): Finding[] => {
    const names = [`${feed} key ${key}`, `${feed} id ${id}`, `${feed} seq ${seq}`];
    const again = names.filter((name) => seen.has(name));
    for (const name of names) seen.add(name);
    return again.length === 0 ? [] : [{ kind: "twice", detail: `${reader} has twice: ${again.join(", ")}` }];
  });
}

/** Per feed: a stream runs forwards, a list backwards and without a hole down to the first message. */
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

/** What was answered is there. */
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

/** By feed, the ids at each seq. */
type Places = Map<string, Map<number, string>>;

/** What is stored, though perhaps never answered, has come over every stream too, as the same message. */
function checkAgainstLists(views: readonly View[]): Finding[] {
  const listed: Places = new Map();
  for (const { kind, entries } of views) if (kind === "list") addPlaces(listed, entries);
  return views.flatMap(({ kind, reader, feeds, entries }): Finding[] => {
    if (kind === "list") return [];
    const streamed: Places = new Map();
    addPlaces(streamed, entries);
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

function addPlaces(places: Places, entries: readonly Entry[]): void {
  for (const { feed, seq, id } of entries) places.set(feed, (places.get(feed) ?? new Map()).set(seq, id));
}

/** In a feed, what was answered stands before what was attempted only afterwards. */
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

/** One publish is one message, for whoever repeated or read it. */
function checkIdentity({ answers, views }: History): Finding[] {
  const ids = new Map<string, string>();
  return [...answers, ...views.flatMap(({ entries }) => entries)].flatMap(({ key, id }): Finding[] => {
    const known = ids.get(key) ?? id;
    ids.set(key, known);
    return known === id ? [] : [{ kind: "changed", detail: `${key} is both ${known} and ${id}` }];
  });
}

/** What was marked, and the mark answered, is read; what nobody marked is not. */
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
