/** The part of the law of port Presence about a shared state that loses keys, as a Redis does that evicts them. */
import { expect, test } from "vitest";
import type { Connection, Membership, Presence } from "../ports/presence.ts";
import type { LosingPresence } from "./opened-presence.ts";

const tenant = "t";
const users = ["ann", "bob", "cyd"];
/** What every node counts while the connections of `populate` are open. */
const exact = {
  online: { users: 3, connections: 6 },
  all: { users: 3, connections: 6 },
  lobby: { users: 3, connections: 6 },
  desk: { users: 1, connections: 1 },
  streams: [2, 2, 2],
};

/** Registers the tests. `make` opens nodes, at least two, with nobody online. */
export function lossLaw(make: () => Promise<LosingPresence>): void {
  test("is right again within a renewal, whichever key is lost, and stays right when connections leave", async () => {
    const opened = await make();
    try {
      const open = await populate(opened.nodes);
      const keys = await opened.keys();
      expect(keys.length).toBeGreaterThan(0);
      for (const key of keys) {
        await opened.lose(key);
        await isExact(opened, key);
        // The repair has to last: a count that is off by one shows when connections come and go.
        const [first] = open as [Connection];
        const node = opened.nodes[0];
        await node.leave(first);
        await node.enter(first);
        await node.join(member(first, "lobby"));
        await isExact(opened, key);
      }
      await leaveAll(opened.nodes, open);
      await isEmpty(opened, "all");
    } finally {
      await opened.close();
    }
  });

  test("counts once a connection that enters right after a key was lost", async () => {
    const opened = await make();
    try {
      for (const key of await keysOfPopulated(opened)) {
        const open = await populate(opened.nodes);
        const extra = { id: "extra", tenant, user: "ann" };
        await opened.lose(key);
        await opened.nodes[1 % opened.nodes.length]?.enter(extra);
        await opened.nodes[1 % opened.nodes.length]?.leave(extra);
        await isExact(opened, key);
        await leaveAll(opened.nodes, open);
        await isEmpty(opened, key);
      }
    } finally {
      await opened.close();
    }
  });

  test("keeps one member of a room taken by LAST, whichever key was lost before", async () => {
    const opened = await make();
    try {
      for (const key of await keysOfPopulated(opened)) {
        const open = await populate(opened.nodes);
        const taker = { id: "taker", tenant, user: "dan" };
        await opened.lose(key);
        expect(await opened.nodes[0].join(member(taker, "desk", "last"))).toBe(true);
        for (const node of opened.nodes) {
          const poll = expect.poll(() => node.count(tenant, "desk"), { timeout: 2 * opened.repairMs, message: key });
          await poll.toEqual(exact.desk);
        }
        await opened.nodes[0].leave(taker);
        await leaveAll(opened.nodes, open);
      }
    } finally {
      await opened.close();
    }
  });
}

/** Opens two connections of each user, all in one room and one of them in another, on all nodes. */
async function populate(nodes: LosingPresence["nodes"]): Promise<readonly Connection[]> {
  const open = users.flatMap((user) => [1, 2].map((tab) => ({ id: `${user}${tab}`, tenant, user })));
  for (const [index, connection] of open.entries()) {
    const node = nodeOf(nodes, index);
    await node.enter(connection);
    await node.join(member(connection, "lobby"));
  }
  // The second one kicks the first: that is a key of its own.
  await nodeOf(nodes, 1).join(member(open[1] as Connection, "desk", "first"));
  await nodeOf(nodes, 2).join(member(open[2] as Connection, "desk", "last"));
  return open;
}

async function leaveAll(nodes: LosingPresence["nodes"], open: readonly Connection[]): Promise<void> {
  for (const [index, connection] of open.entries()) await nodeOf(nodes, index).leave(connection);
}

async function keysOfPopulated(opened: LosingPresence): Promise<readonly string[]> {
  const open = await populate(opened.nodes);
  const keys = await opened.keys();
  await leaveAll(opened.nodes, open);
  return keys;
}

async function isExact({ nodes, repairMs }: LosingPresence, key: string): Promise<void> {
  for (const node of nodes) {
    await expect.poll(() => countsOf(node), { timeout: 2 * repairMs, message: `after ${key} was lost` }).toEqual(exact);
  }
}

async function isEmpty({ nodes, repairMs }: LosingPresence, key: string): Promise<void> {
  const none = { users: 0, connections: 0 };
  const expected = { online: none, all: none, lobby: none, desk: none, streams: [0, 0, 0] };
  for (const node of nodes) {
    await expect
      .poll(() => countsOf(node), { timeout: 2 * repairMs, message: `after ${key} was lost` })
      .toEqual(expected);
  }
}

async function countsOf(node: Presence) {
  const [online, all, lobby, desk, streams] = await Promise.all([
    node.count(tenant),
    node.count(undefined),
    node.count(tenant, "lobby"),
    node.count(tenant, "desk"),
    node.connections(tenant, users),
  ]);
  return { online, all, lobby, desk, streams };
}

function nodeOf(nodes: LosingPresence["nodes"], index: number): Presence {
  return nodes[index % nodes.length] as Presence;
}

function member(connection: Connection, room: string, mode: Membership["mode"] = "any"): Membership {
  return { connection, room, mode, instance: connection.id };
}
