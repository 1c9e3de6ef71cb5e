/** Clients of the Durable Streams protocol that were not made for Tidings, and curl. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { stream } from "@durable-streams/client";
import { describe, expect, test } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { blocksOf, commandsOf } from "../docs/blocks.ts";
import { FaultProxy } from "../support/fault-proxy.ts";
import { testWith } from "../support/require.ts";
import { newTenant, startServer } from "../support/server.ts";
import { findTool, pathOf } from "../support/tools.ts";

interface Item {
  readonly title: string;
  readonly position: { readonly seq: string };
}

const count = 200;
const titles = Array.from({ length: count }, (_, index) => `${index}`);

describe("@durable-streams/client", () => {
  test.for(["long-poll", "sse"] as const)(
    "reads 200 of 200 messages, once and in order, by %s over 20 resets",
    async (live, { onTestFinished }) => {
      const server = await startServer();
      onTestFinished(() => server.stop());
      const proxy = await FaultProxy.to(server.port);
      onTestFinished(() => proxy.close());
      const tenant = newTenant();
      const headers = { authorization: async () => `Bearer ${await server.token({ tenant })}` };
      const publisher = server.client({ tenant, role: "service" });
      const read: string[] = [];
      let last = 0;
      let offset = "-1";
      let resets = 0;

      /** Reads until the connection breaks. The library keeps an offset, and goes on by itself where it can. */
      const session = async (): Promise<void> => {
        const response = await stream<Item>({
          url: `http://127.0.0.1:${proxy.port}/stream/user`,
          headers,
          offset,
          live,
          sseResilience: { logWarnings: false },
        });
        const isDone = new Promise<void>((resolve) => {
          response.subscribeJson((batch) => {
            // Where a connection breaks between messages and their offset, the library reads them again.
            const fresh = batch.items.filter(({ position }) => Number(position.seq) > last);
            for (const { title, position } of fresh) {
              read.push(title);
              last = Number(position.seq);
              if (read.length % 10 === 0 && resets < 20) {
                resets++;
                setImmediate(() => proxy.reset());
              }
            }
            offset = batch.offset;
            if (read.length >= count) resolve();
          });
        });
        await Promise.race([isDone, response.closed]);
        response.cancel();
      };

      const publishing = (async () => {
        for (const title of titles) {
          const audience = { to: { case: "userId", value: "ann" } as const };
          await publisher.publish({ audience, message: { kind: Kind.NOTIFICATION, title } });
        }
      })();
      while (read.length < count) await session().catch(() => {});
      await publishing;
      expect(read).toEqual(titles);
      expect(resets).toBe(20);
    },
  );

  test("passes on the status of a gap, and goes on where the server says", async ({ onTestFinished }) => {
    const server = await startServer({ retention: { count: 2 } });
    onTestFinished(() => server.stop());
    const tenant = newTenant();
    const publisher = server.client({ tenant, role: "service" });
    const publish = (title: string) =>
      publisher.publish({
        audience: { to: { case: "userId", value: "ann" } },
        message: { kind: Kind.NOTIFICATION, title },
      });
    const read = async (offset: string) => {
      const seen: (number | string)[] = [];
      const response = await stream<Item>({
        url: `${server.url}/stream/user`,
        headers: { authorization: `Bearer ${await server.token({ tenant })}` },
        offset,
        live: false,
        onError(error) {
          const { status, headers } = error as Error & { status: number; headers: Record<string, string> };
          seen.push(status);
          return { params: { offset: headers["stream-next-offset"] ?? "" } };
        },
      });
      const items = await response.json();
      return { seen: [...seen, ...items.map(({ title }) => title)], offset: response.offset };
    };
    await publish("one");
    const { offset } = await read("-1");
    for (const title of ["two", "three", "four"]) await publish(title);
    expect((await read(offset)).seen).toEqual([410, "three", "four"]);
  });
});

test("The library of docs/streams.md reads a feed as shown there", async ({ onTestFinished }) => {
  const server = await startServer();
  onTestFinished(() => server.stop());
  const tenant = newTenant();
  const publisher = server.client({ tenant, role: "service" });
  const audience = { to: { case: "userId", value: "ann" } as const };
  const { code = "" } = blocksOf("docs/streams.md").find(({ place }) => place.endsWith(" library")) ?? {};
  const body = code.replace(/^import .*$/m, "").replace("http://127.0.0.1:7300", server.url);
  const shown: string[] = [];
  const saved: string[] = [];
  type Run = (...names: unknown[]) => Promise<{ cancel(): void }>;
  const AsyncFunction = (async () => {}).constructor as new (...parts: string[]) => Run;
  const run = new AsyncFunction("stream", "fetchToken", "offset", "show", "save", `${body}; return feed;`);
  const show = ({ title }: Item) => shown.push(title);
  const feed = await run(
    stream,
    () => server.token({ tenant }),
    "-1",
    show,
    (offset: string) => saved.push(offset),
  );
  onTestFinished(() => feed.cancel());
  await publisher.publish({ audience, message: { kind: Kind.NOTIFICATION, title: "one" } });
  await expect.poll(() => shown).toEqual(["one"]);
  expect(saved.at(-1)).toMatch(/^\d{10}_0{15}1$/);
});

const curl = findTool("curl", "apt-get install curl");
const bash = findTool("bash", "apt-get install bash");

testWith(curl, bash)("The commands of docs/streams.md read a feed with curl", async ({ onTestFinished }) => {
  const server = await startServer({ heartbeatMs: 300 });
  onTestFinished(() => server.stop());
  const tenant = newTenant();
  const TOKEN = await server.token({ tenant });
  const publisher = server.client({ tenant, role: "service" });
  const audience = { to: { case: "userId", value: "ann" } as const };
  await publisher.publish({ audience, message: { kind: Kind.NOTIFICATION, title: "Hello" } });
  const run = async (command: string) => {
    const here = command.replace("http://127.0.0.1:7300", server.url).replace(/^curl/, "curl -si --max-time 1");
    // A stream of events ends by the time limit, with status 28.
    const options = { env: { ...process.env, TOKEN } };
    return promisify(execFile)(pathOf(bash), ["-c", `${here} || test $? = 28`], options);
  };
  const [page = "", poll = "", events = ""] = await Promise.all(
    commandsOf("docs/streams.md").map(async (command) => (await run(command)).stdout),
  );
  expect(page).toMatch(/^HTTP\/1\.1 200 OK.*\[\{.*"title":"Hello".*\}\]$/s);
  expect(poll).toMatch(/^HTTP\/1\.1 204 No Content.*Stream-Next-Offset: /s);
  expect(events).toMatch(/event: data\ndata:\[\{.*"title":"Hello".*\}\]\n\n.*event: control\ndata:\{/s);
});
