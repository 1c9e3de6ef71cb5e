import type { Drivers } from "../drivers/drivers.ts";
import { Figure, formatNumber } from "../measure/figure.ts";
import { reasonOf } from "../measure/invalid.ts";
import { includesRow, type Plan } from "../plan.ts";
import { dotChart } from "../report/charts/dots.ts";
import type { Section } from "../report/section.ts";
import type { Target } from "../report/target.ts";
import { type Contender, idleSocketIo, names, own, silentPeers } from "../servers/peers.ts";
import type { Sender } from "../servers/servers.ts";

/** The time that servers get to release closed connections, in ms. */
const settleMs = 300;

/** The first round; the code is compiled during the rounds before round 1. */
const firstRound = -2;

interface Row {
  readonly contender: Contender;
  /** Opening in a new process, whose code is not compiled yet: what a deployment sees. */
  readonly cold: Figure;
  /** Server CPU in µs: from opening the connection until its subscriber has caught up, and for closing it. */
  readonly opening: Figure;
  readonly closing: Figure;
}

/**
 * Measures what it costs the server to open a subscription, until the subscriber has caught up, and to close it. Each is of
 * a user that the server has not seen before.
 */
export async function connect(plan: Plan, { subscribers }: Drivers): Promise<Section> {
  await using scope = new AsyncDisposableStack();
  const contenders: readonly Contender[] = [...silentPeers(), own.ws, own.wsJson, own.connect].filter(({ name }) =>
    includesRow(plan, name),
  );
  const rows = contenders.map((contender): Row => {
    return { contender, cold: new Figure(), opening: new Figure(), closing: new Figure() };
  });
  const running: { row: Row; server: Sender }[] = [];
  for (const row of rows) running.push({ row, server: scope.use(await row.contender.start()) });
  const count = plan.subscribers;
  for (let round = firstRound; round <= plan.rounds; round++) {
    for (const { row, server } of running) {
      const { protocol } = row.contender;
      try {
        const before = await server.cpu();
        const group = await subscribers.open({ protocol, port: server.port, count, prefix: `round-${round}-` });
        const opened = await server.cpu();
        await group.close();
        await new Promise((resolve) => setTimeout(resolve, settleMs));
        const closed = await server.cpu();
        if (round === firstRound) row.cold.add((opened - before) / count);
        if (round < 1) continue;
        row.opening.add((opened - before) / count);
        row.closing.add((closed - opened) / count);
      } catch (error) {
        for (const figure of [row.cold, row.opening, row.closing]) figure.invalidate(reasonOf(error));
      }
    }
  }
  const table = [
    [`server CPU per subscription, µs; ${count} of them, 100 at a time`, "opening the first", "opening", "closing"],
    ...rows.map(({ contender, cold, opening, closing }) => [
      contender.name,
      cold.text(formatNumber),
      opening.text(formatNumber),
      closing.text(formatNumber),
    ]),
  ];
  const chart = dotChart({
    title: "Server CPU per subscription, µs (lower is better)",
    series: ["opening", "closing"],
    rows: rows.map(({ contender, opening, closing }) => ({
      name: contender.name,
      own: contender.name.startsWith("Tidings"),
      dots: [opening, closing],
    })),
  });
  return { tables: [table], targets: targets(rows), charts: { connect: chart } };
}

function targets(rows: readonly Row[]): Target[] {
  const cost = (name: string) => rows.find(({ contender }) => contender.name === name)?.opening.median ?? Number.NaN;
  const measured = cost(names.ws) / cost(idleSocketIo);
  return [{ name: "CPU of opening a ws stream / Socket.IO", bound: "at most", limit: 0.6, measured, unit: " ×" }];
}
