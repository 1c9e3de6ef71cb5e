import { expect, test } from "vitest";
import { SqliteStore } from "../../../src/adapters/sqlite/store.ts";
import { bytes, message, messages } from "../../../src/testing/messages.ts";

async function openStore(keep: number): Promise<SqliteStore> {
  const store = new SqliteStore({ folder: ":memory:", keep });
  await store.open();
  return store;
}

test("What a tenant has is bounded by retention by count", async () => {
  const store = await openStore(10);
  try {
    await store.usage("t");
    for (let batch = 0; batch < 4; batch++) await store.append(messages("t", 500, () => ({ body: bytes("12345678") })));
    // Entries are deleted in steps, some time after they are hidden.
    const isSmall = async () => (await store.usage("t")).bytes <= 8 * 300;
    await expect.poll(isSmall, { timeout: 10_000 }).toBe(true);
  } finally {
    await store.close();
  }
});

test("What a tenant has is right while appends and recalls go on beside the count of what was there", async () => {
  const store = await openStore(100_000);
  try {
    const body = bytes("x".repeat(10));
    const there = messages("t", 20_000, () => ({ body }));
    for (let first = 0; first < there.length; first += 1_000) await store.append(there.slice(first, first + 1_000));
    const recalled = there.filter((_, index) => index % 100 === 0).map(({ id }) => id);
    await store.usage("t");
    for (let index = 0; index < 50; index++) {
      await store.append([message("t", { body, feeds: [`user/${index}`] })]);
      await store.recall("t", recalled.slice(index * 4, index * 4 + 4));
    }
    await expect
      .poll(() => store.usage("t"), { timeout: 10_000 })
      .toEqual({
        bytes: (20_000 + 50 - 200) * 10,
        feeds: 51,
      });
  } finally {
    await store.close();
  }
});
