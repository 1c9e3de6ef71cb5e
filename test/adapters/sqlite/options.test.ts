import type { Logger } from "pino";
import { expect, test } from "vitest";
import { sqliteStore } from "../../../src/adapters/sqlite/index.ts";

test("sqliteStore refuses options that are unknown or wrong, and names them", () => {
  const make = (options: object) => () => sqliteStore({ folder: ":memory:", ...options });
  expect(make({ checkbytes: 1 })).toThrow("sqliteStore has no option checkbytes");
  expect(make({ folder: "" })).toThrow("folder: name a folder");
  expect(make({ folder: undefined })).toThrow("folder: name a folder");
  for (const keep of [0, 1.5, Number.NaN, "10"]) expect(make({ keep })).toThrow("keep: must be a whole number");
  for (const checkBytes of [-1, 1.5, "1"]) expect(make({ checkBytes })).toThrow("checkBytes: must be a whole number");
});

test("sqliteStore takes a logger and the size up to which files are checked at the start", async () => {
  const logger: Pick<Logger, "info" | "warn"> = { info: () => {}, warn: () => {} };
  const store = sqliteStore({ folder: ":memory:", logger: logger as Logger, checkBytes: 0 });
  expect((await store.open()).secret).toHaveLength(32);
  await store.close();
});
