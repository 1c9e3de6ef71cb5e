/** Clients that read streams over every transport. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { TestContext } from "vitest";
import type { RoomState_Status as Status, SubscribeRequestSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import type { TestServer, Caller as Who } from "../../support/server.ts";
import { Caller, type Stream } from "../interop/caller.ts";
import { connectDriver } from "../interop/connect-node.ts";
import type { Driver } from "../interop/driver.ts";
import { wsDriver } from "../interop/ws.ts";
import { protocolsOf } from "./wire.ts";

/** The names of all transports of streams. */
export const transportNames = [
  "Connect JSON",
  "Connect Protobuf",
  "gRPC-Web",
  "gRPC",
  "ws JSON",
  "ws Protobuf",
] as const;

/** The name of a transport. */
export type TransportName = (typeof transportNames)[number];

function driverOf(url: string, name: TransportName): Driver {
  if (name === "ws JSON") return wsDriver(url, "tidings.v1.json");
  if (name === "ws Protobuf") return wsDriver(url, "tidings.v1.proto");
  const transport = new Map(protocolsOf(url)).get(name);
  if (!transport) throw new Error(`there is no transport ${name}`);
  return connectDriver(transport, () => {});
}

/** Creates a client of a user. Its streams end with the test. */
export async function callerOf(
  server: TestServer,
  name: TransportName,
  who: Who,
  onTestFinished: TestContext["onTestFinished"],
): Promise<Caller> {
  return new Caller(driverOf(server.url, name), await server.token(who), onTestFinished);
}

/** What a stream reported of one room. */
export interface Verdict {
  readonly status: Status;
  readonly code: string;
  readonly reason: string;
  readonly message: string;
}

/** A stream that has reported on all of its rooms. */
export interface Decided {
  readonly stream: Stream;
  readonly verdicts: ReadonlyMap<string, Verdict>;
}

/** Subscribes, and reads until the stream is live and has reported on every room. */
export async function enter(caller: Caller, init: MessageInitShape<typeof SubscribeRequestSchema>): Promise<Decided> {
  const stream = caller.subscribe(init);
  await stream.expect("hello");
  const verdicts = new Map<string, Verdict>();
  for (let live = false; !live || verdicts.size < (init.rooms?.length ?? 0); ) {
    const event = await stream.next();
    if (event.case === "caughtUp") live = true;
    if (event.case !== "room") continue;
    const { roomId, status, code, reason, message } = event.value;
    if (verdicts.has(roomId)) throw new Error(`${roomId} is decided twice`);
    verdicts.set(roomId, { status, code, reason, message });
  }
  return { stream, verdicts };
}

/**
 * The titles of the next messages, without the events between them, sorted because each feed has an order of its own.
 */
export async function nextTitles(stream: Stream, count: number): Promise<string[]> {
  const titles: string[] = [];
  while (titles.length < count) titles.push((await stream.until("message")).title);
  return titles.sort();
}
