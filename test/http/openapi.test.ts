import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, request } from "node:http";
import { connect, type IncomingHttpHeaders } from "node:http2";
import { type AddressInfo, connect as connectTcp } from "node:net";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTidings, type Tidings } from "../../src/server.ts";
import { root } from "../support/run.ts";
import { secret } from "../support/token.ts";

const text = readFileSync(join(root, "gen/openapi.json"), "utf8");

const least = { data: ":memory:", auth: { secret } };
let tidings: Tidings;
let url: string;
beforeAll(async () => {
  tidings = await createTidings({ ...least, allowedOrigins: ["https://docs.example"] });
  const base = await tidings.listen({ port: 0, pathPrefix: "/push" });
  url = `${base.url}/openapi.json`;
});
afterAll(() => tidings.close());

/** Sends a request as it is: fetch would decompress the answer and hide its headers. */
async function ask(target: string, options: { method?: string; headers?: Record<string, string> } = {}) {
  const sent = request(target, options).end();
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return { status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks) };
}

describe("/openapi.json", () => {
  test("is served without a token, below the path prefix too", async () => {
    for (const path of ["/openapi.json", "/push/openapi.json", "/openapi.json?v=1"]) {
      const { status, headers, body } = await ask(new URL(path, url).href);
      expect(status).toBe(200);
      expect(body.toString()).toBe(text);
      expect(headers).toMatchObject({ "content-type": "application/json", "content-length": String(body.length) });
    }
    for (const path of ["/openapi.jsonx", "/openapi.json/", "/x/openapi.json"])
      expect((await ask(new URL(path, url).href)).status).toBe(404);
  });

  test("names the server by a relative URL, which is right below a path", () => {
    const { servers } = JSON.parse(text) as { servers: { url: string }[] };
    expect(servers.map(({ url }) => new URL(url, "https://app.example/push/openapi.json").href)).toEqual([
      "https://app.example/push/",
    ]);
  });

  test("is compressed for clients that take gzip", async () => {
    const { headers, body } = await ask(url, { headers: { "accept-encoding": "br, gzip" } });
    expect(headers).toMatchObject({ "content-encoding": "gzip", vary: "Accept-Encoding" });
    expect(gunzipSync(body).toString()).toBe(text);
    for (const accepted of ["GZIP ; q=0.5", "gzip;q=1,br"]) {
      const packed = await ask(url, { headers: { "accept-encoding": accepted } });
      expect(packed.headers["content-encoding"], accepted).toBe("gzip");
    }
    for (const refusal of ["gzip;q=0", "gzip ; q=0.00", "br", "", "xgzip", "gzipx", "br;gzip"]) {
      const plain = await ask(url, { headers: { "accept-encoding": refusal } });
      expect(plain.headers["content-encoding"], refusal).toBeUndefined();
    }
  });

  test("answers 304 to a client that has it", async () => {
    const { etag = "" } = (await ask(url)).headers;
    for (const known of [etag, etag.replace("W/", ""), `"other", ${etag}`, "*"]) {
      const { status, body } = await ask(url, { headers: { "if-none-match": known } });
      expect([status, body.length], known).toEqual([304, 0]);
    }
    expect((await ask(url, { headers: { "if-none-match": '"other"' } })).status).toBe(200);
  });

  test("takes GET and HEAD only", async () => {
    const head = await ask(url, { method: "HEAD" });
    expect([head.status, head.body.length]).toEqual([200, 0]);
    expect(head.headers["content-length"]).toBe(String(Buffer.byteLength(text)));
    const post = await ask(url, { method: "POST" });
    expect([post.status, post.headers.allow]).toEqual([405, "GET, HEAD"]);
  });

  test("is readable by pages of allowed origins", async () => {
    const { headers } = await ask(url, { headers: { origin: "https://docs.example" } });
    expect(headers["access-control-allow-origin"]).toBe("https://docs.example");
    expect(headers.vary).toBe("Origin, Accept-Encoding");
    const other = await ask(url, { headers: { origin: "https://evil.example" } });
    expect(other.headers["access-control-allow-origin"]).toBeUndefined();
  });

  test("is cut where nobody reads it", async () => {
    const own = await createTidings({ ...least, timeouts: { stallMs: 100 }, metrics: true });
    const { port } = await own.listen({ port: 0 });
    // Requests one after another, whose answers fill every buffer on the way.
    const socket = connectTcp(port, "127.0.0.1").pause();
    socket.write("GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n".repeat(500));
    const cuts = async () =>
      /^tidings_connections_cut_total\{.*answer_stalled.*\} (\d+)$/m.exec((await own.metrics()).text)?.[1];
    await expect.poll(cuts, { timeout: 10_000 }).toMatch(/^[1-9]/);
    socket.destroy();
    await own.close();
  });

  test("is served over HTTP/2", async () => {
    const session = connect(url);
    const stream = session.request({ ":path": "/openapi.json" });
    const [headers] = (await once(stream, "response")) as [IncomingHttpHeaders];
    let body = "";
    for await (const chunk of stream.setEncoding("utf8")) body += chunk;
    session.close();
    expect(headers[":status"]).toBe(200);
    expect(body).toBe(text);
  });
});

describe("In a server of one's own, /openapi.json", () => {
  async function status(embedded: Tidings): Promise<number | undefined> {
    const own = createServer((incoming, response) => {
      if (!embedded.handleRequest(incoming, response)) response.writeHead(418).end();
    }).listen(0, "127.0.0.1");
    await once(own, "listening");
    const answer = await ask(`http://127.0.0.1:${(own.address() as AddressInfo).port}/openapi.json`);
    own.close();
    await embedded.close();
    return answer.status;
  }

  test("is served by handleRequest", async () => {
    expect(await status(await createTidings(least))).toBe(200);
  });

  test("is left to that server with the option openapi: false", async () => {
    expect(await status(await createTidings({ ...least, openapi: false }))).toBe(418);
  });
});
