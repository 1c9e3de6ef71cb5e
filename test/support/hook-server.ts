/** A backend of the authorize hook: good answers, and every bad answer that a server has been seen to give. */
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { RoomQuestion } from "../../src/rooms/access.ts";

/** A question as the backend received it. */
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
  /** The number of questions without an answer. */
  readonly waiting: number;
  /** Waits until `count` questions have arrived. */
  until(count: number): Promise<void>;
  /** Stops the server and cuts all connections. */
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

/** Writes as fast as the reader reads, until it goes away. */
function endless(response: ServerResponse): void {
  const more = (): void => {
    if (response.writable && response.write(" ".repeat(65_536))) setImmediate(more);
  };
  response.writeHead(200).on("drain", more);
  more();
}

const yes = '{"allow":true}';

/** Answers that are invalid, although some of them contain a permission. */
export const badAnswers: Readonly<Record<string, Respond>> = {
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

/** Returns the room that `answerByRoom` gives a bad answer for. */
export function badAnswerRoom(name: string): string {
  return `bad/${name}`;
}

/** Allows rooms under `yes/`, gives a bad answer for those under `bad/`, and refuses all others. */
export function answerByRoom(response: ServerResponse, { room }: RoomQuestion): void {
  const bad = badAnswers[room.replace(/^bad\//, "")];
  if (bad) bad(response, { tenant: "", user: "", room, action: "join" });
  else allow(response, room.startsWith("yes/"));
}

/** Starts a backend. A hook that follows the redirect of a bad answer gets a permission. */
export async function startHook(respond: Respond = answerByRoom): Promise<HookServer> {
  const asked: Asked[] = [];
  let waiting = 0;
  let notify = (): void => {};
  const take = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (request.url === "/yes") return allow(response, true);
    let body = "";
    for await (const chunk of request) body += chunk;
    const question = JSON.parse(body) as RoomQuestion;
    asked.push({ question, method: request.method, headers: request.headers });
    waiting++;
    response.on("close", () => waiting--);
    notify();
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
        notify = () => asked.length >= count && resolve();
        notify();
      }),
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
