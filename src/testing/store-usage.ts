import { expect, type TestContext, test } from "vitest";
import type { Append, Store, TenantUsage } from "../ports/store.ts";
import { bytes, message, messages, start } from "./messages.ts";
import type { StoreBench } from "./store-bench.ts";

type Usage = (tenant: string) => Promise<TenantUsage>;

/** Returns the store's method, and skips the test for a store without it. */
function usageOf(store: Store, context: TestContext): Usage {
  if (!store.usage) return context.skip("this store does not count what tenants have");
  return store.usage.bind(store);
}

/** Waits for what a tenant has: it may be some seconds behind. */
async function expectUsage(usage: Usage, tenant: string, expected: TenantUsage): Promise<void> {
  await expect.poll(() => usage(tenant), { timeout: 15_000, interval: 20 }).toEqual(expected);
}

function sized(tenant: string, size: number, overrides: Partial<Append> = {}): Append {
  return message(tenant, { body: bytes("x".repeat(size)), ...overrides });
}

/** What a tenant has is known, about. */
export function usageLaw(bench: StoreBench): void {
  test("is what its messages have in bytes, each once, and the number of its feeds", async (context) => {
    const { store, tenant } = bench;
    const usage = usageOf(store, context);
    const [one, other] = [tenant(), tenant()];
    expect(await usage(one)).toEqual({ bytes: 0, feeds: 0 });
    await store.append([
      sized(one, 100),
      sized(one, 50, { feeds: ["user/ann", "user/bob", "tenant"] }),
      sized(other, 7),
    ]);
    await expectUsage(usage, one, { bytes: 150, feeds: 3 });
    await expectUsage(usage, other, { bytes: 7, feeds: 1 });
    await store.append([sized(one, 1_000)]);
    await expectUsage(usage, one, { bytes: 1_150, feeds: 3 });
  });

  test("grows by no message that is not stored, or is a duplicate", async (context) => {
    const { store, tenant } = bench;
    const usage = usageOf(store, context);
    const own = tenant();
    const first = sized(own, 100, { key: "k", digest: "d" });
    await store.append([first]);
    await store.append([{ ...first, id: message(own).id }, sized(own, 30, { key: "k", digest: "other" })]);
    await store.append([sized(own, 5)]);
    await expectUsage(usage, own, { bytes: 105, feeds: 1 });
  });

  test("shrinks when messages are recalled, replaced, or removed by retention", async (context) => {
    await bench.alone(10_000, async ({ store }) => {
      const usage = usageOf(store, context);
      const recalled = sized("t", 100);
      const replaced = sized("t", 40, { key: "k", digest: "d" });
      await store.append([recalled, replaced, sized("t", 3, { expireTime: start + 1 }), sized("t", 20)]);
      await expectUsage(usage, "t", { bytes: 163, feeds: 1 });
      await store.recall("t", [recalled.id, recalled.id]);
      await expectUsage(usage, "t", { bytes: 63, feeds: 1 });
      await store.append([{ ...replaced, id: message("t").id, body: bytes("1234567"), digest: "e", replace: true }]);
      await expectUsage(usage, "t", { bytes: 30, feeds: 1 });
      while ((await store.trim(start - 1, start + 1)) > 0);
      await expectUsage(usage, "t", { bytes: 27, feeds: 1 });
    });
  });

  test("is found again after the store was opened again", async (context) => {
    await bench.alone(10_000, async (opened) => {
      if (!opened.reopen) return context.skip("the data of this store are gone with it");
      usageOf(opened.store, context);
      await opened.store.append(
        messages("t", 1_000, (index) => ({ body: bytes("x".repeat(index % 10)), feeds: [`user/${index % 300}`] })),
      );
      const { store, close } = await opened.reopen();
      try {
        const usage = usageOf(store, context);
        await store.append([sized("t", 500, { feeds: ["user/new"] })]);
        await expectUsage(usage, "t", { bytes: 5_000, feeds: 301 });
        await store.append([sized("t", 1)]);
        await expectUsage(usage, "t", { bytes: 5_001, feeds: 302 });
      } finally {
        await close();
      }
    });
  });
}
