import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OnlineCountsReader, OnlineCountsWriter } from "../../../src/adapters/threads/online-counts.ts";
import type { CountMemory } from "../../../src/adapters/threads/shared-counts.ts";

describe("Online counts in shared memory", () => {
  test("agree with a model after any changes, for users, tenants, rooms and all together", () => {
    const change = fc.record({
      tenant: fc.constantFrom("t", "u", ""),
      room: fc.constantFrom(undefined, undefined, "r", "s"),
      user: fc.constantFrom("ann", "bob", "1:t,", ""),
      isEnter: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 100, size: "max" }), (changes) => {
        const writer = new OnlineCountsWriter(() => {});
        const reader = new OnlineCountsReader(writer.memory);
        const model: { tenant: string; room: string | undefined; user: string }[] = [];
        for (const { tenant, room, user, isEnter } of changes) {
          const same = model.findIndex((each) => each.tenant === tenant && each.room === room && each.user === user);
          if (!isEnter && same < 0) continue;
          if (isEnter) model.push({ tenant, room, user });
          else model.splice(same, 1);
          writer.add({ tenant, room }, user, isEnter ? 1 : -1);
        }
        for (const tenant of ["t", "u", "", undefined]) {
          for (const room of tenant === undefined ? [undefined] : [undefined, "r", "s"]) {
            const members = model.filter(
              (each) => each.room === room && (tenant === undefined || each.tenant === tenant),
            );
            const users = new Set(members.map((each) => JSON.stringify([each.tenant, each.user]))).size;
            expect(reader.count({ tenant, room })).toEqual({ users, connections: members.length });
          }
        }
        for (const { tenant, room, user } of model) {
          const same = model.filter((each) => each.tenant === tenant && each.room === room && each.user === user);
          expect(reader.countUser({ tenant, room }, user)).toBe(same.length);
        }
      }),
    );
  });

  test("move to a larger table as they grow, and readers of the old one notice", () => {
    const memories: CountMemory[] = [];
    const writer = new OnlineCountsWriter((memory) => memories.push(memory));
    const first = new OnlineCountsReader(writer.memory);
    for (let index = 0; index < 10_000; index++) writer.add({ tenant: "t" }, `user-${index}`, 1);
    expect(memories.length).toBeGreaterThan(2);
    expect(first.count({ tenant: "t" })).toBeUndefined();
    expect(first.countUser({ tenant: "t" }, "user-1")).toBeUndefined();
    const reader = new OnlineCountsReader(writer.memory);
    expect(reader.count({ tenant: "t" })).toEqual({ users: 10_000, connections: 10_000 });
    for (let index = 0; index < 10_000; index++) expect(reader.countUser({ tenant: "t" }, `user-${index}`)).toBe(1);
    expect(reader.countUser({ tenant: "t" }, "user-10000")).toBe(0);
  });

  test("take no more memory for users who come and go", () => {
    let bytes = 0;
    const writer = new OnlineCountsWriter(({ buffer }) => {
      bytes = Math.max(bytes, buffer.byteLength);
    });
    for (let index = 0; index < 20_000; index++) {
      writer.add({ tenant: "t" }, `user-${index}`, 1);
      if (index >= 100) writer.add({ tenant: "t" }, `user-${index - 100}`, -1);
    }
    expect(writer.count({ tenant: "t" })).toEqual({ users: 100, connections: 100 });
    expect(bytes).toBe(writer.memory.buffer.byteLength);
    expect(bytes).toBeLessThan(20_000);
  });
});
