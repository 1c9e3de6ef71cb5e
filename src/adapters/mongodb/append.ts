import { type Append, type AppendResult, keyExpiry, type MessageLocation } from "../../ports/store.ts";
import type { BatchWriter, Landing } from "./batch-writer.ts";
import { type Connection, jitter } from "./connection.ts";
import {
  bodyName,
  type ClaimDocument,
  type Content,
  contentOf,
  createStamps,
  type EntryDocument,
  feedName,
  keyName,
  onceFor,
} from "./documents.ts";
import type { DoneMarks } from "./done-marks.ts";
import type { Layout } from "./layout.ts";
import type { Locks } from "./locks.ts";
import type { MongoRecaller } from "./recall.ts";

/** An append under way may take so long to get from its claim to its entry, in milliseconds; then its place is taken. */
const settleMs = 1_000;

/** A message on its way. */
interface Draft {
  readonly message: Append;
  /** Order of arrival. */
  readonly order: string;
  readonly expired: () => boolean;
}

/**
 * Appends messages without a transaction: first what everything else refers to (the claim of the key, the body), then the
 * entries. Who repeats a request under its key finds the claim, and finishes what is not there.
 */
export class Appender {
  readonly #connection: Connection;
  readonly #layout: Layout;
  readonly #flights: BatchWriter;
  readonly #locks: Locks;
  readonly #marks: DoneMarks;
  readonly #withdrawals: MongoRecaller;
  readonly #epoch: number;
  readonly #stamp = createStamps();
  /** Ends of those that are taking over a key, by the claim's name. */
  readonly #turns = new Map<string, Promise<void>>();

  constructor(
    connection: Connection,
    layout: Layout,
    parts: { flights: BatchWriter; locks: Locks; marks: DoneMarks; withdrawals: MongoRecaller; epoch: number },
  ) {
    this.#connection = connection;
    this.#layout = layout;
    this.#flights = parts.flights;
    this.#locks = parts.locks;
    this.#marks = parts.marks;
    this.#withdrawals = parts.withdrawals;
    this.#epoch = parts.epoch;
  }

  /** See FeedLog. Goes on until it knows, or until `expired`. */
  async append(messages: readonly Append[], expired: () => boolean): Promise<AppendResult[]> {
    const answers: AppendResult[] = [];
    for (const wave of wavesOf(messages)) {
      const drafts = wave.map((message) => ({ message, order: this.#stamp(message.id), expired }));
      answers.push(...(await this.#appendWave(drafts)));
    }
    return answers;
  }

  /** Messages of different keys. Their entries are queued in one turn, so that they land in this order. */
  async #appendWave(drafts: readonly Draft[]): Promise<AppendResult[]> {
    const first = drafts.filter(
      ({ message }) => message.feeds.length > 1 || (message.feeds.length === 0 && message.key),
    );
    const claims = await this.#claimAll(first);
    return Promise.all(
      drafts.map((draft) => {
        const claim = claims.get(draft);
        if (claim) return this.#withClaim(draft, claim);
        const [name] = draft.message.feeds;
        return name === undefined ? this.#stored(draft, []) : this.#appendOne(draft, name);
      }),
    );
  }

  /** A message of one feed: claim and entry fly together. */
  async #appendOne(draft: Draft, name: string): Promise<AppendResult> {
    const { message, order } = draft;
    const claim = message.key === "" ? undefined : this.#claimOf(draft);
    const once = claim ? onceFor({ o: order }) : bodyName(message.id);
    const landing = await this.#land(draft, name, this.#single(draft, once), claim);
    return this.#answerOne(draft, landing);
  }

  #answerOne(
    draft: Draft,
    landing: Landing,
    replaced?: readonly MessageLocation[],
  ): AppendResult | Promise<AppendResult> {
    if ("seq" in landing) return this.#stored(draft, [landing.seq], replaced);
    if ("taken" in landing) return this.#contend(draft, landing.taken);
    const { m, k, p = draft.message.publishTime } = landing.there;
    // Who wanted its key did not wait for it.
    if (m === draft.message.id && k === 0) throw new Error("the message was replaced before it was there");
    return this.#duplicate(m, p);
  }

  /** What holds the key, or keeps the body, is there; it may be this message's own. */
  #withClaim(draft: Draft, claim: ClaimDocument): Promise<AppendResult> {
    return claim.id === draft.message.id ? this.#finish(draft, claim) : this.#contend(draft, claim);
  }

  /** Puts what a claim of this message announces into its feeds. */
  async #finish(draft: Draft, claim: ClaimDocument, replaced?: readonly MessageLocation[]): Promise<AppendResult> {
    const { message } = draft;
    const [name] = message.feeds;
    if (name === undefined || message.feeds.length > 1) {
      return this.#stored(draft, await this.#spread(draft, claim), replaced);
    }
    const once = onceFor(claim);
    return this.#answerOne(draft, await this.#land(draft, name, this.#single(draft, once), undefined), replaced);
  }

  /** The key belongs to another message: answers with that one, or takes its place, one after the other. */
  #contend(draft: Draft, found: ClaimDocument): Promise<AppendResult> {
    const { message } = draft;
    if (!message.replace && !isFree(found, message)) return this.#answerHeld(draft, found);
    const turn = (this.#turns.get(found.f) ?? Promise.resolve()).then(() => this.#takeOver(draft, found.f));
    const ended = turn.then(
      () => {},
      () => {},
    );
    this.#turns.set(found.f, ended);
    void ended.then(() => this.#turns.get(found.f) === ended && this.#turns.delete(found.f));
    return turn;
  }

  async #takeOver(draft: Draft, name: string): Promise<AppendResult> {
    const { message, expired } = draft;
    const replaced: MessageLocation[] = [];
    let claim = await this.#readClaim(name);
    for (let attempt = 0; !expired(); attempt++) {
      if (!claim) [claim] = [...(await this.#claimAll([draft])).values()];
      if (!claim) break;
      if (claim.id === message.id) return this.#finish(draft, claim, message.replace ? replaced : undefined);
      if (!message.replace && !isFree(claim, message)) return this.#answerHeld(draft, claim);
      if (message.replace) {
        if (!(await this.#settled(draft, claim))) {
          await jitter(attempt);
          claim = await this.#readClaim(claim.f);
          continue;
        }
        replaced.push(...(await this.#withdrawals.takeBack(claim, onceOf(claim))));
      }
      const next = this.#claimOf(draft);
      const claims = this.#connection.collection<ClaimDocument>(this.#layout.claims);
      const held = { f: claim.f, s: 0, o: claim.o };
      const swap = () => claims.replaceOne(held, next);
      const { modifiedCount } = await this.#locks.exclusively(claim.f, swap);
      claim = modifiedCount === 1 ? next : await this.#readClaim(claim.f);
    }
    throw new Error("the key of the message is in dispute");
  }

  /** The key is another message's, and stays it. */
  async #answerHeld(draft: Draft, claim: ClaimDocument): Promise<AppendResult> {
    const { message } = draft;
    if (claim.h !== message.digest) return { outcome: "conflict" };
    const [name, more] = claim.to;
    if (claim.gone) return this.#duplicate(claim.gone.id, claim.gone.p);
    // Half done, when its writer died or was cut off: the entries that are missing are put in now.
    if (more !== undefined && !claim.done) await this.#spread(draft, claim);
    if (name === undefined || more !== undefined) return this.#duplicate(claim.id, claim.p);
    const once = onceFor(claim);
    const there = await this.#readEntry(claim.tenant, name, once);
    if (there) return this.#duplicate(there.m, there.p ?? claim.p);
    return this.#answerOne(draft, await this.#land(draft, name, this.#single(draft, once), undefined));
  }

  /**
   * Whether all entries of the message that holds the key are where they belong, so that what is taken back now cannot
   * land later. Where the writer of an entry is gone, an empty one takes its place.
   */
  async #settled(draft: Draft, claim: ClaimDocument): Promise<boolean> {
    const [name, more] = claim.to;
    if (claim.gone || name === undefined) return true;
    if (more !== undefined) {
      if (!claim.done) await this.#spread(draft, claim);
      return true;
    }
    const once = onceFor(claim);
    if (await this.#readEntry(claim.tenant, name, once)) return true;
    if (Date.now() - claim.at < settleMs) return false;
    await this.#land(draft, name, { c: once, m: claim.id, o: claim.o, k: 0, g: "", p: claim.p }, undefined);
    return true;
  }

  /** Puts the entries of a message of several feeds in; those that are there stay. Answers their numbers. */
  async #spread(draft: Draft, claim: ClaimDocument): Promise<number[]> {
    const { e: content, tenant } = claim;
    if (!content) return [];
    const landings = await Promise.all(claim.to.map((name) => this.#land(draft, name, content, undefined, tenant)));
    this.#marks.add(claim);
    return landings.map((landing) => ("seq" in landing ? landing.seq : 0));
  }

  /** Inserts claims; answers what is there then: these, or other messages'. */
  async #claimAll(drafts: readonly Draft[]): Promise<ReadonlyMap<Draft, ClaimDocument>> {
    const held = new Map<Draft, ClaimDocument>();
    for (let attempt = 0; held.size < drafts.length && !drafts[0]?.expired(); attempt++) {
      if (attempt > 0) await jitter(attempt);
      const missing = drafts.filter((draft) => !held.has(draft));
      const claims = missing.map((draft) => this.#claimOf(draft));
      const { sure, taken, error } = await this.#connection.insert(this.#layout.claims, claims, false);
      if (!sure) this.#flights.lastError = error;
      const met = new Set(sure ? taken : claims.keys());
      missing.forEach((draft, index) => {
        if (!met.has(index)) held.set(draft, claims[index] as ClaimDocument);
      });
      const names = [...met].map((index) => (claims[index] as ClaimDocument).f);
      if (names.length === 0) continue;
      // What is not yet on a majority is asked for again.
      const found = await this.#readClaims(names);
      for (const draft of missing) {
        const claim = found.get(this.#claimName(draft));
        if (claim) held.set(draft, claim);
      }
    }
    return held;
  }

  async #readClaims(names: readonly string[]): Promise<ReadonlyMap<string, ClaimDocument>> {
    const filter = names.length === 1 ? { f: names[0] as string, s: 0 } : { f: { $in: names }, s: 0 };
    const claims = await this.#connection.find<ClaimDocument>(this.#layout.claims, filter).catch(() => []);
    return new Map(claims.map((claim) => [claim.f, claim]));
  }

  async #readClaim(name: string): Promise<ClaimDocument | undefined> {
    return (await this.#readClaims([name])).get(name);
  }

  async #readEntry(tenant: string, name: string, once: string): Promise<EntryDocument | undefined> {
    const f = feedName({ tenant, name });
    const options = { projection: { d: 0 } };
    const [entry] = await this.#connection.find<EntryDocument>(this.#layout.entries(f), { f, c: once }, options);
    return entry;
  }

  #land(
    { message, expired }: Draft,
    name: string,
    content: Content,
    claim: ClaimDocument | undefined,
    tenant = message.tenant,
  ): Promise<Landing> {
    return this.#flights.land(feedName({ tenant, name }), content, claim, expired);
  }

  /** What the entry of a message of one feed carries. */
  #single(draft: Draft, once: string): Content {
    const { message, order } = draft;
    const content = { ...contentOf(message, order, once), d: message.body };
    return message.key === "" ? content : { ...content, q: this.#claimName(draft) };
  }

  #claimName({ message }: Draft): string {
    return message.key === "" ? bodyName(message.id) : keyName(message.tenant, message.key);
  }

  #claimOf(draft: Draft): ClaimDocument {
    const { message, order } = draft;
    const { tenant, id, publishTime, key, digest, feeds, body } = message;
    const expireTime = key === "" ? message.expireTime : keyExpiry(message);
    const f = this.#claimName(draft);
    const e = { ...contentOf(message, order, bodyName(id)), r: f, z: body.length };
    return {
      f,
      s: 0,
      id,
      tenant,
      h: digest,
      o: order,
      at: Date.now(),
      p: publishTime,
      ...(expireTime === Number.POSITIVE_INFINITY ? {} : { x: expireTime }),
      to: feeds,
      ...(feeds.length > 1 ? { e, d: body } : {}),
    };
  }

  async #stored(
    { message }: Draft,
    seqs: readonly number[],
    replaced?: readonly MessageLocation[],
  ): Promise<AppendResult> {
    const { id, publishTime } = message;
    return { outcome: "stored", id, publishTime, epoch: this.#epoch, seqs, ...(replaced ? { replaced } : {}) };
  }

  #duplicate(id: string, publishTime: number): AppendResult {
    return { outcome: "duplicate", id, publishTime, epoch: this.#epoch, seqs: [] };
  }
}

/** The key holds no longer when this message comes. */
function isFree({ x = Number.POSITIVE_INFINITY }: ClaimDocument, { publishTime }: Append): boolean {
  return x <= publishTime;
}

/** What the entries of a claim's message are there once for. */
function onceOf(claim: ClaimDocument): string {
  return claim.to.length > 1 ? bodyName(claim.id) : onceFor(claim);
}

/** Within one call keys are checked one by one: a key that comes again waits for the first. */
function wavesOf(messages: readonly Append[]): Append[][] {
  const waves: Append[][] = [[]];
  let keys = new Set<string>();
  for (const message of messages) {
    const name = message.key === "" ? undefined : keyName(message.tenant, message.key);
    if (name !== undefined && keys.has(name)) {
      waves.push([]);
      keys = new Set();
    }
    if (name !== undefined) keys.add(name);
    waves.at(-1)?.push(message);
  }
  return waves;
}
