import { type Client, Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport } from "@connectrpc/connect-node";
import { expect } from "vitest";
import { Kind, type PublishResponse, PushService } from "../../../src/gen.ts";
import { testWith } from "../../support/require.ts";
import { each } from "../each.ts";
import { report } from "../report.ts";
import { tokenFor } from "../server-process.ts";
import { times } from "../size.ts";
import type { PublishInit } from "../targets.ts";
import { Cluster, clusterTools } from "./cluster.ts";
import { errorsIn } from "./log.ts";
import type { StoreKind } from "./store-server.ts";

const callers = 100;
/** Keys that are raced for at once. */
const atOnce = 4;
const sizes: readonly (readonly [store: StoreKind, keys: number])[] = [
  ["memory", times(20, 1_000)],
  ["ferretdb", times(2, 20)],
];

for (const [store, keys] of sizes) {
  testWith(...clusterTools(store))(
    `On ${store}, ${callers} callers that race for each of ${keys} keys over three nodes are all told the same`,
    async () => {
      const cluster = await Cluster.open({ store });
      try {
        const transports = cluster.members.flatMap(({ url: baseUrl }) => [
          createConnectTransport({ baseUrl, httpVersion: "1.1" }),
          createGrpcTransport({ baseUrl }),
        ]);
        const clients = transports.map((transport) => createClient(PushService, transport));
        const headers = { authorization: `Bearer ${await tokenFor({ sub: "load", tenant: "acme", role: "service" })}` };
        let firsts = 0;
        let repeats = 0;
        // As every publisher does: a store with so many at once may not answer in time.
        const publish = async (client: Client<typeof PushService>, request: PublishInit): Promise<PublishResponse> => {
          for (;;) {
            try {
              return await client.publish(request, { headers, timeoutMs: 30_000 });
            } catch (error) {
              if (ConnectError.from(error).code !== Code.Unavailable) throw error;
              repeats++;
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
          firsts += answers.filter(({ duplicate }) => !duplicate).length;
          return [...new Set(answers.map(({ messageId }) => messageId))];
        };
        const told = await each([...Array(keys).keys()], race, atOnce);
        const listed = await Promise.all(["ann", "bob"].map((user) => idsOf(cluster.url, user)));
        report("same-key", {
          store: cluster.store.name,
          keys,
          "callers of each": callers,
          "answered as the first": firsts,
          "calls repeated": repeats,
          "keys with more than one id": told.filter(({ length }) => length > 1).length,
          "messages listed, of two users": listed.map(({ length }) => length).join(" and "),
        });
        expect.soft(told.filter(({ length }) => length !== 1)).toEqual([]);
        // The one that stored it may have been answered as a repetition of itself, never two as the first.
        expect.soft(firsts).toBeLessThanOrEqual(keys);
        for (const ids of listed) expect.soft(ids.toSorted()).toEqual(told.flat().toSorted());
        expect.soft(errorsIn(cluster.log).slice(0, 5)).toEqual([]);
      } finally {
        await cluster.close();
      }
    },
  );
}

/** Ids of all that is listed, newest first. */
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
