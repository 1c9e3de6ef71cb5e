/** Opens many subscriptions on raw sockets, and counts messages with as little parsing as possible. */
import type { JsonValue } from "@bufbuild/protobuf";
import { serveCommands } from "../../process/commands.ts";
import { type Connection, Group } from "../../sockets/group.ts";
import { Http2Session } from "../../sockets/http2-session.ts";
import { handshakeOf, http2Request, isHttp2, type Protocol, pong, type Subscriber } from "../../sockets/protocols.ts";
import { ScriptedSocket } from "../../sockets/scripted-socket.ts";
import { userToken } from "../../workload/tokens.ts";

/** Subscriptions to open. */
export interface OpenGroup {
  readonly group: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly count: number;
  /** Users are named `<prefix><number>`, numbered from `first`. */
  readonly prefix: string;
  readonly first: number;
  readonly tenant: string;
  readonly subscribe: JsonValue;
  /** Streams on one connection, for HTTP/2. */
  readonly streamsPerConnection: number;
  /** How many connections open at the same time; the next ones open when all of these are subscribed. */
  readonly concurrency: number;
  /** Messages carry the time of their publish. */
  readonly stamped: boolean;
  /** On servers with channels, each user has a channel with the user's name; otherwise all have the channel `bench`. */
  readonly ownChannels: boolean;
  /** All streams are of this user. */
  readonly user?: string;
}

/** Interval of pongs on WebSockets of Tidings, in ms: it closes one that answers no ping, and drivers parse no pings. */
const keepAliveMs = 10_000;
/** Time limit for connections that open together, in ms. Those that resume receive all missed messages within it. */
const openTimeoutMs = 90_000;

const groups = new Map<string, Group>();
const tokens = new Map<string, string>();

serveCommands({ open, until, counts, each, bytes, times, pause, stopWaiting, close, closeAll });

/** Resolves when all are subscribed. */
async function open(spec: OpenGroup): Promise<void> {
  const group = new Group(spec.stamped);
  groups.set(spec.group, group);
  const streams = isHttp2(spec.protocol) ? spec.streamsPerConnection : 1;
  for (let from = 0; from < spec.count; from += streams * spec.concurrency) {
    const opening: Promise<Connection>[] = [];
    for (let first = from; first < Math.min(spec.count, from + streams * spec.concurrency); first += streams) {
      opening.push(openConnection(spec, group, first, Math.min(streams, spec.count - first)));
    }
    const connections = await Promise.all(opening);
    group.connections.push(...connections);
    await within(openTimeoutMs, Promise.all(connections.map(({ ready }) => ready)));
  }
}

/** Rejects when the work takes longer than `milliseconds`. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((_, reject) => {
    const error = new Error(`not subscribed after ${milliseconds / 1000} s`);
    timer = setTimeout(reject, milliseconds, error);
  });
  await Promise.race([work, timeout]).finally(() => clearTimeout(timer));
}

async function openConnection(spec: OpenGroup, group: Group, offset: number, streams: number): Promise<Connection> {
  const subscribers = await Promise.all(
    Array.from({ length: streams }, (_, index) => subscriberOf(spec, spec.first + offset + index)),
  );
  const { protocol, port } = spec;
  if (isHttp2(protocol)) {
    const requests = subscribers.map((subscriber) => http2Request(protocol, subscriber));
    return new Http2Session(port, requests, group);
  }
  const keepAlive = protocol.startsWith("tidings-ws") ? pong : undefined;
  return new ScriptedSocket(port, handshakeOf(protocol, subscribers[0] as Subscriber), group, keepAlive);
}

async function subscriberOf(
  { prefix, tenant, subscribe, ownChannels, user: only }: OpenGroup,
  number: number,
): Promise<Subscriber> {
  const user = only ?? `${prefix}${number}`;
  const token = tokens.get(`${tenant}/${user}`) ?? (await userToken(user, tenant));
  tokens.set(`${tenant}/${user}`, token);
  return { token, subscribe, channel: ownChannels ? user : "bench" };
}

function find(name: string): Group {
  const group = groups.get(name);
  if (!group) throw new Error(`no group ${name}`);
  return group;
}

function until({ group, total }: { group: string; total: number }): Promise<void> {
  return find(group).until(total);
}

function counts(name: string) {
  return find(name).counts();
}

function each(name: string): number[] {
  return find(name).each();
}

function bytes(name: string): number {
  return find(name).bytes();
}

/** The times since the previous call. */
function times(name: string): number[] {
  const { times: histogram } = find(name);
  const values = histogram.toJSON();
  histogram.clear();
  return values;
}

setInterval(() => {
  for (const group of groups.values()) for (const connection of group.connections) connection.keepAlive();
}, keepAliveMs);

function pause({ group, on }: { group: string; on: boolean }): void {
  for (const connection of find(group).connections) connection.pause(on);
}

/** Rejects the pending `until` of a group. */
function stopWaiting(name: string): void {
  find(name).fail("messages lost");
}

function close(name: string): void {
  for (const connection of find(name).connections) connection.close();
  groups.delete(name);
}

function closeAll(): void {
  for (const name of groups.keys()) close(name);
}
