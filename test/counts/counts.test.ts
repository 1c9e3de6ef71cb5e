/**
 * What one operation of a warm server takes: memory, system calls, messages to the store's thread, promises, timers. These
 * are counts and not times, so a slow machine does not change them; a change that makes an operation do more fails here.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, toBinary } from "@bufbuild/protobuf";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Child } from "../../bench/process/child.ts";
import { Group } from "../../bench/sockets/group.ts";
import { handshakeOf } from "../../bench/sockets/protocols.ts";
import { Caller, rawRequest } from "../../bench/sockets/raw-caller.ts";
import { ScriptedSocket } from "../../bench/sockets/scripted-socket.ts";
import { publishBody, publishTo } from "../../bench/workload/message.ts";
import { benchSecret, serviceToken, userToken } from "../../bench/workload/tokens.ts";
import { ListUnreadRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import type { Counters } from "./server.ts";

/**
 * The most that each operation may take; an empty cell is not checked. The bounds are the counts of today with a margin:
 * less than one for messages, timers and buffers, one or two for promises and system calls, and 4 to 8 % for bytes. Node cuts
 * small buffers from slabs of 8 KiB, so `bufferBytes` of a stream has the margin of one slab for each batch. To see the
 * counts, run `TIDINGS_TEST_COUNTS=print npx vitest run test/counts`. Lower a bound when a change makes a count smaller,
 * so that the gain stays. Raise one only on purpose, in the commit that makes the operation do more, and say there what it
 * is for.
 */
const bounds: Readonly<Record<string, Partial<Counters>>> = {
  "a durable Publish": {
    heapBytes: 50_500,
    bufferBytes: 1_260,
    buffers: 0.5,
    threadMessages: 2.5,
    readsAndWrites: 15.7,
    promises: 38.9,
    timers: 2.5,
  },
  "a delivery by WebSocket": {
    heapBytes: 900,
    bufferBytes: 20,
    buffers: 0.1,
    threadMessages: 0.1,
    readsAndWrites: 1.1,
    promises: 0.1,
    timers: 0.1,
  },
  "a delivery by Connect": {
    heapBytes: 900,
    bufferBytes: 20,
    buffers: 0.1,
    threadMessages: 0.1,
    readsAndWrites: 1.1,
    promises: 0.1,
    timers: 0.1,
  },
  "a WebSocket stream, opened and closed": {
    heapBytes: 130_000,
    bufferBytes: 1_300,
    buffers: 9.5,
    threadMessages: 10.5,
    readsAndWrites: 31,
    promises: 113.5,
    timers: 9.5,
  },
  "a Connect stream, opened and closed": {
    heapBytes: 129_000,
    bufferBytes: 1_300,
    buffers: 7.6,
    threadMessages: 10.5,
    readsAndWrites: 28,
    promises: 115,
    timers: 8.6,
  },
  ListUnread: {
    heapBytes: 176_000,
    bufferBytes: 12_800,
    buffers: 2.5,
    threadMessages: 4.5,
    readsAndWrites: 11.5,
    promises: 120,
    timers: 3.6,
  },
  "an idle WebSocket stream": { heapBytes: 11_700 },
  "an idle Connect stream": { heapBytes: 17_000 },
};

const names: readonly (keyof Counters)[] = [
  "heapBytes",
  "bufferBytes",
  "buffers",
  "threadMessages",
  "readsAndWrites",
  "promises",
  "timers",
];

/** Without the optimizing compilers, the moment at which they start changes no count. Nothing is collected while counting. */
const flags = ["--no-opt", "--no-maglev", "--min-semi-space-size=64", "--max-semi-space-size=64"];
const warmUp = 60;
const batches = 3;
/** Operations in one batch. */
const times = 20;
/** Subscribers of the two tenants whose difference is the cost of a delivery. */
const few = 10;
const many = 110;

describe("A warm server takes", () => {
  let server: Child;
  let port = 0;
  let folder = "";
  let caller: Caller;
  let token = "";
  const sockets: ScriptedSocket[] = [];
  const measured = new Map<string, Counters>();

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "tidings-counts-"));
    server = new Child("../test/counts/server.ts", { flags });
    port = await server.call<number>("start", { secret: benchSecret, data: folder });
    caller = new Caller(port);
    token = await serviceToken();
    await measureAll();
    if (process.env.TIDINGS_TEST_COUNTS === "print") console.table(Object.fromEntries(measured));
  }, 600_000);

  afterAll(async () => {
    for (const socket of sockets) socket.close();
    caller.close();
    await server[Symbol.asyncDispose]();
    await rm(folder, { recursive: true, force: true });
  });

  async function measureAll(): Promise<void> {
    const publish = rawRequest("Publish", token, publishBody(publishTo({ user: "ada" })));
    measured.set("a durable Publish", await countsOf(async () => void (await caller.call(publish))));
    for (const [name, protocol] of [
      ["WebSocket", "tidings-ws"],
      ["Connect", "connect"],
    ] as const) {
      const toFew = await deliveries(protocol, few);
      const toMany = await deliveries(protocol, many);
      measured.set(
        `a delivery by ${name}`,
        map((key) => (toMany[key] - toFew[key]) / (many - few)),
      );
      let user = 0;
      const open = async () =>
        (await openStream(protocol, `${protocol}-${user++}`, "opened", new Group(false))).close();
      measured.set(`a ${name} stream, opened and closed`, await countsOf(open));
      measured.set(`an idle ${name} stream`, await held(protocol));
    }
    const body = toBinary(ListUnreadRequestSchema, create(ListUnreadRequestSchema, { pageSize: 10 }));
    const list = rawRequest("ListUnread", await userToken("ada"), body);
    measured.set("ListUnread", await countsOf(async () => void (await caller.call(list))));
  }

  /** Opens a stream, which has caught up. */
  async function openStream(protocol: "tidings-ws" | "connect", user: string, tenant: string, group: Group) {
    const subscriber = { token: await userToken(user, tenant), channel: "", subscribe: {} };
    const socket = new ScriptedSocket(port, handshakeOf(protocol, subscriber), group);
    await socket.ready;
    return socket;
  }

  /** What a Publish to a tenant with this number of streams takes. */
  async function deliveries(protocol: "tidings-ws" | "connect", count: number): Promise<Counters> {
    const tenant = `${protocol}-${count}`;
    const group = new Group(false);
    for (let user = 0; user < count; user++) {
      const socket = await openStream(protocol, `user-${user}`, tenant, group);
      group.connections.push(socket);
      sockets.push(socket);
    }
    const request = rawRequest("Publish", token, publishBody(publishTo({ tenant })));
    let sent = 0;
    const counts = await countsOf(async () => {
      sent++;
      await Promise.all([caller.call(request), group.until(sent * count)]);
    });
    expect(group.counts()).toEqual({ total: sent * count, min: sent, max: sent });
    return counts;
  }

  /** What one stream holds in memory after a collection. */
  async function held(protocol: "tidings-ws" | "connect"): Promise<Counters> {
    const more = async (label: string) => {
      for (let user = 0; user < times; user++) {
        sockets.push(await openStream(protocol, `${label}-${user}`, "held", new Group(false)));
      }
      await server.call("collect");
      return server.call<Counters>("counters");
    };
    const before = await more(`${protocol}-first`);
    const after = await more(`${protocol}-second`);
    const none = map(() => Number.NaN);
    return {
      ...none,
      heapBytes: (after.heapBytes - before.heapBytes) / times,
      bufferBytes: (after.bufferBytes - before.bufferBytes) / times,
    };
  }

  /** The median of what an operation takes in several batches, after a warm-up. */
  async function countsOf(operate: () => Promise<void>): Promise<Counters> {
    for (let count = 0; count < warmUp; count++) await operate();
    const counted = await batchesOf(operate);
    await server.call("watch", true);
    const watched = await batchesOf(operate);
    await server.call("watch", false);
    return { ...counted, promises: watched.promises, timers: watched.timers };
  }

  async function batchesOf(operate: () => Promise<void>): Promise<Counters> {
    const taken: Counters[] = [];
    for (let batch = 0; batch < batches; batch++) {
      await server.call("collect");
      const before = await server.call<Counters>("counters");
      for (let count = 0; count < times; count++) await operate();
      const after = await server.call<Counters>("counters");
      taken.push(map((key) => (after[key] - before[key]) / times));
    }
    return map((key) => taken.map((counts) => counts[key]).sort((a, b) => a - b)[batches >> 1] as number);
  }

  const cells = Object.entries(bounds).flatMap(([operation, most]) =>
    names.filter((name) => most[name] !== undefined).map((name) => ({ operation, name, most: most[name] as number })),
  );

  test.for(cells)("at most $most $name for $operation", ({ operation, name, most }, context) => {
    const count = measured.get(operation)?.[name];
    if (name === "readsAndWrites")
      context.skip(Number.isNaN(count), "the kernel counts them in /proc/self/io, which is not here");
    expect(count).toBeLessThanOrEqual(most);
  });

  test("nothing that the table of bounds does not name", () => {
    expect([...measured.keys()].sort()).toEqual(Object.keys(bounds).sort());
  });
});

function map(value: (name: keyof Counters) => number): Counters {
  return Object.fromEntries(names.map((name) => [name, value(name)])) as unknown as Counters;
}
