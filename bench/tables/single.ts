import type { CallRun } from "../drivers/callers.ts";
import type { Drivers } from "../drivers/drivers.ts";
import type { SubscriberGroup } from "../drivers/subscribers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { LatencyFigures } from "../measure/latency-figures.ts";
import { includesRow, type Plan } from "../plan.ts";
import { dotChart } from "../report/charts/dots.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { centrifugo, names } from "../servers/peers.ts";
import { TidingsServer, type Unicaster } from "../servers/servers.ts";
import type { Protocol } from "../sockets/protocols.ts";

/** Connections that publish. */
const connections = 50;
/** Messages a second of the latency table. */
const rates = [100, 1000] as const;
/** The row that targets are about. */
const durable = "Tidings, WebSocket, on disk";

interface Row {
  readonly name: string;
  readonly protocol: Protocol;
  start(): Promise<Unicaster>;
  readonly cost: Figure;
  readonly rate: Figure;
  /** One element for each of `rates`. */
  readonly latencies: readonly LatencyFigures[];
}

interface RunningRow extends Row {
  readonly server: Unicaster;
  readonly group: SubscriberGroup;
  readonly requests: readonly Buffer[];
  /** Messages that each user has received, by number. */
  readonly expected: number[];
}

/** Measures messages to single users: each of them is published for one of the subscribers, and delivered to that one only. */
export async function single(plan: Plan, { subscribers, callers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const rows = rowsOf(plan);
  const running: RunningRow[] = [];
  for (const row of rows) {
    const server = scope.use(await row.start());
    const count = plan.subscribers;
    const { protocol } = row;
    const group = await subscribers.open({ protocol, port: server.port, count, ownChannels: true, stamped: true });
    const requests = Array.from({ length: count }, (_, index) => server.publishRequest(`user-${index}`));
    running.push({ ...row, server, group, requests, expected: requests.map(() => 0) });
  }
  for (let round = 0; round <= plan.rounds; round++) {
    for (const row of running) {
      const { server, group, requests, cost, rate } = row;
      const { port } = server;
      // The warm-up is longer, so that the code is compiled.
      const durationMs = round === 0 ? 4 * plan.measurementMs : 2 * plan.measurementMs;
      const before = await server.cpu();
      const run = await callers.closedLoop({ port, requests, connections, durationMs });
      const invalid = await lossOf(row, run);
      const used = (await server.cpu()) - before;
      if (round > 0 && invalid !== undefined) for (const figure of [cost, rate]) figure.reject(invalid);
      else if (round > 0) {
        cost.add(used / run.calls);
        rate.add(run.perSecond);
      }
      for (const [index, perSecond] of rates.entries()) {
        await group.times();
        const load = { port, requests, connections, durationMs: plan.latencyMs / (round === 0 ? 6 : 2), perSecond };
        const paced = await callers.openLoop(load);
        const loss = await lossOf(row, paced);
        row.latencies[index]?.add(round, loss, await group.times());
      }
    }
  }
  const chart = dotChart({
    title: `Server CPU per message to one user, µs, ${connections} connections publishing (lower is better)`,
    series: ["publish and delivery"],
    rows: rows.map(({ name, cost }) => ({ name, own: name.startsWith("Tidings"), dots: [cost] })),
  });
  return { tables: [table(plan, rows)], targets: targets(rows), charts: { single: chart } };
}

function rowsOf(plan: Plan): Row[] {
  const row = (name: string, protocol: Protocol, start: () => Promise<Unicaster>): Row => {
    const latencies = rates.map((rate) => new LatencyFigures(String(rate)));
    return { name, protocol, start, cost: new Figure(), rate: new Figure(), latencies };
  };
  return [
    ...centrifugo().map(({ name, protocol, start }) => row(name, protocol, start)),
    row(durable, "tidings-ws", () => TidingsServer.start()),
    row("Tidings, WebSocket, in memory", "tidings-ws", () => TidingsServer.start({ data: ":memory:" })),
  ].filter(({ name }) => includesRow(plan, name));
}

/** Waits for the messages of a run. Resolves with the reason why it does not count, if there is one. */
async function lossOf(
  { group, requests, expected }: RunningRow,
  { calls, invalid }: CallRun,
): Promise<string | undefined> {
  // Each run sends the requests round-robin, from the first one on.
  for (let call = 0; call < calls; call++) {
    const user = call % requests.length;
    expected[user] = (expected[user] as number) + 1;
  }
  const loss = await group.findLossOfEach(expected);
  return invalid ?? loss;
}

function table({ subscribers }: Plan, rows: readonly Row[]) {
  const count = subscribers.toLocaleString("en");
  return [
    [
      `one message to one of ${count} users`,
      `server CPU per message, µs, ${connections} connections publishing`,
      "messages a second",
      ...rates.flatMap((rate) => [`p50, ms, at ${rate.toLocaleString("en")} a second`, "p99, ms"]),
    ],
    ...rows.map(({ name, cost, rate, latencies }) => [
      name,
      cost.text(formatNumber),
      rate.text(formatNumber),
      ...latencies.flatMap(({ p50, p99 }) => [p50.text(formatNumber), p99.text(formatNumber)]),
    ]),
  ];
}

function targets(rows: readonly Row[]): Target[] {
  const find = (name: string) => rows.find((row) => row.name === name);
  const cost = (name: string) => find(name)?.cost.median ?? Number.NaN;
  return [
    {
      name: `one message to one user, ${connections} connections publishing / Centrifugo`,
      bound: "at most",
      limit: 1.5,
      measured: cost(durable) / cost(names.centrifugo),
      unit: " ×",
    },
    {
      name: "one message to one user, 1,000 a second, p99",
      bound: "at most",
      limit: 15,
      measured: find(durable)?.latencies[1]?.p99.median ?? Number.NaN,
      unit: " ms",
    },
  ];
}
