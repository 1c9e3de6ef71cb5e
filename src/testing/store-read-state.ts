import { expect, test } from "vitest";
import type { StoreBench } from "./store-bench.ts";

/** A save is a compare-and-set on the version. */
export function readStateLaw(bench: StoreBench): void {
  test("has version 0 before the first save", async () => {
    expect(await bench.store.readState(bench.tenant(), "ann")).toEqual({ version: 0, json: "" });
  });

  test("is the one that was saved last", async () => {
    const tenant = bench.tenant();
    for (let version = 1; version <= 5; version++) {
      const state = { version, json: JSON.stringify({ version, text: "日本\n'\"" }) };
      expect(await bench.store.saveReadState(tenant, "ann", state)).toBe(true);
      expect(await bench.store.readState(tenant, "ann")).toEqual(state);
    }
  });

  test("is saved over its direct predecessor only, and a refused save changes nothing", async () => {
    const tenant = bench.tenant();
    const save = (version: number) => bench.store.saveReadState(tenant, "ann", { version, json: `"${version}"` });
    expect(await save(2)).toBe(false);
    expect(await save(0)).toBe(false);
    expect(await bench.store.readState(tenant, "ann")).toEqual({ version: 0, json: "" });
    expect(await save(1)).toBe(true);
    for (const version of [-1, 0, 1, 3, 99]) expect(await save(version)).toBe(false);
    expect(await bench.store.readState(tenant, "ann")).toEqual({ version: 1, json: '"1"' });
    expect(await save(2)).toBe(true);
  });

  test("is saved by exactly one of 20 concurrent callers", async () => {
    const tenant = bench.tenant();
    for (let version = 1; version <= 10; version++) {
      const saves = Array.from({ length: 20 }, (_, racer) =>
        bench.store.saveReadState(tenant, "ann", { version, json: String(racer) }),
      );
      const won = (await Promise.all(saves)).flatMap((success, racer) => (success ? [racer] : []));
      expect(won).toHaveLength(1);
      expect(await bench.store.readState(tenant, "ann")).toEqual({ version, json: String(won[0]) });
    }
  });

  test("can be a large document", async () => {
    const tenant = bench.tenant();
    const json = JSON.stringify(Array.from({ length: 20_000 }, (_, index) => index * 2));
    expect(await bench.store.saveReadState(tenant, "ann", { version: 1, json })).toBe(true);
    expect(await bench.store.readState(tenant, "ann")).toEqual({ version: 1, json });
  });
}
