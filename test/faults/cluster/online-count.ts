import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PushService } from "../../../src/gen.ts";
import { tokenFor } from "../server-process.ts";

/** The online count that a node reports. */
export interface OnlineCount {
  readonly users: number;
  readonly connections: number;
}

/** The interval of the calls, in ms. */
const pollMs = 50;
const tenant = "acme";

/** Polls nodes until all of them report a correct count, or until the timeout. Resolves with how long it took, in ms. */
export async function waitForOnlineCount(
  nodes: readonly { readonly url: string }[],
  isCorrect: (count: OnlineCount) => boolean,
  timeoutMs: number,
): Promise<number> {
  const headers = { authorization: `Bearer ${await tokenFor({ sub: "load", tenant, role: "service" })}` };
  const clients = nodes.map(({ url: baseUrl }) =>
    createClient(PushService, createConnectTransport({ baseUrl, httpVersion: "1.1" })),
  );
  const start = performance.now();
  for (;;) {
    const counts = await Promise.all(clients.map(({ onlineCount }) => onlineCount({}, { headers })));
    const tookMs = performance.now() - start;
    if (counts.every(isCorrect) || tookMs > timeoutMs) return tookMs;
    await sleep(pollMs);
  }
}
