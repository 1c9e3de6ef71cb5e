/** Opens many subscriptions, counts what comes, and parses as little as it can. */
import type { JsonValue } from "@bufbuild/protobuf";
import { answerCommands } from "../commands.ts";
import { userToken } from "../tokens.ts";
import { type Family, grpcRequest, pong, type Subscriber, scriptOf } from "./families.ts";
import { Group, type Peer } from "./group.ts";
import { Http2Session } from "./http2-session.ts";
import { ScriptedSocket } from "./scripted-socket.ts";

/** Subscriptions to open. */
export interface OpenGroup {
  readonly group: string;
  readonly family: Family;
  readonly port: number;
  readonly count: number;
  /** Users are named `<prefix><number>`, from this number on. */
  readonly prefix: string;
  readonly first: number;
  readonly tenant: string;
  readonly subscribe: JsonValue;
  /** Streams on one connection; for gRPC only. */
  readonly perSession: number;
  /** So many connections open at once; the next when these are subscribed. */
  readonly atOnce: number;
  /** Messages carry their time of publishing. */
  readonly stamped: boolean;
}

/** Until connections that open at once are subscribed; those that resume get all that they missed in this time. */
const patienceMs = 90_000;

const groups = new Map<string, Group>();
const tokens = new Map<string, string>();

answerCommands({ open, until, counts, times, sayAlive, pause, giveUp, close, closeAll });

/** Answers when all are subscribed. */
async function open(spec: OpenGroup): Promise<void> {
  const group = new Group(spec.stamped);
  groups.set(spec.group, group);
  const each = spec.family === "grpc" ? spec.perSession : 1;
  for (let from = 0; from < spec.count; from += each * spec.atOnce) {
    const some: Promise<Peer>[] = [];
    for (let first = from; first < Math.min(spec.count, from + each * spec.atOnce); first += each) {
      some.push(openPeer(spec, group, first, Math.min(each, spec.count - first)));
    }
    const peers = await Promise.all(some);
    group.peers.push(...peers);
    await within(patienceMs, Promise.all(peers.map(({ ready }) => ready)));
  }
}

/** Throws when it takes longer. */
async function within(milliseconds: number, work: Promise<unknown>): Promise<void> {
  let late: NodeJS.Timeout | undefined;
  const timeout = new Promise((_, reject) => {
    const error = new Error(`not subscribed after ${milliseconds / 1000} s`);
    late = setTimeout(reject, milliseconds, error);
  });
  await Promise.race([work, timeout]).finally(() => clearTimeout(late));
}

async function openPeer(spec: OpenGroup, group: Group, offset: number, streams: number): Promise<Peer> {
  const subscribers = await Promise.all(
    Array.from({ length: streams }, (_, index) => subscriber(spec, spec.first + offset + index)),
  );
  if (spec.family === "grpc") return new Http2Session(spec.port, subscribers.map(grpcRequest), group);
  const alive = spec.family === "tidings-ws" ? pong : undefined;
  return new ScriptedSocket(spec.port, scriptOf(spec.family, subscribers[0] as Subscriber), group, alive);
}

async function subscriber({ prefix, tenant, subscribe }: OpenGroup, number: number): Promise<Subscriber> {
  const user = `${prefix}${number}`;
  const token = tokens.get(`${tenant}/${user}`) ?? (await userToken(user, tenant));
  tokens.set(`${tenant}/${user}`, token);
  return { token, subscribe };
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

/** The times since the last question. */
function times(name: string): number[] {
  const { times: histogram } = find(name);
  const values = histogram.toJSON();
  histogram.clear();
  return values;
}

function sayAlive(): void {
  for (const group of groups.values()) for (const peer of group.peers) peer.sayAlive();
}

function pause({ group, on }: { group: string; on: boolean }): void {
  for (const peer of find(group).peers) peer.pause(on);
}

/** Ends the waiting for messages that do not come. */
function giveUp(name: string): void {
  find(name).fail("messages lost");
}

function close(name: string): void {
  for (const peer of find(name).peers) peer.close();
  groups.delete(name);
}

function closeAll(): void {
  for (const name of groups.keys()) close(name);
}
