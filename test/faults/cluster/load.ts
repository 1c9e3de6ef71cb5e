/** The load on a cluster while faults are injected: clients that publish, follow and mark messages. */
import { setTimeout as sleep } from "node:timers/promises";
import { mapLimited } from "../../../src/util/limit.ts";
import { type Figures, findingsOf, trafficOf } from "../figures.ts";
import { type Count, check, type Finding, type History } from "../history.ts";
import { Publishers } from "../publishers.ts";
import { tokenFor } from "../server-process.ts";
import { listAll, openSubscribers, type Subscriber, totalsOf } from "../subscribers.ts";
import type { Cluster } from "./cluster.ts";
import type { ClusterNode } from "./cluster-node.ts";
import { type OnlineCount, waitForOnlineCount } from "./online-count.ts";

/** The size of a load. */
export interface LoadOptions {
  readonly users: number;
  /** Pages of each user, spread over all transports. */
  readonly pages: number;
  readonly perSecond: number;
  /** Callers that publish concurrently. Default 12. */
  readonly callers?: number;
  /** The share of messages that all pages receive. */
  readonly shareForAll?: number;
}

/** The result of a run. */
export interface Outcome {
  readonly history: History;
  readonly findings: readonly Finding[];
  /** Events that no client should see; see Subscriber. */
  readonly clientErrors: readonly string[];
  readonly figures: Figures;
}

const tenant = "acme";
const markEveryMs = 250;
/** A message that has not arrived after this time counts as missed. */
const deliveryTimeoutMs = 60_000;
/** Longer than the lease of a node that died, during which its connections still count as online. */
const countTimeoutMs = 40_000;
/** Calls at the end of a run that are in flight at the same time. */
const maxConcurrentCalls = 8;

/** A running load. */
export class Load {
  readonly publishers: Publishers;
  readonly subscribers: readonly Subscriber[];
  readonly #cluster: Cluster;
  readonly #users: readonly string[];
  readonly #startedAt = performance.now();
  readonly #marking: Promise<void>;
  #stopped = false;

  private constructor(cluster: Cluster, users: readonly string[], publishers: Publishers, subscribers: Subscriber[]) {
    this.#cluster = cluster;
    this.#users = users;
    this.publishers = publishers;
    this.subscribers = subscribers;
    this.#marking = this.#mark();
  }

  /** Opens all pages and starts to publish. */
  static async start(cluster: Cluster, options: LoadOptions): Promise<Load> {
    const users = Array.from({ length: options.users }, (_, index) => `user-${index}`);
    const subscribers = await openSubscribers(cluster.url, tenant, users, options.pages);
    const token = await tokenFor({ sub: "load", role: "service" });
    const urls = cluster.nodes.map(({ url }) => url);
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

  /** Stops publishing, waits until everything has been delivered, lists what the cluster has, and checks the history. */
  async settle(): Promise<Outcome> {
    this.#stopped = true;
    await Promise.all([this.publishers.stop(), this.#marking]);
    const seconds = (performance.now() - this.#startedAt) / 1000;
    const last = await this.publishers.publishLast();
    await Promise.all(this.subscribers.map((subscriber) => subscriber.received(last, deliveryTimeoutMs)));
    const history = await this.#history();
    const findings = check(history);
    const figures = {
      store: this.#cluster.store.name,
      nodes: this.#cluster.nodes.length,
      feeds: this.#users.length + 3,
      "publishes a second": Math.round(this.publishers.answers.length / seconds),
      ...trafficOf(this.publishers, this.subscribers, history),
      ...findingsOf(findings),
    };
    return { history, findings, clientErrors: this.subscribers.flatMap(({ errors }) => errors), figures };
  }

  /** Closes all pages. */
  close(): void {
    this.#stopped = true;
    for (const { client } of this.subscribers) client.close();
  }

  async #history(): Promise<History> {
    const clients = new Map(this.subscribers.map(({ user, client }) => [user, client]));
    const lists = await mapLimited(maxConcurrentCalls, [...clients], ([user, client]) => listAll(user, client));
    const totals = await mapLimited(maxConcurrentCalls, this.subscribers, totalsOf);
    const [users, streams] = [this.#users.length, this.subscribers.length];
    const counts = await Promise.all(this.#cluster.nodes.map((node) => countOf(node, users, streams)));
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
    for (let step = 0; !this.#stopped; step++) {
      // Steps of 7 reach all pages and mix users, unless 7 divides the number of pages.
      const marking = this.subscribers[(step * 7) % this.subscribers.length]?.markRecent();
      await Promise.all([marking, sleep(markEveryMs)]);
    }
  }
}

/** The online count that a node reports, when it is correct or the timeout is over. */
async function countOf(node: ClusterNode, users: number, connections: number): Promise<Count> {
  let reported: OnlineCount = { users: 0, connections: 0 };
  const isCorrect = (count: OnlineCount) => {
    reported = count;
    return count.users === users && count.connections === connections;
  };
  await waitForOnlineCount([node], isCorrect, countTimeoutMs);
  return { node: node.name, reported: textOf(reported), actual: textOf({ users, connections }) };
}

function textOf({ users, connections }: OnlineCount): string {
  return `${users} users, ${connections} streams`;
}
