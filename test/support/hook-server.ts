/** An operator's backend that is asked about rooms: good answers, and every bad one that a server has been seen to give. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RoomQuestion } from "../../src/rooms/access.ts";

/** A question as it came. */
export interface Asked {
  readonly question: RoomQuestion;
  readonly method: string | undefined;
  readonly headers: IncomingHttpHeaders;
}

/** A running backend. */
export interface HookServer {
  readonly url: string;
  /** All questions so far. */
  readonly asked: readonly Asked[];
  /** Questions that wait for their answer. */
  readonly waiting: number;
  /** Waits until so many questions have come. */
  until(count: number): Promise<void>;
  /** Cuts all connections. */
  stop(): Promise<void>;
}

type Respond = (response: ServerResponse, question: RoomQuestion) => void;

/** Answers `{"allow": …}`. */
export function allow(response: ServerResponse, allow: boolean): void {
  text(response, 200, JSON.stringify({ allow }));
}

function text(response: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(body);
}

/** Writes as fast as it is read, until the reader goes away. */
function endless(response: ServerResponse): void {
  const more = (): void => {
    if (response.writable && response.write(" ".repeat(65_536))) setImmediate(more);
  };
  response.writeHead(200).on("drain", more);
  more();
}

const yes = '{"allow":true}';

/** What is no answer, although some of it says yes. */
export const troubles: Readonly<Record<string, Respond>> = {
  "no answer": () => {},
  "half an answer": (response) => void response.writeHead(200).write('{"allow":'),
  "a connection that breaks": (response) => response.destroy(),
  "an answer that breaks": (response) => {
    response.writeHead(200, { "content-length": "100" }).write(yes, () => response.destroy());
  },
  "status 500": (response) => text(response, 500, yes),
  "status 403": (response) => text(response, 403, yes),
  "status 201": (response) => text(response, 201, yes),
  "a redirect to a yes": (response) => text(response, 307, "", { location: "/yes" }),
  nothing: (response) => text(response, 200, ""),
  "no JSON": (response) => text(response, 200, "<p>allow: true</p>"),
  "no allow": (response) => text(response, 200, "{}"),
  "a text": (response) => text(response, 200, '{"allow":"true"}'),
  "a number": (response) => text(response, 200, '{"allow":1}'),
  null: (response) => text(response, 200, "null"),
  "a list": (response) => text(response, 200, `[${yes}]`),
  "a huge answer": (response) => text(response, 200, " ".repeat(100_000) + yes),
  "an answer without end": endless,
  "a compression that is none": (response) => text(response, 200, yes, { "content-encoding": "gzip" }),
};

/** The room that meets a trouble, with `answerByRoom`. */
export function troubledRoom(trouble: string): string {
  return `trouble/${trouble}`;
}

/** Rooms under `yes/` are open, those under `trouble/` get no good answer, all others are closed. */
export function answerByRoom(response: ServerResponse, { room }: RoomQuestion): void {
  const trouble = troubles[room.replace(/^trouble\//, "")];
  if (trouble) trouble(response, { tenant: "", user: "", room, action: "join" });
  else allow(response, room.startsWith("yes/"));
}

/** Starts a backend; the answer to a GET, such as after a redirect, is yes. */
export async function startHook(respond: Respond = answerByRoom): Promise<HookServer> {
  const asked: Asked[] = [];
  let waiting = 0;
  let tell = (): void => {};
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === "/yes") return allow(response, true);
    let body = "";
    for await (const chunk of request) body += chunk;
    const question = JSON.parse(body) as RoomQuestion;
    asked.push({ question, method: request.method, headers: request.headers });
    waiting++;
    response.on("close", () => waiting--);
    tell();
    respond(response, question);
  };
  const server = createServer((request, response) => {
    take(request, response).catch(() => response.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/authorize`,
    asked,
    get waiting() {
      return waiting;
    },
    until: (count) =>
      new Promise((resolve) => {
        tell = () => asked.length >= count && resolve();
        tell();
      }),
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
