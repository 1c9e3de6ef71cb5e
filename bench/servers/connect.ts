/** The stock connect-node handlers of the same contract: a stream per subscriber, and a Publish that stores nothing. */
import { createServer as createHttpServer } from "node:http";
import { createServer as createHttp2Server } from "node:http2";
import type { AddressInfo } from "node:net";
import { create } from "@bufbuild/protobuf";
import { timestampNow } from "@bufbuild/protobuf/wkt";
import type { ConnectRouter } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import {
  PublishResponseSchema,
  PushService,
  type SubscribeResponse,
  SubscribeResponseSchema,
} from "../../gen/tidings/v1/push_service_pb.ts";
import { answerCommands } from "../commands.ts";
import { sampleEvent } from "../message.ts";

const message = sampleEvent();
const hello = create(SubscribeResponseSchema, { event: { case: "hello", value: { subscriptionId: "bench" } } });
const caughtUp = create(SubscribeResponseSchema, {
  event: { case: "caughtUp", value: { positions: [{ feed: "tenant", epoch: 1, seq: "1" }] } },
});

/** What one stream has not taken yet. */
interface Waiting {
  readonly events: SubscribeResponse[];
  wake: () => void;
}

const streams = new Set<Waiting>();

answerCommands({ start, send });

function start(version: "1.1" | "2"): Promise<number> {
  const adapter = connectNodeAdapter({ routes });
  const server = version === "2" ? createHttp2Server(adapter) : createHttpServer(adapter);
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}

function routes(router: ConnectRouter): void {
  router.service(PushService, {
    publish: ({ audience }) =>
      create(PublishResponseSchema, {
        messageId: "019a9d4b-8f3c-7d2e-9a1b-0c5d6e7f8a9b",
        publishTime: timestampNow(),
        receipts: audience?.to.case === "userId" ? [{ userId: audience.to.value, stored: true }] : [],
      }),
    async *subscribe() {
      const waiting: Waiting = { events: [hello, caughtUp], wake: () => {} };
      streams.add(waiting);
      for (;;) {
        yield* waiting.events.splice(0);
        if (waiting.events.length === 0) {
          await new Promise<void>((resolve) => {
            waiting.wake = resolve;
          });
        }
      }
    },
  });
}

function send(count: number): void {
  for (const stream of streams) {
    for (let index = 0; index < count; index++) stream.events.push(message);
    stream.wake();
  }
}
