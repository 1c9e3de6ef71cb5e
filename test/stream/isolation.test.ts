/** A bug in one stream ends that stream with INTERNAL, and nothing else. */
import { create } from "@bufbuild/protobuf";
import { ConnectError } from "@connectrpc/connect";
import { expect, test } from "vitest";
import { SubscribeRequestSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { reasonOf } from "../../src/errors.ts";
import { Subscription } from "../../src/stream/subscription.ts";
import type { Sink } from "../../src/wire/sink.ts";
import { startTestCore, type TestCore, toTenant, userOf } from "../support/core.ts";

/** A sink that throws once it is broken. */
class BrokenSink implements Sink {
  broken = false;
  readonly queued = 0;
  write(): boolean {
    if (this.broken) throw new Error("a bug of the sink");
    return true;
  }
  async drained(): Promise<void> {}
}

/** Opens a stream into a sink, and returns it with the reason of its end. */
function run(node: TestCore, sink: Sink): { stream: Subscription; ended: Promise<string | undefined> } {
  const request = create(SubscribeRequestSchema, {});
  const stream = new Subscription(node.core.context, userOf("acme", "bob"), request, () => {});
  const ended = stream.run(sink).catch((error: unknown) => reasonOf(ConnectError.from(error)));
  return { stream, ended };
}

test("A stream whose flush throws ends with INTERNAL, while its neighbours get the message and the next ones", async () => {
  const node = await startTestCore();
  const sink = new BrokenSink();
  const neighbour = await node.live(userOf("acme"));
  const { ended } = run(node, sink);
  await (await node.live(userOf("acme", "cid"))).first("caughtUp");
  sink.broken = true;
  await node.publish("acme", toTenant, { title: "one" });
  expect(await ended).toBe("INTERNAL");
  await node.publish("acme", toTenant, { title: "two" });
  await neighbour.until(({ messages }) => messages.length === 2);
  expect(node.core.context.hub.streamsOf("acme", "bob")).toBe(0);
  await node.close();
});

test.each(["beat", "readChanged", "disconnected", "recheck"] as const)(
  "An error in %s ends its own stream with INTERNAL, and other streams of the user go on",
  async (callback) => {
    const node = await startTestCore();
    const neighbour = await node.live(userOf("acme", "bob"));
    const { stream, ended } = run(node, new BrokenSink());
    await (await node.live(userOf("acme", "cid"))).first("caughtUp");
    Object.assign(stream, {
      [callback]() {
        throw new Error("a bug");
      },
    });
    const { hub, settings } = node.core.context;
    if (callback === "beat") await node.clock.advance(settings.heartbeatMs + 1);
    if (callback === "recheck") hub.recheck({ tenant: "acme", user: "bob" }, 99);
    if (callback === "readChanged") {
      await node.publish("acme", { case: "userId", value: "bob" });
      await node.markAll(userOf("acme", "bob"));
      await neighbour.first("readState");
    }
    if (callback === "disconnected") {
      const { disconnector } = node.core;
      const service = { ...userOf("acme"), role: "service" } as never;
      await disconnector.disconnect(service, { tenantId: "", userId: "bob", tokenId: "", reason: "" } as never);
      expect(await neighbour.end()).toBe("DISCONNECTED");
    }
    expect(await ended).toBe("INTERNAL");
    await node.close();
  },
);
