import type { CallRun } from "../drivers/callers.ts";
import type { Drivers } from "../drivers/drivers.ts";
import { connectionsText, Figure, formatNumber } from "../measure/figure.ts";
import { includesRow, type Plan } from "../plan.ts";
import { dotChart } from "../report/charts/dots.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { centrifugo } from "../servers/peers.ts";
import { ReferenceServer, type Server, TidingsServer, type Unicaster } from "../servers/servers.ts";
import { postRequest, publishPath, rawRequest } from "../sockets/raw-caller.ts";
import { publishBody, publishJson, publishTo } from "../workload/message.ts";
import { serviceToken } from "../workload/tokens.ts";

/** The number of users that publishes go to, round-robin. None of them is online. */
const users = 1000;
/** Time between two lone publishes, in ms. */
const pauseMs = 5;
/** The connections of the closed loops. */
const loops = [1, 50] as const;

const rowNames = {
  json: "node:http with JSON, stores nothing",
  stock: "stock Connect handler, stores nothing",
  durable: "Tidings, on disk",
} as const;

interface Row {
  readonly name: string;
  start(): Promise<Unicaster>;
  /** Server CPU per call, in µs. */
  readonly lone: Figure;
  /** One element for each of `loops`. */
  readonly closed: readonly Figure[];
}

/** Measures what one publish costs the server: alone, on one connection, and on many. */
export async function publishCpu(plan: Plan, { callers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const rows = await rowsOf(plan);
  const running: { row: Row; server: Server; requests: readonly Buffer[] }[] = [];
  for (const row of rows) {
    const server = scope.use(await row.start());
    running.push({
      row,
      server,
      requests: Array.from({ length: users }, (_, index) => server.publishRequest(`user-${index}`)),
    });
  }
  const { measurementMs } = plan;
  for (let round = 0; round <= plan.rounds; round++) {
    for (const { row, server, requests } of running) {
      const load = { port: server.port, requests };
      const measure = async (figure: Figure | undefined, run: () => Promise<CallRun>): Promise<void> => {
        const before = await server.cpu();
        const { calls, invalid } = await run();
        const used = (await server.cpu()) - before;
        if (round === 0) return;
        if (invalid === undefined) figure?.add(used / calls);
        else figure?.reject(invalid);
      };
      for (const [index, connections] of loops.entries()) {
        // The busiest loop is longer in the warm-up, so that the code is compiled.
        const isWarmUp = round === 0 && index === loops.length - 1;
        const durationMs = isWarmUp ? 4 * measurementMs : measurementMs;
        await measure(row.closed[index], () => callers.closedLoop({ ...load, connections, durationMs }));
      }
      // More than one connection, for a call that takes longer than the pause.
      const lone = {
        ...load,
        connections: 4,
        durationMs: (round === 0 ? 1 : 2.5) * measurementMs,
        perSecond: 1000 / pauseMs,
      };
      await measure(row.lone, () => callers.openLoop(lone));
    }
  }
  const columns = [`one every ${pauseMs} ms`, ...loops.map((count) => `back to back on ${connectionsText(count)}`)];
  const table = [
    ["server CPU per publish, µs", ...columns],
    ...rows.map(({ name, lone, closed }) => [name, ...[lone, ...closed].map((figure) => figure.text(formatNumber))]),
  ];
  const chart = dotChart({
    title: "Server CPU per publish, µs (lower is better)",
    series: columns,
    rows: rows.map(({ name, lone, closed }) => ({ name, own: name.startsWith("Tidings"), dots: [lone, ...closed] })),
  });
  return { tables: [table], targets: targets(rows), charts: { "publish-cpu": chart } };
}

async function rowsOf(plan: Plan): Promise<Row[]> {
  const token = await serviceToken();
  const authorization = `authorization: Bearer ${token}\r\n`;
  const binary = (user: string) => rawRequest("Publish", token, publishBody(publishTo({ user })));
  const json = (user: string) =>
    postRequest(publishPath, "application/json", publishJson(publishTo({ user })), authorization);
  const row = (name: string, start: Row["start"]): Row => {
    return { name, start, lone: new Figure(), closed: loops.map(() => new Figure()) };
  };
  return [
    row(rowNames.json, async () => Object.assign(await ReferenceServer.start("json"), { publishRequest: json })),
    row(rowNames.stock, async () => {
      return Object.assign(await ReferenceServer.start("connect", "1.1"), { publishRequest: binary });
    }),
    ...centrifugo().map(({ name, start }) => row(name, start)),
    row("Tidings, in memory", () => TidingsServer.start({ data: ":memory:" })),
    row(rowNames.durable, () => TidingsServer.start()),
    row("Tidings, on disk, requests in JSON", async () => {
      return Object.assign(await TidingsServer.start(), { publishRequest: json });
    }),
  ].filter(({ name }) => includesRow(plan, name));
}

function targets(rows: readonly Row[]): Target[] {
  const find = (name: string) => rows.find((row) => row.name === name);
  const many = (name: string) => find(name)?.closed.at(-1)?.median ?? Number.NaN;
  const lone = (name: string) => find(name)?.lone.median ?? Number.NaN;
  const atMost = (name: string, limit: number, measured: number): Target => {
    return { name, bound: "at most", limit, measured, unit: " ×" };
  };
  return [
    atMost(
      "CPU of a Publish / stock Connect handler, 50 connections",
      0.8,
      many(rowNames.durable) / many(rowNames.stock),
    ),
    atMost("CPU of a lone Publish / node:http with JSON", 3, lone(rowNames.durable) / lone(rowNames.json)),
  ];
}
