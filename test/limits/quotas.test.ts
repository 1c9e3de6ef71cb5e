import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { ErrorInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import type { PublishRequest, PublishResponse } from "../../gen/tidings/v1/push_service_pb.ts";
import { MemoryBus } from "../../src/adapters/memory/bus.ts";
import { MemoryPresence } from "../../src/adapters/memory/presence.ts";
import { startCore } from "../../src/core/core.ts";
import { reasonOf, retryAfterOf } from "../../src/errors.ts";
import { type QuotaOptions, resolveQuotas } from "../../src/limit-options.ts";
import { Quotas } from "../../src/limits/quotas.ts";
import { resolveOptions } from "../../src/options.ts";
import type { Store } from "../../src/ports/store.ts";
import { FakeClock } from "../support/clock.ts";
import {
  publishRequest,
  reasonFrom,
  serviceOf,
  type TestCore,
  toEveryone,
  toRoom,
  toUser,
  toUsers,
  withTestCore,
} from "../support/core.ts";

/** Publishes as a service of a tenant: "ok" or the reason of the error for each request. */
async function publish(node: TestCore, tenant: string, ...requests: PublishRequest[]) {
  const outcomes = await node.core.publisher.publish(serviceOf(tenant), requests);
  return outcomes.map((outcome) => (outcome instanceof ConnectError ? reasonOf(outcome) : "ok"));
}

/** Runs `use` with a node whose store has begun to count. */
async function withQuotas(quotas: QuotaOptions, use: (node: TestCore) => Promise<void>): Promise<void> {
  await withTestCore(
    async (node) => {
      await node.store.usage("t");
      await use(node);
    },
    { quotas },
  );
}

/** Waits until the store has counted something, and lets enough time pass for the node to ask again. */
async function counted(node: TestCore, test: (usage: { bytes: number; feeds: number }) => boolean): Promise<void> {
  await expect.poll(async () => test(await node.store.usage("t")), { timeout: 10_000 }).toBe(true);
  await node.pass(1_500);
}

const text = (bytes: number) => ({ content: "x".repeat(bytes) });

test("A message beyond the bytes of its tenant is refused with the quota, and other tenants are not", async () => {
  await withQuotas({ storedBytesPerTenant: 5_000 }, async (node) => {
    const [big, small] = [publishRequest(toUser("ann"), text(2_000)), publishRequest(toUser("ann"), text(10))];
    expect(await publish(node, "t", big, big, big, small)).toEqual(["ok", "ok", "QUOTA_EXCEEDED", "ok"]);
    await counted(node, ({ bytes }) => bytes > 4_000);
    const [error] = (await node.core.publisher.publish(serviceOf("t"), [big])) as [ConnectError];
    expect(reasonOf(error)).toBe("QUOTA_EXCEEDED");
    expect(retryAfterOf(error)).toBe(60_000);
    const { metadata } = error.findDetails(ErrorInfoSchema)[0] ?? {};
    expect(metadata).toMatchObject({ option: "quotas.storedBytesPerTenant", limit: "5000" });
    expect(Number(metadata?.used)).toBeGreaterThan(4_000);
    expect(await publish(node, "other", big)).toEqual(["ok"]);
  });
});

test("A message to everyone is no tenant's, and has no quota", async () => {
  await withQuotas({ storedBytesPerTenant: 1_000, feedsPerTenant: 1 }, async (node) => {
    const requests = Array.from({ length: 3 }, () => publishRequest(toEveryone, text(900)));
    const outcomes = await node.core.publisher.publish(serviceOf(), requests);
    expect(outcomes.filter((outcome) => outcome instanceof Error)).toEqual([]);
    expect(await publish(node, "t", publishRequest(toUser("ann"), text(900)))).toEqual(["ok"]);
  });
});

test("A tenant over its bytes may publish again after a recall, and live events at any time", async () => {
  await withQuotas({ storedBytesPerTenant: 1_000 }, async (node) => {
    const first = (await node.publish("t", toUser("ann"), text(900))) as PublishResponse;
    const more = publishRequest(toUser("ann"), text(500));
    const live = publishRequest(toUser("ann"), { ...text(500), kind: Kind.EVENT });
    const kept = publishRequest(toUser("ann"), { ...text(500), kind: Kind.EVENT, ttl: durationFromMs(60_000) });
    expect(await publish(node, "t", more, live, kept)).toEqual(["QUOTA_EXCEEDED", "ok", "QUOTA_EXCEEDED"]);
    await node.core.recaller.recall("t", [first.messageId]);
    await counted(node, ({ bytes }) => bytes === 0);
    expect(await publish(node, "t", more)).toEqual(["ok"]);
  });
});

test("A message that needs a new feed beyond those of its tenant is refused, and feeds that exist take others", async () => {
  await withQuotas({ feedsPerTenant: 3 }, async (node) => {
    expect(await publish(node, "t", publishRequest(toUsers("a", "b")))).toEqual(["ok"]);
    await counted(node, ({ feeds }) => feeds === 2);
    const [inRoom, both] = [
      publishRequest(toRoom("r"), { kind: Kind.EVENT, ttl: durationFromMs(60_000) }),
      publishRequest(toUsers("a", "b")),
    ];
    expect(await publish(node, "t", both, inRoom)).toEqual(["ok", "ok"]);
    await counted(node, ({ feeds }) => feeds === 3);
    const refused = publishRequest(toUsers("a", "new"));
    expect(await publish(node, "t", both, refused, inRoom, both)).toEqual(["ok", "QUOTA_EXCEEDED", "ok", "ok"]);
    for (let index = 0; index < 5; index++) expect(await publish(node, "t", both)).toEqual(["ok"]);
    expect(await reasonFrom(node.publish("t", toUser("new")))).toBe("QUOTA_EXCEEDED");
    expect(await publish(node, "other", publishRequest(toUser("new")))).toEqual(["ok"]);
  });
});

test("Without quotas, and with quotas between two questions, publishing asks the store nothing more", async () => {
  await withTestCore(async (node) => {
    await node.publish("t", toUser("ann"));
    expect(node.called("usage")).toBe(0);
  });
  await withQuotas({ storedBytesPerTenant: 1_000_000, feedsPerTenant: 1_000 }, async (node) => {
    for (let index = 0; index < 50; index++) await node.publish("t", toUser("ann"));
    expect(node.called("usage")).toBe(1);
    expect(node.called("bounds")).toBe(0);
    await node.pass(6_000);
    await node.publish("t", toUser("ann"));
    await node.settle();
    expect(node.called("usage")).toBe(2);
  });
});

test("Quotas are refused at the start for a store that does not count", async () => {
  await withTestCore(async ({ store, core }) => {
    const quotas = resolveQuotas({ feedsPerTenant: 1 });
    const others = { open: store.open } as unknown as Store;
    const create = () =>
      new Quotas(others, quotas, { clock: core.context.settings.clock, counters: core.context.counters });
    expect(create).toThrow("quotas: this store does not count what tenants have");
  });
});

test("Usage is asked for again after five seconds, even where the clock was set back meanwhile", async () => {
  await withTestCore(async ({ core }) => {
    const clock = new FakeClock();
    let asked = 0;
    const usage = async () => {
      asked++;
      return { bytes: 0, feeds: 0 };
    };
    const store = { usage } as Partial<Store> as Store;
    const quotas = new Quotas(store, resolveQuotas({ storedBytesPerTenant: 100 }), {
      clock,
      counters: core.context.counters,
    });
    await quotas.admit({ tenant: "t", bytes: 1, feeds: [] });
    await clock.advance(6_000);
    clock.jump(-6_000);
    await quotas.admit({ tenant: "t", bytes: 1, feeds: [] });
    expect(asked).toBe(2);
  });
});

test("A start that quotas refuse leaves no timer behind", async () => {
  const clock = new FakeClock();
  const store = { open: async () => ({ secret: Buffer.alloc(32) }), now: async () => clock.now() };
  const settings = resolveOptions({
    data: ":memory:",
    auth: { secret: "0123456789abcdef0123456789abcdef" },
    quotas: { feedsPerTenant: 1 },
    clock,
  });
  const ports = { store: store as Partial<Store> as Store, bus: new MemoryBus(), presence: new MemoryPresence() };
  await expect(startCore(ports, () => {}, settings)).rejects.toThrow("does not count");
  expect(clock.pending).toBe(0);
});
