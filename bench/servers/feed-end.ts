import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PushService } from "../../gen/tidings/v1/push_service_pb.ts";
import { userToken } from "../workload/tokens.ts";

/** The position of the last message of a feed, as SubscribeRequest takes it in JSON. Rejects when a new user does not follow it. */
export async function feedEnd(port: number, feed: string): Promise<{ feed: string; epoch: number; seq: string }> {
  const client = createClient(
    PushService,
    createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "1.1" }),
  );
  const stop = new AbortController();
  const headers = { authorization: `Bearer ${await userToken("feed-end")}` };
  try {
    for await (const { event } of client.subscribe({}, { headers, signal: stop.signal })) {
      if (event.case !== "hello") continue;
      const position = event.value.positions.find((candidate) => candidate.feed === feed);
      if (!position) break;
      return { feed, epoch: position.epoch, seq: position.seq };
    }
    throw new Error(`no position in ${feed}`);
  } finally {
    stop.abort();
  }
}
