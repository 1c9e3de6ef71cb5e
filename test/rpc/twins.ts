/** Two servers that differ in one thing only: whether plain calls take the short handlers. */
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { pino } from "pino";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import { MemoryRateLimiter } from "../../src/adapters/memory/rate-limiter.ts";
import { SqliteStore } from "../../src/adapters/sqlite/store.ts";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { createValidate } from "../../src/contract/validate.ts";
import { type Core, startCore } from "../../src/core/core.ts";
import { createAdapter, type ShortHandler } from "../../src/http/adapter.ts";
import { createCors } from "../../src/http/cors.ts";
import { InFlight } from "../../src/http/in-flight.ts";
import { createListener } from "../../src/http/listener.ts";
import { Counters } from "../../src/metrics/counters.ts";
import { resolveOptions } from "../../src/options.ts";
import type { Metrics } from "../../src/ports/metrics.ts";
import type { Tracer } from "../../src/ports/tracer.ts";
import { allowedRoles } from "../../src/rpc/gate.ts";
import { createHealth } from "../../src/rpc/health.ts";
import { createRoutes, largeAnswers } from "../../src/rpc/routes.ts";
import { SubscribeHandler } from "../../src/rpc/short-subscribe.ts";
import { createUnaryHandlers } from "../../src/rpc/unary.ts";
import { FakeClock, seededRandom, tick } from "../support/clock.ts";
import { tapStore } from "../support/store-tap.ts";
import { secret } from "../support/token.ts";

/** Tight enough to refuse some of the calls that the tests make. */
const limits = { callsPerUser: { perSecond: 5, burst: 40 }, publishesPerCredential: { perSecond: 20, burst: 200 } };

/** One of the two servers. */
export interface Twin {
  readonly port: number;
  readonly core: Core;
  /** Log lines, metrics and spans so far, without times. */
  readonly traces: readonly unknown[];
  /** The number of calls that took the short handler. */
  readonly taken: number;
  /** Makes each call of the store wait for what this returns, or fail with it. */
  hold: (() => Promise<void>) | undefined;
  /** Waits until the store has answered every call, and gets no more of them. */
  settle(): Promise<void>;
  /** Forgets the traces so far. */
  forget(): void;
  close(): Promise<void>;
}

/** Both servers. */
export interface Twins {
  readonly short: Twin;
  readonly stock: Twin;
  /** Lets time pass on both. */
  advance(milliseconds: number): Promise<void>;
  close(): Promise<void>;
}

/** Starts both, with the same clock, random numbers and limits. */
export async function startTwins(): Promise<Twins> {
  const start = Date.now();
  const clocks = [new FakeClock(start), new FakeClock(start)] as const;
  const folder = mkdtempSync(join(tmpdir(), "tidings-twins-"));
  // A store chooses its epoch and its secret when it is created.
  const [one, other] = [join(folder, "short"), join(folder, "stock")];
  const created = new SqliteStore({ folder: one, keep: 1_000 });
  await created.open();
  await created.close();
  cpSync(one, other, { recursive: true });
  const [short, stock] = await Promise.all([startTwin(true, one, clocks[0]), startTwin(false, other, clocks[1])]);
  return {
    short,
    stock,
    advance: async (milliseconds) => {
      for (const clock of clocks) await clock.advance(milliseconds);
    },
    async close() {
      await Promise.all([short.close(), stock.close()]);
      rmSync(folder, { recursive: true });
    },
  };
}

/** Reports whether both servers have left the same log lines, metrics and spans. */
export function haveSameTraces({ short, stock }: Twins): boolean {
  return short.traces.length === stock.traces.length && isDeepStrictEqual(short.traces, stock.traces);
}

function recorder(traces: unknown[]): { meter: Metrics; tracer: Tracer } {
  let isOpen = false;
  // The store records the durations and sizes of its commits, which depend on what happens to arrive together.
  const isOfCalls = (name: string) => !name.startsWith("tidings_store");
  const meter: Metrics = {
    counter: ({ name }) => ({ add: (values, by) => void (isOpen && traces.push([name, { ...values }, by])) }),
    histogram: ({ name }) => ({
      record: (values) => void (isOpen && isOfCalls(name) && traces.push([name, { ...values }])),
    }),
    read() {},
  };
  const tracer: Tracer = {
    start({ name, kind, parent, attributes }) {
      traces.push(["span", name, kind, parent, attributes]);
      return {
        context: `00-${"1".repeat(32)}-${"2".repeat(16)}-01`,
        end: (ending, error) => void traces.push(["span ended", name, ending, error]),
      };
    },
    close: async () => {},
  };
  setImmediate(() => {
    isOpen = true;
  });
  return { meter, tracer };
}

async function startTwin(isShort: boolean, folder: string, clock: FakeClock): Promise<Twin> {
  const traces: unknown[] = [];
  const { meter, tracer } = recorder(traces);
  const write = (line: string) => void traces.push(withoutTimes(JSON.parse(line) as Record<string, unknown>));
  const logger = pino({ level: "trace" }, { write });
  const random = seededRandom(7);
  const settings = resolveOptions({ data: folder, auth: { secret }, random, clock, logger, limits });
  const twin = { hold: undefined as Twin["hold"], taken: 0, inFlight: 0 };
  const store = tapStore(new SqliteStore({ folder, keep: settings.retention.count }), async (_, call) => {
    twin.inFlight++;
    try {
      await twin.hold?.();
      return await call();
    } finally {
      twin.inFlight--;
    }
  });
  const ports = {
    store,
    bus: new MemoryBus(),
    presence: new MemoryPresence(),
    limiter: new MemoryRateLimiter(clock),
  };
  const registry = loadDescriptors();
  const counters = new Counters(meter, Object.keys(allowedRoles));
  const core = await startCore(ports, createValidate(registry), settings, undefined, { meter, counters, tracer });
  const subscribe = new SubscribeHandler(core);
  const all: (readonly [string, ShortHandler])[] = [...createUnaryHandlers(core), [subscribe.path, subscribe]];
  const handlers = new Map(
    all.map(([path, handler]) => {
      const accepts: typeof handler.accepts = (request) => {
        const plain = handler.accepts(request);
        if (plain) twin.taken++;
        return plain;
      };
      return [path, { accepts, serve: handler.serve.bind(handler) }] as const;
    }),
  );
  const adapter = createAdapter({
    routes: createRoutes(core, createHealth([]), registry),
    ...(isShort ? { short: handlers } : {}),
    largeAnswers,
    inFlight: new InFlight(settings.inFlight, settings.timeouts.stallMs, (reason) => counters.cut(reason)),
    trustedProxies: settings.trustedProxies,
    fallback: (_request, response) => void response.writeHead(404).end(),
    logger,
  });
  const cors = createCors(settings);
  const listener = createListener({
    onRequest: (request, response) => void (cors(request, response) || adapter(request, response)),
    onUpgrade: () => false,
    timeouts: settings.timeouts,
  });
  const { port } = await listener.listen("127.0.0.1", 0);
  return {
    port,
    core,
    get taken() {
      return twin.taken;
    },
    traces,
    get hold() {
      return twin.hold;
    },
    set hold(until) {
      twin.hold = until;
    },
    async settle() {
      for (let quiet = 0; quiet < 3; quiet++) {
        await tick();
        if (twin.inFlight > 0) quiet = -1;
      }
    },
    forget() {
      traces.length = 0;
    },
    async close() {
      await listener.close(0);
      await core.close();
    },
  };
}

/** A log line without times, and without stacks, whose frames are those of the handler. */
function withoutTimes({ time: _time, milliseconds, err, ...line }: Record<string, unknown>): unknown {
  const error = err as Record<string, unknown> | undefined;
  const kept = error && { type: error.type, message: error.message, code: error.code };
  return { ...line, hasDuration: milliseconds !== undefined, ...(kept ? { err: kept } : {}) };
}
