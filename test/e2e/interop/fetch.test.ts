import { expect, test } from "vitest";
import { newTenant, startServer } from "../../support/server.ts";
import { Caller } from "./caller.ts";
import { fetchDriver } from "./fetch.ts";
import { scenario } from "./scenario/index.ts";
import { factsOf } from "./scenario/people.ts";

scenario("fetch: POST", (url) => fetchDriver(url, false));
scenario("fetch: GET for methods without side effects", (url) => fetchDriver(url, true));

test("The server itself responds when a deadline passes, with the reason", async ({ onTestFinished }) => {
  const server = await startServer();
  onTestFinished(() => server.stop());
  const ann = new Caller(fetchDriver(server.url, false), await server.token({ tenant: newTenant() }), onTestFinished);
  const error = await ann.subscribe({}, 500).endAfterAll();
  expect(factsOf(error)).toMatchObject({ code: "deadline_exceeded", reason: "DEADLINE_EXCEEDED" });
});
