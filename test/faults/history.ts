/**
 * What the clients of a run saw, and what must be true of it whatever was killed in between. Nothing here knows the
 * server: the checker is itself tested with histories that are wrong.
 */

/** A publish that was attempted, answered or not. */
export interface Publish {
  /** Names the publish; its message carries it. */
  readonly key: string;
  /** The feeds that it is for, such as `tenant` or `user/ann`. */
  readonly feeds: readonly string[];
}

/** An answer that a publisher received. */
export interface Answer {
  readonly key: string;
  readonly id: string;
}

/** A message at its place, as a reader saw it. */
export interface Entry {
  readonly key: string;
  readonly id: string;
  readonly feed: string;
  readonly seq: number;
}

/** All that one reader saw, in the order in which it saw it: a list newest first, a stream oldest first. */
export interface View {
  readonly reader: string;
  readonly kind: "list" | "stream";
  /** The feeds that it follows, from before the first publish to after the last. */
  readonly feeds: readonly string[];
  readonly entries: readonly Entry[];
}

/** Unread totals of one reader at rest: as its client counted, and as the server lists. */
export interface Totals {
  readonly reader: string;
  readonly badge: number | undefined;
  readonly listed: number;
}

/** One run. */
export interface History {
  readonly publishes: readonly Publish[];
  readonly answers: readonly Answer[];
  readonly views: readonly View[];
  readonly totals: readonly Totals[];
}

/** What is wrong. */
export interface Finding {
  readonly kind: "lost" | "missed" | "twice" | "reordered" | "phantom" | "misdirected" | "changed" | "hole" | "badge";
  readonly detail: string;
}

/** Everything that is wrong with a history; empty when nothing is. */
export function check(history: History): Finding[] {
  const publishes = new Map(history.publishes.map((publish) => [publish.key, publish]));
  return [
    ...history.views.flatMap((view) => [
      ...checkOrigins(view, publishes),
      ...checkOnce(view),
      ...checkOrder(view),
      ...checkAnswered(view, history.answers, publishes),
    ]),
    ...checkAgainstLists(history.views),
    ...checkIdentity(history),
    ...checkTotals(history.totals),
  ];
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
  answers: readonly Answer[],
  publishes: ReadonlyMap<string, Publish>,
): Finding[] {
  const present = new Set(entries.map(({ feed, key }) => `${feed} ${key}`));
  return answers.flatMap(({ key }) =>
    (publishes.get(key)?.feeds ?? [])
      .filter((feed) => feeds.includes(feed) && !present.has(`${feed} ${key}`))
      .map(
        (feed): Finding => ({
          kind: kind === "list" ? "lost" : "missed",
          detail: `${reader} has no ${key} in ${feed}`,
        }),
      ),
  );
}

/** What is stored, though perhaps never answered, has come over every stream too, as the same message. */
function checkAgainstLists(views: readonly View[]): Finding[] {
  const listed = new Map<string, string>();
  for (const { kind, entries } of views) {
    if (kind === "list") for (const { feed, seq, id } of entries) listed.set(`${feed} ${seq}`, id);
  }
  return views.flatMap(({ kind, reader, feeds, entries }): Finding[] => {
    if (kind === "list") return [];
    const streamed = new Map(entries.map(({ feed, seq, id }) => [`${feed} ${seq}`, id]));
    const missed = [...listed].filter(
      ([place, id]) => feeds.includes(place.split(" ")[0] ?? "") && streamed.get(place) !== id,
    );
    const extra = [...streamed].filter(([place]) => !listed.has(place));
    return [
      ...missed.map(([place]): Finding => ({ kind: "missed", detail: `${reader} did not receive ${place}` })),
      ...extra.map(
        ([place]): Finding => ({ kind: "lost", detail: `${reader} received ${place}, which is not listed` }),
      ),
    ];
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

function checkTotals(totals: readonly Totals[]): Finding[] {
  return totals
    .filter(({ badge, listed }) => badge !== listed)
    .map(({ reader, badge, listed }) => ({ kind: "badge", detail: `${reader} shows ${badge} and lists ${listed}` }));
}
