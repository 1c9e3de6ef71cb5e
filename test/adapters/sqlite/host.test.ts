import { pathToFileURL } from "node:url";
import { expect, test } from "vitest";
import { root, run } from "../../support/run.ts";

test("The store's thread starts in a host whose code came by the command line", async () => {
  const code = `
    import { SqliteStore } from ${JSON.stringify(pathToFileURL(`${root}/src/adapters/sqlite/store.ts`).href)};
    const store = new SqliteStore({ folder: ":memory:", keep: 10 });
    const { secret } = await store.open();
    console.log(secret.length);
    await store.close();`;
  expect(await run(process.execPath, "--input-type=module", "--eval", code)).toBe("32\n");
});
