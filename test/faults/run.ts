/** One run: a server under load that is ended again and again, and started again on the same data and port. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Figures, findingsOf, trafficOf } from "./figures.ts";
import { check, type Finding, type History } from "./history.ts";
import { Publishers } from "./publishers.ts";
import { ServerProcess, tokenFor } from "./server-process.ts";
import { Dice } from "./size.ts";
import { listAll, openSubscribers, type Subscriber, totalsOf } from "./subscribers.ts";

/** What is done to the server. */
export interface Plan {
  /** `kill`: SIGKILL, one in ten of them while the server starts. `drain`: SIGTERM. */
  readonly how: "kill" | "drain";
  readonly times: number;
  /** Callers that publish at once. */
  readonly publishers?: number;
  /** Told after each restart. */
  readonly progress?: (done: number) => void;
}

/** What came of it. */
export interface Report {
  readonly findings: readonly Finding[];
  /** What pages met and never should. */
  readonly upsets: readonly string[];
  /** Exit codes of drained servers. */
  readonly exitCodes: readonly (number | null)[];
  /** What the servers logged, at warn and above. */
  readonly log: string;
  /** What was injected and counted, by name. */
  readonly figures: Figures;
}

const tenant = "acme";
const users = ["ann", "bob", "cem"];
/** The server is ended after a random number of answers up to this. */
const mostAnswers = 300;
const startKillShare = 0.1;
/** Clients of a drained server come back before the next drain. */
const clientsBack = { drain: "300ms" };

/** Carries out a plan, and checks what the clients saw. */
export async function run(plan: Plan): Promise<Report> {
  const folder = mkdtempSync(join(tmpdir(), "tidings-faults-"));
  const flags = { data: folder, ...clientsBack };
  let server = new ServerProcess(flags);
  let subscribers: Subscriber[] = [];
  const dice = new Dice();
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
      await publishers.answered(publishers.answers.length + Math.ceil(dice.fraction() * mostAnswers));
      const marking = subscribers[done % subscribers.length]?.markRecent();
      if (plan.how === "drain") exitCodes.push(await server.stop());
      else await server.kill();
      await marking;
      log += server.log;
      server = new ServerProcess({ ...flags, port });
      if (plan.how === "kill" && dice.fraction() < startKillShare) {
        await new Promise((resolve) => setTimeout(resolve, dice.fraction() * 400));
        await server.kill();
        startKills++;
        server = new ServerProcess({ ...flags, port });
      }
      await server.ready;
      plan.progress?.(done);
    }
    await publishers.stop();
    const history = await settle(publishers, subscribers);
    const report = { exitCodes, upsets: subscribers.flatMap(({ upsets }) => upsets), findings: check(history) };
    const figures = {
      [plan.how === "kill" ? "kills under load" : "drains under load"]: plan.times,
      "kills while starting": startKills,
      ...trafficOf(publishers, subscribers, history),
      ...findingsOf(report.findings),
    };
    return { ...report, log: log + server.log, figures };
  } finally {
    for (const { client } of subscribers) client.close();
    await server.kill();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Lets everything arrive, and asks the server for what it has. */
async function settle(publishers: Publishers, subscribers: readonly Subscriber[]): Promise<History> {
  const ends = await publishers.markEnd();
  await Promise.all(subscribers.map((subscriber) => subscriber.received(ends)));
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
