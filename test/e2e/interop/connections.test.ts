import { once } from "node:events";
import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";
import { expect, test } from "vitest";
import { startServer } from "../../support/server.ts";

test("Connections that browsers open in advance do not delay the stop of a server", async () => {
  const server = await startServer();
  const unused = connect(server.port, "127.0.0.1");
  const closed = once(unused, "close");
  await once(unused, "connect");
  // Connections are accepted in order, so after this response the server knows the unused one.
  expect((await fetch(`${server.url}/livez`)).status).toBe(200);
  const graceEnds = new AbortController();
  const outcome = await Promise.race([
    server.stop().then(() => "stopped"),
    setTimeout(4000, "waited", { signal: graceEnds.signal }),
  ]);
  graceEnds.abort();
  expect(outcome).toBe("stopped");
  await closed;
});
