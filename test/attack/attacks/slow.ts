/** Attacks by peers that send half of a request, or read nothing. */
import type { ClientHttp2Session, ClientHttp2Stream } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import { type Attack, type Attacker, service, user } from "../attack.ts";
import { size } from "../size.ts";
import { mustCall, refusalOf } from "../wire/call.ts";
import { envelope, openSession, request } from "../wire/http2.ts";
import { untilEnd } from "../wire/loops.ts";
import { openTcp } from "../wire/tcp.ts";

const selfRoom = "dm/mallory/mallory";
const page = JSON.stringify({ roomId: selfRoom, pageSize: 100 });

/** Fills a room of the attacker with 20 messages of 60 KB: more than one page. */
async function fillRoom(attacker: Attacker): Promise<void> {
  const token = await user("mallory");
  const body = { audience: { roomId: selfRoom }, message: { kind: 1, content: "x".repeat(60_000) } };
  for (let sent = 0; sent < 20; sent++) await mustCall(attacker, { method: "Publish", body, token });
}

/** Counts the answer to a call of Connect, for whose end the call itself need not end: the reason, or that it was cut. */
function countAnswer({ answers }: Attacker, stream: ClientHttp2Stream): void {
  let text = "";
  stream.on("data", (data) => (text += String(data)));
  stream.once("end", () => {
    const { reason, retryMs } = refusalOf(text.startsWith("{") ? (JSON.parse(text) as object) : {});
    answers.add(reason ?? "call cut", retryMs);
  });
}

/** Sends calls without the last 10 kB of their 3 MB. */
async function sendHalves(
  attacker: Attacker,
  session: ClientHttp2Session,
  token: string,
  calls: number,
): Promise<void> {
  const headers = { "content-length": 3_000_000 };
  const part = Buffer.alloc(2_990_000, 32);
  for (let sent = 0; sent < calls; sent++) {
    const stream = request(session, { method: "Publish", type: "application/json", token, headers });
    countAnswer(attacker, stream);
    stream.write(part);
    await sleep(2);
  }
}

/** Counts a stream of gRPC that has ended, by its status. */
function countEnd({ answers }: Attacker, stream: ClientHttp2Stream): void {
  const keep = (headers: { readonly "grpc-status"?: string | string[] }) => {
    if (headers["grpc-status"] !== undefined) answers.add(`gRPC status ${headers["grpc-status"]}`);
  };
  stream.on("response", keep).on("trailers", keep);
}

/** The attacks of slow peers. */
export const slowAttacks: readonly Attack[] = [
  {
    name: "answers that nobody reads, over HTTP/1.1",
    prepare: fillRoom,
    async run(attacker) {
      const token = await user("mallory");
      const call = `POST /tidings.v1.PushService/ListMessages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: ${page.length}\r\n\r\n${page}`;
      for (let opened = 0; opened < size(60, 200); opened++) {
        const socket = openTcp(attacker).pause();
        socket.once("close", () => attacker.answers.add("connection cut"));
        // Pipelined: the server may begin with the next call before the answer to this one has left.
        socket.write(call.repeat(5));
        await sleep(5);
      }
      await untilEnd(attacker);
      attacker.answers.add("nothing read");
    },
    must: ["nothing read"],
    may: ["connection cut"],
  },
  {
    name: "answers that nobody reads, over HTTP/2",
    prepare: fillRoom,
    async run(attacker) {
      const token = await user("mallory");
      for (let opened = 0; opened < size(3, 20); opened++) {
        const session = openSession(attacker);
        for (let asked = 0; asked < size(20, 60); asked++) {
          const stream = request(session, { method: "ListMessages", type: "application/json", token });
          stream.once("close", () => attacker.answers.add("answer cut"));
          stream.pause().end(page);
        }
        await sleep(20);
      }
      await untilEnd(attacker);
      attacker.answers.add("nothing read");
    },
    must: ["nothing read"],
    may: ["answer cut"],
  },
  {
    name: "streams that read nothing while 20 MB are published to them",
    healthyTenant: "other",
    async run(attacker) {
      const token = await user("mallory");
      for (let opened = 0; opened < 40; opened++) {
        const session = openSession(attacker);
        const stream = request(session, { method: "Subscribe", type: "application/connect+json", token });
        stream.pause().end(envelope("{}"));
      }
      const backend = await service();
      const body = { audience: { userId: "mallory" }, message: { kind: 1, content: "x".repeat(60_000) } };
      for (let sent = 0; sent < size(100, 350); sent++)
        await mustCall(attacker, { method: "Publish", body, token: backend });
      attacker.answers.add("nothing read");
    },
    must: ["nothing read"],
  },
  {
    name: "bodies of 3 MB of which the end never comes, all on one connection",
    async run(attacker) {
      const session = openSession(attacker);
      await sendHalves(attacker, session, await user("mallory"), size(40, 200));
      await untilEnd(attacker);
      attacker.answers.add("waiting");
    },
    must: ["waiting"],
    may: ["TOO_MUCH_IN_FLIGHT, retry", "call cut"],
  },
  {
    name: "bodies of 3 MB of which the end never comes, on many connections",
    leastMs: 4_000,
    async run(attacker) {
      const token = await user("mallory");
      for (let opened = 0; opened < size(5, 40); opened++) {
        await sendHalves(attacker, openSession(attacker), token, 5);
        await sleep(100);
      }
      await untilEnd(attacker);
    },
    must: ["TOO_MUCH_IN_FLIGHT, retry"],
  },
  ...["grpc.health.v1.Health/Watch", "grpc.reflection.v1.ServerReflection/ServerReflectionInfo"].map(
    (method): Attack => ({
      name: `${method.includes("Watch") ? "health watches" : "reflection streams"} without a token`,
      async run(attacker) {
        for (let opened = 0; opened < size(8, 30); opened++) {
          const session = openSession(attacker);
          for (let stream = 0; stream < size(150, 250); stream++) {
            const call = request(session, { method, type: "application/grpc" }).resume();
            countEnd(attacker, call);
            if (method.includes("Watch")) call.end(envelope(""));
            else call.write(envelope(""));
          }
          await sleep(150);
        }
        await untilEnd(attacker);
        attacker.answers.add("opened");
      },
      // 8: RESOURCE_EXHAUSTED.
      must: ["opened", "gRPC status 8"],
    }),
  ),
];
