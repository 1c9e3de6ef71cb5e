/** What nodes say of who is online. */
import { setTimeout as sleep } from "node:timers/promises";
import { createClient } from "@connectrpc/connect";
import { createConnectTransport } from "@connectrpc/connect-node";
import { PushService } from "../../../src/gen.ts";
import { tokenFor } from "../server-process.ts";

/** A node's answer. */
export interface OnlineTold {
  readonly users: number;
  readonly connections: number;
}

/** How often nodes are asked, in ms. */
const everyMs = 50;
const tenant = "acme";

/** Asks nodes until all of them tell what is right, or the time is over; answers how long it took, in ms. */
export async function watchOnline(
  nodes: readonly { readonly url: string }[],
  isRight: (told: OnlineTold) => boolean,
  withinMs: number,
): Promise<number> {
  const headers = { authorization: `Bearer ${await tokenFor({ sub: "load", tenant, role: "service" })}` };
  const clients = nodes.map(({ url: baseUrl }) =>
    createClient(PushService, createConnectTransport({ baseUrl, httpVersion: "1.1" })),
  );
  const began = performance.now();
  for (;;) {
    const told = await Promise.all(clients.map(({ onlineCount }) => onlineCount({}, { headers })));
    const tookMs = performance.now() - began;
    if (told.every(isRight) || tookMs > withinMs) return tookMs;
    await sleep(everyMs);
  }
}
