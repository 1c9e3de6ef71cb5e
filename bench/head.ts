import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PushService } from "../gen/tidings/v1/push_service_pb.ts";
import { userToken } from "./tokens.ts";

/** Where a feed ends, as SubscribeRequest takes it in JSON. Throws when nobody of the tenant follows the feed. */
export async function headOf(port: number, feed: string): Promise<{ feed: string; epoch: number; seq: string }> {
  const client = createClient(
    PushService,
    createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "1.1" }),
  );
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${await userToken("head")}` };
  try {
    for await (const { event } of client.subscribe({}, { headers, signal: stop.signal })) {
      if (event.case !== "hello") continue;
      const position = event.value.positions.find((at) => at.feed === feed);
      if (!position) break;
      return { feed, epoch: position.epoch, seq: position.seq };
    }
    throw new Error(`no position in ${feed}`);
  } finally {
    stop.abort();
  }
}
