import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "vitest";
import { Kind, type PublishResponse, PushService } from "../../../src/gen.ts";
import { mapLimited } from "../../../src/util/limit.ts";
import { testWith } from "../../support/require.ts";
import type { PublishInit } from "../destinations.ts";
import { report } from "../report.ts";
import { tokenFor } from "../server-process.ts";
import { times } from "../size.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { errorsIn } from "./log-errors.ts";
import type { StoreKind } from "./store-server.ts";

const callers = 100;
/** Keys that are published at the same time. */
const concurrentKeys = 4;
const sizes: readonly (readonly [store: StoreKind, keys: number])[] = [
  ["memory", times(20, 1_000)],
  ["ferretdb", times(2, 20)],
];

for (const [store, keys] of sizes) {
  const name = `With the store ${store}, 100 callers that race for each of ${keys} request ids over three nodes all get the same message id`;
  testWith(...clusterTools(store))(name, async () => {
    const cluster = await Cluster.open({ store });
    try {
      const transports = cluster.nodes.flatMap(({ url: baseUrl }) => [
        createConnectTransport({ baseUrl, httpVersion: "1.1" }),
        createGrpcTransport({ baseUrl }),
      ]);
      const clients = transports.map((transport) => createClient(PushService, transport));
      const headers = { authorization: `Bearer ${await tokenFor({ sub: "load", tenant: "acme", role: "service" })}` };
      let newMessages = 0;
      let retries = 0;
      // Retries as every publisher does: the store may not answer that many callers in time.
      const publish = async (client: Client<typeof PushService>, request: PublishInit): Promise<PublishResponse> => {
        for (;;) {
          try {
            return await client.publish(request, { headers, timeoutMs: 30_000 });
          } catch (error) {
            if (ConnectError.from(error).code !== Code.Unavailable) throw error;
            retries++;
          }
        }
      };
      const race = async (key: number): Promise<string[]> => {
        const request: PublishInit = {
          audience: { to: { case: "users", value: { userIds: ["ann", "bob"] } } },
          requestId: `key-${key}`,
          message: { kind: Kind.NOTIFICATION, title: `key ${key}` },
        };
        const answers = await Promise.all(
          Array.from({ length: callers }, (_, caller) => {
            return publish(clients[caller % clients.length] as Client<typeof PushService>, request);
          }),
        );
        newMessages += answers.filter(({ duplicate }) => !duplicate).length;
        return [...new Set(answers.map(({ messageId }) => messageId))];
      };
      const answered = await mapLimited(concurrentKeys, [...Array(keys).keys()], race);
      const listed = await Promise.all(["ann", "bob"].map((user) => idsOf(cluster.url, user)));
      report("same-key", {
        store: cluster.store.name,
        "request ids": keys,
        "callers of each": callers,
        "answers that report a new message": newMessages,
        "calls retried": retries,
        "request ids with more than one message id": answered.filter(({ length }) => length > 1).length,
        "messages listed, of two users": listed.map(({ length }) => length).join(" and "),
      });
      expect.soft(answered.filter(({ length }) => length !== 1)).toEqual([]);
      // A caller whose first attempt was stored without an answer gets a duplicate, so there can be fewer than `keys`.
      expect.soft(newMessages).toBeLessThanOrEqual(keys);
      for (const ids of listed) expect.soft(ids.toSorted()).toEqual(answered.flat().toSorted());
      expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
    } finally {
      await cluster.close();
    }
  });
}

/** The ids of all messages of a user, newest first. */
async function idsOf(baseUrl: string, user: string): Promise<string[]> {
  const client = createClient(PushService, createConnectTransport({ baseUrl, httpVersion: "1.1" }));
  const headers = { authorization: `Bearer ${await tokenFor({ sub: user, tenant: "acme", role: "user" })}` };
  const ids: string[] = [];
  let pageToken = "";
  do {
    const page = await client.listMessages({ pageSize: 100, pageToken }, { headers });
    ids.push(...page.messages.map(({ id }) => id));
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return ids;
}
