import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createListener, type Listener, type ListenerOptions } from "../../src/http/listener.ts";
import { ResetLimit } from "../../src/http/reset-limit.ts";
import { connectRaw, errorCodes, frame, frameTypes, headers, reset } from "./frames.ts";

let now = 0;
let limit: ResetLimit;

beforeEach(() => {
  now = 0;
  limit = new ResetLimit(10, () => now);
});

describe("A connection", () => {
  /** Opens streams and resets them after `age` ms; returns whether the last reset tore the connection down. */
  function resets(tally: ReturnType<ResetLimit["connection"]>, count: number, age: number): boolean {
    let torn = false;
    for (let index = 0; index < count; index++) {
      tally.opened();
      torn = tally.reset(now - age, now);
    }
    return torn;
  }

  test("is torn down by the first rapid reset beyond its burst", () => {
    const tally = limit.connection();
    expect(resets(tally, 10, 0)).toBe(false);
    expect(resets(tally, 1, 0)).toBe(true);
  });

  test("gains a tenth of its burst each second", () => {
    const tally = limit.connection();
    expect(resets(tally, 10, 0)).toBe(false);
    now = 5_000;
    expect(resets(tally, 5, 0)).toBe(false);
    expect(resets(tally, 1, 0)).toBe(true);
  });

  test("may reset any number of streams that have been open for a second", () => {
    expect(resets(limit.connection(), 1_000, 1_000)).toBe(false);
  });

  test("stays while at least half of its streams are in order, as on a proxy with one abuser", () => {
    const tally = limit.connection();
    for (let index = 0; index < 20; index++) tally.opened();
    expect(resets(tally, 20, 0)).toBe(false);
    expect(resets(tally, 1, 0)).toBe(true);
  });
});

describe("An address", () => {
  const admitted = (address: string, tries = 10) =>
    Array.from({ length: tries }, () => limit.admits(address)).filter(Boolean).length;

  test("has as many connections as it likes before it has done anything wrong", () => {
    expect(admitted("192.0.2.1")).toBe(10);
  });

  test("gets two connections a second after one of its connections was torn down, and others are unaffected", () => {
    limit.strike("192.0.2.1");
    expect(admitted("192.0.2.1")).toBe(2);
    now = 1_000;
    limit.strike("192.0.2.1");
    expect(admitted("192.0.2.1")).toBe(2);
    expect(admitted("192.0.2.2")).toBe(10);
  });

  test("is free again after 10 s without another incident", () => {
    limit.strike("192.0.2.1");
    now = 9_000;
    limit.strike("192.0.2.1");
    now = 18_999;
    expect(admitted("192.0.2.1")).toBe(2);
    now = 19_000;
    expect(admitted("192.0.2.1")).toBe(10);
  });

  test.each([
    ["2001:db8:1:2::5", "2001:db8:1:2:ffff::9", "2001:db8:1:3::5"],
    ["2001:db8::5", "2001:db8:0:0:1:2:3:4", "2001:db8:0:1::5"],
    ["::ffff:192.0.2.1", "::ffff:192.0.2.1", "::ffff:192.0.2.2"],
  ])("of IPv6 counts with its /64: %s with %s, without %s", (struck, neighbour, stranger) => {
    limit.strike(struck);
    expect(admitted(neighbour)).toBe(2);
    expect(admitted(stranger)).toBe(10);
  });
});

describe.each(["cleartext", "TLS"] as const)("Over %s", (transport) => {
  const timeouts = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };
  const tls = {
    cert: readFileSync(join(import.meta.dirname, "localhost.crt")),
    key: readFileSync(join(import.meta.dirname, "localhost.key")),
  };
  const open: Listener[] = [];

  afterEach(async () => {
    await Promise.all(open.splice(0).map((listener) => listener.close(0)));
  });

  async function listen(onRequest: ListenerOptions["onRequest"]) {
    const cuts: string[] = [];
    const onCut = (reason: string) => void cuts.push(reason);
    const secure = transport === "TLS" ? { tls } : {};
    const listener = createListener({ onRequest, onUpgrade: () => false, timeouts, rapidResets: 20, onCut, ...secure });
    open.push(listener);
    return { cuts, ...(await listener.listen("127.0.0.1", 0)) };
  }

  const client = (url: string) => connectHttp2(url, { rejectUnauthorized: false }).on("error", () => {});

  test("a client that resets streams at once is cut, and its address gets few HTTP/2 connections", async () => {
    const { url, cuts } = await listen((_request, response) => void response.write("x"));
    const attack = async () => {
      const session = client(url);
      let goAway: number | undefined;
      session.on("goaway", (code) => (goAway = code));
      session.once("connect", () => {
        for (let index = 0; index < 30; index++) {
          const stream = session.request({ ":path": "/", ":method": "POST" });
          stream.on("error", () => {}).once("response", () => stream.close(errorCodes.cancel));
        }
      });
      await new Promise<void>((resolve) => session.once("close", resolve));
      return goAway;
    };
    expect(await attack()).toBe(errorCodes.enhanceYourCalm);
    // All at once, so that the address gains no connections meanwhile.
    await Promise.all(Array.from({ length: 8 }, attack));
    expect(cuts).toContain("rapid_resets");
    expect(cuts).toContain("watched_address");
  });

  test("a client whose calls complete, or last for a second, is never cut", async () => {
    const { url, cuts } = await listen((request, response) => {
      if (request.url === "/slow") response.write("x");
      else response.end("done");
    });
    const session = client(url);
    const streams = Array.from({ length: 100 }, () => session.request({ ":path": "/" }).resume());
    await Promise.all(streams.map((stream) => once(stream, "close")));
    const long = Array.from({ length: 100 }, () => session.request({ ":path": "/slow" }).resume());
    const opened = performance.now();
    await Promise.all(long.map((stream) => once(stream, "data")));
    await expect.poll(() => performance.now() - opened, { timeout: 3_000 }).toBeGreaterThan(1_100);
    for (const stream of long) stream.on("error", () => {}).close(errorCodes.cancel);
    await Promise.all(long.map((stream) => once(stream, "close")));
    const last = session.request({ ":path": "/" }).setEncoding("utf8");
    expect((await last.toArray()).join("")).toBe("done");
    session.close();
    expect(cuts).toEqual([]);
  });
});

describe("A flood of streams that are reset in the same packet", () => {
  test("reaches no handler, and leaves HTTP/1.1 from the same address alone", async () => {
    let requests = 0;
    const cuts: string[] = [];
    const timeouts = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };
    const listener = createListener({
      onRequest: (_request, response) => {
        requests++;
        response.end("ok");
      },
      onUpgrade: () => false,
      timeouts,
      rapidResets: 20,
      onCut: (reason) => void cuts.push(reason),
    });
    const { port, url } = await listener.listen("127.0.0.1", 0);
    const attacker = connectRaw(port);
    const streams = Array.from({ length: 500 }, (_, index) => 2 * index + 1);
    attacker.socket.write(Buffer.concat(streams.flatMap((id) => [headers(id, {}), reset(id)])));
    const { payload } = await attacker.until(({ type }) => type === frameTypes.goAway);
    expect(payload.readUInt32BE(4)).toBe(errorCodes.enhanceYourCalm);
    await attacker.closed;
    expect(requests).toBe(0);
    expect(cuts).toEqual(["rapid_resets"]);
    expect(await (await fetch(url)).text()).toBe("ok");
    await listener.close(0);
  });

  test("is not what a peer sends that breaks the protocol after its requests, as gRPC's Go client does", async () => {
    const cuts: string[] = [];
    const timeouts = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };
    const onCut = (reason: string) => void cuts.push(reason);
    const onRequest = (_request: unknown, response: { end(): void }) => response.end();
    const listener = createListener({ onRequest, onUpgrade: () => false, timeouts, onCut });
    const { port } = await listener.listen("127.0.0.1", 0);
    for (let index = 0; index < 6; index++) {
      const peer = connectRaw(port);
      peer.socket.write(headers(1, {}));
      await peer.until(({ type }) => type === frameTypes.headers);
      peer.socket.write(headers(0, {}));
      await peer.closed;
    }
    expect(cuts).toEqual([]);
    await listener.close(0);
  });

  test("is as bad as a flood of pings whose acknowledgements nobody reads, while broken frames are harmless", async () => {
    const cuts: string[] = [];
    const timeouts = { headersMs: 5_000, requestMs: 5_000, idleMs: 5_000, stallMs: 5_000 };
    const onCut = (reason: string) => void cuts.push(reason);
    const listener = createListener({ onRequest: () => {}, onUpgrade: () => false, timeouts, onCut });
    const { port } = await listener.listen("127.0.0.1", 0);
    const breaking = async () => {
      const peer = connectRaw(port);
      // A request on stream 0, which RFC 9113 section 5.1.1 forbids.
      peer.socket.write(headers(0, {}));
      await peer.closed;
    };
    for (let index = 0; index < 4; index++) await breaking();
    expect(cuts).toEqual([]);
    const flood = connectRaw(port);
    flood.socket.pause();
    const pings = Buffer.concat(Array.from({ length: 10_000 }, () => frame(frameTypes.ping, 0, 0, Buffer.alloc(8))));
    // The buffers of the kernel take the first acknowledgements; the peer is cut when they are full.
    const write = () => {
      while (!flood.socket.destroyed && flood.socket.write(pings));
    };
    flood.socket.on("drain", write);
    write();
    await flood.closed;
    await Promise.all(Array.from({ length: 8 }, breaking));
    expect(cuts).toContain("watched_address");
    await listener.close(0);
  });
});
