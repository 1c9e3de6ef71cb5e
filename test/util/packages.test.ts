import { describe, expect, test } from "vitest";
import { importWith } from "../../src/util/packages.ts";

/** As Node fails. */
function missing(name: string): Promise<never> {
  const message = `Cannot find package '${name}' imported from /srv/app/node_modules/tidings/lib/src/server.js`;
  return Promise.reject(Object.assign(new Error(message), { code: "ERR_MODULE_NOT_FOUND" }));
}

describe("An import that needs packages", () => {
  test("resolves to the module where they are installed", async () => {
    expect(await importWith("store", ["mongodb"], async () => ({ answer: 42 }))).toEqual({ answer: 42 });
  });

  test("names the option and the command that installs them where one is missing", async () => {
    await expect(importWith("store", ["mongodb"], () => missing("mongodb"))).rejects.toThrow(
      /^store: needs a package that is not installed; run npm install mongodb$/,
    );
    await expect(importWith("tracing", ["@a/one", "@a/two"], () => missing("@a/two"))).rejects.toThrow(
      /^tracing: needs packages that are not installed; run npm install @a\/one @a\/two$/,
    );
  });

  test("passes every other error on: a package that one of them lacks, and a failure of the module itself", async () => {
    await expect(importWith("store", ["mongodb"], () => missing("bson"))).rejects.toThrow("Cannot find package 'bson'");
    const failure = new SyntaxError("bad");
    await expect(importWith("store", ["mongodb"], () => Promise.reject(failure))).rejects.toBe(failure);
  });
});
