/** The traces of messages as a fake collector receives them from the real exporter. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Kind } from "../../gen/tidings/v1/message_pb.ts";
import { OtlpTracer } from "../../src/adapters/otlp/tracer.ts";
import { newTenant, startServer, type TestServer } from "../support/server.ts";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly kind: number;
  readonly attributes: Readonly<Record<string, string | number | boolean>>;
  readonly status: number;
  readonly start: bigint;
  readonly end: bigint;
  readonly service: string;
}

/**
 * OTLP in JSON (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding), with the fields that are read here.
 */
interface Value {
  readonly stringValue?: string;
  readonly intValue?: number | string;
  readonly boolValue?: boolean;
}
type Attributes = readonly { readonly key: string; readonly value: Value }[];
interface Export {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: Attributes };
    readonly scopeSpans: readonly {
      readonly spans: readonly {
        readonly name: string;
        readonly traceId: string;
        readonly spanId: string;
        readonly parentSpanId?: string;
        readonly kind: number;
        readonly attributes: Attributes;
        readonly status: { readonly code: number };
        readonly startTimeUnixNano: string;
        readonly endTimeUnixNano: string;
      }[];
    }[];
  }[];
}

class Collector {
  readonly spans: Span[] = [];
  readonly paths = new Set<string>();
  readonly #server: Server;

  constructor(status = 200) {
    this.#server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk);
      this.paths.add(request.url ?? "");
      this.#take(JSON.parse(Buffer.concat(chunks).toString()) as Export);
      response.writeHead(status, { "content-type": "application/json" }).end("{}");
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  stop(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  named(name: string): Span[] {
    return this.spans.filter((span) => span.name === name);
  }

  /** The only span with this name. */
  one(name: string): Span {
    const [span, ...more] = this.named(name);
    if (!span || more.length > 0) throw new Error(`${more.length + (span ? 1 : 0)} spans are named ${name}`);
    return span;
  }

  #take({ resourceSpans }: Export): void {
    for (const { resource, scopeSpans } of resourceSpans) {
      for (const span of scopeSpans.flatMap(({ spans }) => spans)) {
        this.spans.push({
          ...span,
          parentSpanId: span.parentSpanId ?? "",
          attributes: plain(span.attributes),
          status: span.status.code,
          start: BigInt(span.startTimeUnixNano),
          end: BigInt(span.endTimeUnixNano),
          service: String(plain(resource.attributes)["service.name"]),
        });
      }
    }
  }
}

function plain(attributes: Attributes): Record<string, string | number | boolean> {
  return Object.fromEntries(
    attributes.map(({ key, value }) => [key, value.stringValue ?? value.boolValue ?? Number(value.intValue)]),
  );
}

const publishName = "tidings.v1.PushService/Publish";
const traceId = "0af7651916cd43dd8448eb211c80319c";
const parentId = "b7ad6b7169203331";
const sampled = { traceparent: `00-${traceId}-${parentId}-01` };
const internal = 1;
const serverKind = 2;
const producer = 4;
const consumer = 5;

let collector: Collector;
let server: TestServer;
beforeEach(async () => {
  collector = new Collector();
  server = await startServer({ tracing: { endpoint: await collector.start() } });
});
afterEach(() => collector.stop());

const note = { kind: Kind.NOTIFICATION, title: "x" };
const toAll = { to: { case: "tenant" as const, value: true } };

const streams = new Set<AbortController>();

/** Ends the streams and then the server, which sends its last spans. */
async function stop(): Promise<void> {
  for (const stream of streams) stream.abort();
  streams.clear();
  await server.stop();
}

/** Opens a live stream, and returns a function that waits for its next message. */
async function open(tenant: string, sub: string) {
  const end = new AbortController();
  streams.add(end);
  const events = server.client({ tenant, sub }).subscribe({}, { signal: end.signal })[Symbol.asyncIterator]();
  const until = async (name: string): Promise<void> => {
    const { value, done } = await events.next();
    if (done) throw new Error("the stream has ended");
    if (value.event.case !== name) await until(name);
  };
  await until("caughtUp");
  return () => until("message");
}

describe("A publish that its caller traces", () => {
  test("is one trace from the call to the delivery, with one delivery span for all streams of the node", async () => {
    const tenant = newTenant();
    const readers = await Promise.all(["ann", "bob", "eve"].map((sub) => open(tenant, sub)));
    await server.client({ tenant, role: "service" }).publish({ audience: toAll, message: note }, { headers: sampled });
    await Promise.all(readers.map((message) => message()));
    await stop();
    const call = collector.one(publishName);
    expect(call).toMatchObject({ traceId, parentSpanId: parentId, kind: serverKind, status: 0, service: "tidings" });
    expect(call.attributes).toMatchObject({ "rpc.method": publishName, "rpc.system.name": "connectrpc" });
    const append = collector.one("append");
    expect(append).toMatchObject({ traceId, parentSpanId: call.spanId, kind: internal });
    expect(append.attributes).toMatchObject({ "tidings.messages": 1 });
    const announce = collector.one("announce");
    expect(announce).toMatchObject({ traceId, parentSpanId: call.spanId, kind: producer });
    expect(announce.attributes).toMatchObject({ "tidings.notices": 1 });
    const deliver = collector.one("deliver");
    expect(deliver).toMatchObject({ traceId, parentSpanId: announce.spanId, kind: consumer });
    expect(deliver.attributes).toMatchObject({ "tidings.streams": 3, "tidings.kept": true });
    expect(collector.spans).toHaveLength(4);
    expect([...collector.paths]).toEqual(["/v1/traces"]);
    for (const span of collector.spans) expect(span.end).toBeGreaterThanOrEqual(span.start);
    // A start is in whole milliseconds, and an end is the start plus a measured duration.
    expect(append.end - announce.start).toBeLessThan(1_000_000n);
  });

  test("is stored and delivered like any other", async () => {
    const tenant = newTenant();
    const backend = server.client({ tenant, role: "service" });
    await backend.publish({ audience: toAll, message: note }, { headers: sampled });
    await backend.publish({ audience: toAll, message: note });
    const { messages } = await backend.listMessages({});
    const sizes = messages.map(({ $unknown, ...message }) => [JSON.stringify($unknown), Object.keys(message).length]);
    expect(sizes).toHaveLength(2);
    expect(sizes[0]).toEqual(sizes[1]);
    await stop();
  });

  test("makes no span when the caller does not sample it", async () => {
    const tenant = newTenant();
    const headers = { traceparent: `00-${traceId}-${parentId}-00` };
    await server.client({ tenant, role: "service" }).publish({ audience: toAll, message: note }, { headers });
    await stop();
    expect(collector.spans).toEqual([]);
  });

  test("has the delivery in the same trace when it is a live event", async () => {
    const tenant = newTenant();
    const message = await open(tenant, "ann");
    const event = { kind: Kind.EVENT, event: "ping" };
    await server.client({ tenant, role: "service" }).publish({ audience: toAll, message: event }, { headers: sampled });
    await message();
    await stop();
    expect(collector.one("deliver")).toMatchObject({ traceId, parentSpanId: collector.one("announce").spanId });
    expect(collector.one("deliver").attributes).toMatchObject({ "tidings.kept": false });
    expect(collector.named("append")).toEqual([]);
  });
});

test("A batch is one call with one append, and a delivery for each message", async () => {
  const tenant = newTenant();
  const message = await open(tenant, "ann");
  const requests = Array.from({ length: 5 }, () => ({ audience: toAll, message: note }));
  await server.client({ tenant, role: "service" }).publishBatch({ requests }, { headers: sampled });
  for (const _ of requests) await message();
  await stop();
  expect(collector.one("append").attributes).toMatchObject({ "tidings.messages": 5 });
  expect(collector.named("deliver")).toHaveLength(5);
  expect(new Set(collector.named("deliver").map(({ parentSpanId }) => parentSpanId))).toEqual(
    new Set([collector.one("announce").spanId]),
  );
});

describe("The trace context of a caller", () => {
  test.each([
    ["that is missing", undefined],
    ["that is malformed", "hello"],
    ["with an id of zeros", `00-${"0".repeat(32)}-${parentId}-01`],
    ["of the invalid version", `ff-${traceId}-${parentId}-01`],
    ["that is too long for its version", `00-${traceId}-${parentId}-01-more`],
    ["in upper case", `00-${traceId.toUpperCase()}-${parentId}-01`],
  ])("%s starts a new trace", async (_name, traceparent) => {
    const headers = traceparent === undefined ? {} : { traceparent };
    await server
      .client({ tenant: newTenant(), role: "service" })
      .publish({ audience: toAll, message: note }, { headers });
    await stop();
    const call = collector.one(publishName);
    expect(call.parentSpanId).toBe("");
    expect(call.traceId).not.toBe(traceId);
    expect(collector.one("append").traceId).toBe(call.traceId);
  });

  test("of a future version is read as far as the known version goes", async () => {
    const headers = { traceparent: `01-${traceId}-${parentId}-01-more` };
    await server
      .client({ tenant: newTenant(), role: "service" })
      .publish({ audience: toAll, message: note }, { headers });
    await stop();
    expect(collector.one(publishName)).toMatchObject({ traceId, parentSpanId: parentId });
  });

  test("is ignored for a user, and makes no span for a call without a token", async () => {
    const client = server.client({ tenant: newTenant() });
    await client.listUnread({}, { headers: sampled });
    await client.publish({ audience: toAll, message: note }, { headers: sampled }).catch(() => {});
    await fetch(`${server.url}/${publishName}`, {
      method: "POST",
      headers: { ...sampled, "content-type": "application/json" },
      body: "{}",
    });
    await stop();
    expect(collector.spans.map(({ traceId: id }) => id)).not.toContain(traceId);
    expect(collector.one("tidings.v1.PushService/ListUnread").parentSpanId).toBe("");
    expect(collector.named(publishName)).toHaveLength(1);
  });

  test("leads to a span without error status when the caller is at fault", async () => {
    const backend = server.client({ tenant: newTenant(), role: "service" });
    await backend.publish({ message: note }, { headers: sampled }).catch(() => {});
    await stop();
    expect(collector.one(publishName)).toMatchObject({
      status: 0,
      attributes: { "error.type": "invalid_argument" },
    });
  });
});

describe("A collector that", () => {
  test.each([
    ["refuses all spans", new Collector(503)],
    ["cannot be reached", undefined],
  ])("%s does not affect calls", async (_name, failing) => {
    await server.stop();
    const endpoint = failing ? await failing.start() : "http://127.0.0.1:1";
    server = await startServer({ tracing: { endpoint } });
    const backend = server.client({ tenant: newTenant(), role: "service" });
    const { messageId } = await backend.publish({ audience: toAll, message: note }, { headers: sampled });
    expect(messageId).not.toBe("");
    await server.stop();
    await failing?.stop();
  });
});

describe("The tracer", () => {
  const begin = { name: "work", kind: "internal", parent: undefined } as const;
  let endpoint: string;
  let other: Collector;
  beforeEach(async () => {
    await server.stop();
    other = new Collector();
    endpoint = await other.start();
  });
  afterEach(() => other.stop());

  test("sends spans while it runs, with the name of the service", async () => {
    const tracer = new OtlpTracer({ endpoint: `${endpoint}/`, service: "edge", delayMs: 1 });
    tracer.start(begin)?.end({}, "failed");
    await vi.waitFor(() => expect(other.one("work")).toMatchObject({ service: "edge", status: 2 }));
    await tracer.close();
  });

  test("holds a bounded number of spans, and drops further ones", async () => {
    const tracer = new OtlpTracer({ endpoint, service: "edge" });
    for (let index = 0; index < 5_000; index++) tracer.start(begin)?.end();
    await tracer.close();
    // The queue, and the batch that is being sent.
    expect(other.spans).toHaveLength(2_048 + 512);
  });
});
