/** One run of a server under load, which is killed or drained many times and restarted on the same data and port. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Figures, findingsOf, trafficOf } from "./figures.ts";
import { check, type Finding, type History } from "./history.ts";
import { Publishers } from "./publishers.ts";
import { SeededRandom } from "./random.ts";
import { ServerProcess, tokenFor } from "./server-process.ts";
import { listAll, openSubscribers, type Subscriber, totalsOf } from "./subscribers.ts";

/** The faults of a run. */
export interface Plan {
  /** `kill`: SIGKILL, followed by another one during the start in one of ten cases. `drain`: SIGTERM. */
  readonly how: "kill" | "drain";
  readonly times: number;
  /** Callers that publish concurrently. Default 6. */
  readonly publishers?: number;
  /** Called after each restart. */
  readonly progress?: (done: number) => void;
}

/** The result of a run. */
export interface Report {
  readonly findings: readonly Finding[];
  /** Events that no client should see; see Subscriber. */
  readonly clientErrors: readonly string[];
  /** The exit codes of drained servers. */
  readonly exitCodes: readonly (number | null)[];
  /** The logs of all servers, at level warn and above. */
  readonly log: string;
  /** The numbers of faults and calls, by name. */
  readonly figures: Figures;
}

const tenant = "acme";
const users = ["ann", "bob", "cem"];
/** The server is killed or drained after a random number of answers up to this. */
const maxAnswers = 300;
/** Probability that a server is also killed while it starts. */
const startKillShare = 0.1;
/** Short enough that the clients of a drained server reconnect before the next drain. */
const drainFlags = { drain: "300ms" };

/** Carries out a plan, and checks what the clients saw. */
export async function run(plan: Plan): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-faults-"));
  const flags = { data: folder, ...drainFlags };
  let server = new ServerProcess(flags);
  let subscribers: Subscriber[] = [];
  const random = new SeededRandom();
  const exitCodes: (number | null)[] = [];
  let log = "";
  let startKills = 0;
  try {
    const url = await server.ready;
    const { port } = new URL(url);
    subscribers = await openSubscribers(url, tenant, users);
    const token = await tokenFor({ sub: "load", role: "service" });
    const publishers = new Publishers({ urls: [url], token, tenant, users });
    publishers.start(plan.publishers ?? 6);
    for (let done = 1; done <= plan.times; done++) {
      await publishers.answered(publishers.answers.length + Math.ceil(random.fraction() * maxAnswers));
      const marking = subscribers[done % subscribers.length]?.markRecent();
      if (plan.how === "drain") exitCodes.push(await server.stop());
      else await server.kill();
      await marking;
      log += server.log;
      server = new ServerProcess({ ...flags, port });
      if (plan.how === "kill" && random.fraction() < startKillShare) {
        await new Promise((resolve) => setTimeout(resolve, random.fraction() * 400));
        await server.kill();
        startKills++;
        server = new ServerProcess({ ...flags, port });
      }
      await server.ready;
      plan.progress?.(done);
    }
    await publishers.stop();
    const history = await settle(publishers, subscribers);
    const findings = check(history);
    const figures = {
      [plan.how === "kill" ? "kills under load" : "drains under load"]: plan.times,
      "kills while starting": startKills,
      ...trafficOf(publishers, subscribers, history),
      ...findingsOf(findings),
    };
    const clientErrors = subscribers.flatMap(({ errors }) => errors);
    return { findings, clientErrors, exitCodes, log: log + server.log, figures };
  } finally {
    for (const { client } of subscribers) client.close();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until everything has been delivered, and lists what the server has. */
async function settle(publishers: Publishers, subscribers: readonly Subscriber[]): Promise<History> {
  const last = await publishers.publishLast();
  await Promise.all(subscribers.map((subscriber) => subscriber.received(last)));
  const lists = await Promise.all(
    users.map((user) =>
      listAll(user, subscribers.find((subscriber) => subscriber.user === user)?.client as Subscriber["client"]),
    ),
  );
  const totals = await Promise.all(subscribers.map(totalsOf));
  const { publishes, answers } = publishers;
  const marks = subscribers.flatMap((subscriber) => subscriber.marks);
  const views = [...lists, ...subscribers.map(({ view }) => view)];
  return { publishes, answers, marks, totals, views, counts: [] };
}
