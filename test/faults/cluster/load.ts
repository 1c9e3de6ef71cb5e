/** What clients do to a cluster while it suffers: publish, follow and mark. */
import { setTimeout as sleep } from "node:timers/promises";
import { each } from "../each.ts";
import { type Figures, findingsOf, trafficOf } from "../figures.ts";
import { type Count, check, type Finding, type History } from "../history.ts";
import { Publishers } from "../publishers.ts";
import { tokenFor } from "../server-process.ts";
import { listAll, openSubscribers, type Subscriber, totalsOf } from "../subscribers.ts";
import type { Cluster } from "./cluster.ts";
import type { Member } from "./member.ts";
import { type OnlineTold, watchOnline } from "./online.ts";

/** How much. */
export interface LoadOptions {
  readonly users: number;
  /** Of each user, over all transports. */
  readonly pages: number;
  readonly perSecond: number;
  /** Callers that publish at once. */
  readonly callers?: number;
  /** The share of publishes that each page receives. */
  readonly shareForAll?: number;
}

/** What came of a run. */
export interface Outcome {
  readonly history: History;
  readonly findings: readonly Finding[];
  /** What pages met and never should. */
  readonly upsets: readonly string[];
  readonly figures: Figures;
}

const tenant = "acme";
const markEveryMs = 250;
/** What is still missing then is missed. */
const patienceMs = 60_000;
/** A node that died is counted until its lease ends. */
const countsWithinMs = 40_000;

/** A load under way. */
export class Load {
  readonly publishers: Publishers;
  readonly subscribers: readonly Subscriber[];
  readonly #cluster: Cluster;
  readonly #users: readonly string[];
  readonly #began = performance.now();
  readonly #marking: Promise<void>;
  #stopped = false;

  private constructor(cluster: Cluster, users: readonly string[], publishers: Publishers, subscribers: Subscriber[]) {
    this.#cluster = cluster;
    this.#users = users;
    this.publishers = publishers;
    this.subscribers = subscribers;
    this.#marking = this.#mark();
  }

  /** Opens all pages, and starts to publish. */
  static async start(cluster: Cluster, options: LoadOptions): Promise<Load> {
    const users = Array.from({ length: options.users }, (_, index) => `user-${index}`);
    const subscribers = await openSubscribers(cluster.url, tenant, users, options.pages);
    const token = await tokenFor({ sub: "load", role: "service" });
    const urls = cluster.members.map(({ url }) => url);
    const { perSecond, callers = 12, shareForAll } = options;
    const publishers = new Publishers({
      urls,
      token,
      tenant,
      users,
      perSecond,
      ...(shareForAll === undefined ? {} : { shareForAll }),
    });
    publishers.start(callers);
    return new Load(cluster, users, publishers, subscribers);
  }

  /** Ends the load, lets everything arrive, asks the cluster for what it has, and checks all of it. */
  async settle(): Promise<Outcome> {
    this.#stopped = true;
    await Promise.all([this.publishers.stop(), this.#marking]);
    const seconds = (performance.now() - this.#began) / 1000;
    const ends = await this.publishers.markEnd();
    await Promise.all(this.subscribers.map((subscriber) => subscriber.received(ends, patienceMs)));
    const history = await this.#history();
    const findings = check(history);
    const figures = {
      store: this.#cluster.store.name,
      nodes: this.#cluster.members.length,
      feeds: this.#users.length + 3,
      "publishes a second": Math.round(this.publishers.answers.length / seconds),
      ...trafficOf(this.publishers, this.subscribers, history),
      ...findingsOf(findings),
    };
    return { history, findings, upsets: this.subscribers.flatMap(({ upsets }) => upsets), figures };
  }

  /** Closes all pages. */
  close(): void {
    this.#stopped = true;
    for (const { client } of this.subscribers) client.close();
  }

  async #history(): Promise<History> {
    const clients = new Map(this.subscribers.map(({ user, client }) => [user, client]));
    const lists = await each([...clients], ([user, client]) => listAll(user, client));
    const totals = await each(this.subscribers, totalsOf);
    const [users, streams] = [this.#users.length, this.subscribers.length];
    const counts = await Promise.all(this.#cluster.members.map((member) => countOf(member, users, streams)));
    const { publishes, answers } = this.publishers;
    const marks = this.subscribers.flatMap((subscriber) => subscriber.marks);
    return {
      publishes,
      answers,
      marks,
      totals,
      counts,
      views: [...lists, ...this.subscribers.map(({ view }) => view)],
    };
  }

  async #mark(): Promise<void> {
    for (let turn = 0; !this.#stopped; turn++) {
      // The number of pages of a user and this step have no common factor with most sizes: all of them get their turn.
      const marking = this.subscribers[(turn * 7) % this.subscribers.length]?.markRecent();
      await Promise.all([marking, sleep(markEveryMs)]);
    }
  }
}

/** What a node counts, once it is right or its time is over. */
async function countOf(member: Member, users: number, connections: number): Promise<Count> {
  let told: OnlineTold = { users: 0, connections: 0 };
  const isRight = (now: OnlineTold) => {
    told = now;
    return now.users === users && now.connections === connections;
  };
  await watchOnline([member], isRight, countsWithinMs);
  return { node: member.name, told: textOf(told), actual: textOf({ users, connections }) };
}

function textOf({ users, connections }: OnlineTold): string {
  return `${users} users, ${connections} streams`;
}
