/** Stock connect-node handlers for the same contract: one stream per subscriber, and a Publish that stores nothing. */
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
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { serveCommands } from "../../process/commands.ts";
import { sampleEvent } from "../../workload/message.ts";

const message = sampleEvent();
const hello = create(SubscribeResponseSchema, { event: { case: "hello", value: { subscriptionId: "bench" } } });
const caughtUp = create(SubscribeResponseSchema, {
  event: { case: "caughtUp", value: { positions: [{ feed: "tenant", epoch: 1, seq: "1" }] } },
});

/** The events that a stream has not sent yet. */
interface Queue {
  readonly events: SubscribeResponse[];
  wake: () => void;
}

const streams = new Set<Queue>();

serveCommands({ start, send });

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
    async *subscribe(_request, { signal }) {
      const queue: Queue = { events: [hello, caughtUp], wake: () => {} };
      streams.add(queue);
      signal.addEventListener("abort", () => {
        streams.delete(queue);
        queue.wake();
      });
      while (!signal.aborted) {
        yield* queue.events.splice(0);
        if (queue.events.length > 0) continue;
        await new Promise<void>((resolve) => {
          queue.wake = resolve;
        });
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
