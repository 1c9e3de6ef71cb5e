import { create, toBinary } from "@bufbuild/protobuf";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { Kind } from "../gen/tidings/v1/message_pb.ts";
import {
  ListUnreadRequestSchema,
  PublishBatchRequestSchema,
  PublishRequestSchema,
  PushService,
} from "../gen/tidings/v1/push_service_pb.ts";
import { RawCaller, rawRequest } from "./caller.ts";
import { withServer } from "./process.ts";
import { median, percentile } from "./stats.ts";
import { benchToken } from "./tokens.ts";

const perSecond = 100;
const unreadCount = 10_000;

function draft(title: string) {
  return { kind: Kind.NOTIFICATION, category: "system", title };
}

/** From the call of Publish to the message in the hands of a subscribed client, at a steady rate. */
export async function publishToReceive(seconds: number): Promise<string[][]> {
  const token = await benchToken("service", "bench");
  const authorization = `Bearer ${await benchToken("user", "ada")}`;
  const total = perSecond * seconds;
  const received: number[] = [];
  await withServer(async ({ port }) => {
    const client = createClient(
      PushService,
      createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "1.1" }),
    );
    const stop = new AbortController();
    const events = client.subscribe({}, { headers: { authorization }, signal: stop.signal })[Symbol.asyncIterator]();
    for (let event = await events.next(); event.value.event.case !== "caughtUp"; event = await events.next());
    const reading = (async () => {
      while (received.length < total) {
        const { value } = await events.next();
        if (value.event.case === "message") received.push(performance.now() - Number(value.event.value.title));
      }
    })();
    const callers = await Promise.all(Array.from({ length: 8 }, () => RawCaller.open(port)));
    const answers: Promise<Buffer>[] = [];
    const start = performance.now();
    for (let sent = 0; sent < total; sent++) {
      await new Promise((resolve) =>
        setTimeout(resolve, Math.max(0, start + (sent * 1000) / perSecond - performance.now())),
      );
      const request = create(PublishRequestSchema, {
        audience: { to: { case: "userId", value: "ada" } },
        message: draft(String(performance.now())),
      });
      answers.push(
        (callers[sent % callers.length] as RawCaller).call(
          rawRequest("Publish", token, toBinary(PublishRequestSchema, request)),
        ),
      );
    }
    await Promise.all([reading, ...answers]);
    stop.abort();
    for (const caller of callers) caller.close();
  });
  return [
    [`publish to receive, ${perSecond} a second`, "p50", "p99", "messages"],
    [
      "durable, Connect over HTTP/1.1",
      `${median(received).toFixed(2)} ms`,
      `${percentile(received, 0.99).toFixed(2)} ms`,
      String(received.length),
    ],
  ];
}

/** ListUnread's first page, with its totals, of a user who has not read 10,000 messages. */
export async function firstPage(calls: number): Promise<string[][]> {
  const service = await benchToken("service", "bench");
  const user = await benchToken("user", "ada");
  const times: number[] = [];
  await withServer(async ({ port }) => {
    const caller = await RawCaller.open(port);
    const categories = ["system", "admin", "operation"];
    const requests = Array.from({ length: 1000 }, (_, index) =>
      create(PublishRequestSchema, {
        audience: { to: { case: "userId", value: "ada" } },
        message: { ...draft("You were mentioned"), category: categories[index % categories.length] as string },
      }),
    );
    const batch = rawRequest(
      "PublishBatch",
      service,
      toBinary(PublishBatchRequestSchema, create(PublishBatchRequestSchema, { requests })),
    );
    for (let count = 0; count < unreadCount; count += requests.length) await caller.call(batch);
    const list = rawRequest(
      "ListUnread",
      user,
      toBinary(ListUnreadRequestSchema, create(ListUnreadRequestSchema, { pageSize: 10 })),
    );
    for (let call = 0; call < calls; call++) {
      const start = performance.now();
      await caller.call(list);
      times.push(performance.now() - start);
    }
    caller.close();
  });
  return [
    ["ListUnread, 10,000 unread", "p50", "p99", "calls"],
    [
      "first page and totals",
      `${median(times).toFixed(2)} ms`,
      `${percentile(times, 0.99).toFixed(2)} ms`,
      String(times.length),
    ],
  ];
}
