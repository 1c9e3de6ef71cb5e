import { toJson } from "@bufbuild/protobuf";
import { timestampMs, ValueSchema } from "@bufbuild/protobuf/wkt";
import type { Message } from "../../../gen/tidings/v1/message_pb.ts";
import { connectTidings } from "../../client/client.ts";
import type { JoinMode, RoomJoin } from "../../client/events.ts";
import { RoomJoins } from "../../client/state/rooms.ts";
import { isTerminal, type TidingsError } from "../../client/tidings-error.ts";
import type { Command } from "../command.ts";
import { kinds } from "../config/kinds.ts";
import { startStorage } from "../config/start-positions.ts";
import { credentialOf } from "../config/token-source.ts";
import { UsageError } from "../config/usage-error.ts";
import { eventJson, eventLine } from "../output/event-line.ts";
import { printable } from "../output/printer.ts";
import { serverUrl } from "../service-client.ts";

/** `tidings tail`: prints the events that a page would receive. */
export const tail: Command = {
  name: "tail",
  summary: "Print events as they arrive, until Ctrl-C.",
  details:
    "Reconnects when the connection or the server fails, and resumes where it stopped. When the token is refused or has " +
    "expired, it goes on with a fresh one of --token-file or --token-command, and otherwise ends with an error, as it does " +
    "when the user is disconnected. --room takes the id of a room, optionally followed by " +
    ":first to enter only while nobody else is in it, :last to remove everybody else, or :any. With --json each event has " +
    "the JSON form of SubscribeResponse.",
  examples: [
    "tidings tail",
    "TIDINGS_TOKEN=$(tidings token --sub ada --tenant acme) tidings tail --kinds notification,event",
    "tidings tail --room team/7 --room dm/ada/bob --room editor/7:last",
    "tidings tail --since 1h --match invoice --only-messages",
    "tidings tail --resume ~/.tidings-position --from-start --json",
    "tidings tail --events build.done --count 1 --timeout 10m",
    "tidings tail --json | jq 'select(.message).message.title'",
  ],
  async run({ values, deps, io, print }) {
    const credential = credentialOf(values, "tail", deps);
    const rooms = readRooms(values.room ?? []);
    const since = values.since?.(deps.now());
    const isWanted = filterOf(values.match, since);
    // Before the connection, whose retries would hide that the first token cannot be read.
    let first: string | undefined = await credential.get({ refresh: false });
    const storage = startStorage({
      resume: values.resume,
      fromStart: values.fromStart || since !== undefined,
      token: first,
      rooms: rooms.map(({ roomId }) => roomId),
    });
    const client = connectTidings({
      url: serverUrl(values),
      token(request) {
        const token = first ?? credential.get(request);
        first = undefined;
        return token;
      },
      transport: "connect",
      ...(storage && { storage }),
      subscribe: {
        kinds: (values.kinds ?? []).map((kind) => kinds[kind]),
        categories: [...(values.categories ?? [])],
        events: [...(values.events ?? [])],
        onlineCount: !values.onlyMessages,
        rooms,
      },
    });
    let refused: TidingsError | undefined;
    client.on("error", (error) => {
      // The client would wait for a fresh token, but there is only this one.
      if (error.code === "unauthenticated" && !credential.canChange) refused = error;
      if (refused !== undefined) client.close();
      else if (!isTerminal(error)) print.note(troubleText(error));
    });
    const forget = io.onSignal(() => client.close());
    let isLate = false;
    const end = () => {
      isLate = true;
      client.close();
    };
    const cancel = values.timeout === undefined ? undefined : deps.after(values.timeout, end);
    let printed = 0;
    try {
      for await (const event of client.events()) {
        if (event.type === "message" ? !isWanted(event.message) : values.onlyMessages) continue;
        if (values.json) print.json(eventJson(event));
        else print.line(eventLine(print, event, client.unread.value));
        if (event.type === "message") printed += 1;
        // Not a break: the next step of the loop tells the client that this event is consumed, and so to be saved.
        if (printed === values.count) client.close();
      }
    } finally {
      forget();
      cancel?.();
      client.close();
    }
    if (refused !== undefined) throw refused;
    if (!isLate || values.count === undefined || printed === values.count) return 0;
    print.note(`${printed} of ${values.count} messages arrived in time`);
    return 1;
  },
};

/** A test for messages with this text that were published at or after a time, in ms since the Unix epoch. */
function filterOf(match: string | undefined, since = 0): (message: Message) => boolean {
  const wanted = match?.toLowerCase();
  return (message) => {
    if (message.publishTime !== undefined && timestampMs(message.publishTime) < since) return false;
    return wanted === undefined || searchable(message).toLowerCase().includes(wanted);
  };
}

function searchable({ title, content, category, event, url, actor, payload }: Message): string {
  const json = payload.case === "json" ? JSON.stringify(toJson(ValueSchema, payload.value)) : "";
  return [title, content, category, event, url, actor?.id, actor?.name, json].join("\n");
}

function troubleText({ code, message }: TidingsError): string {
  const [, fault] = /^storage: (.*)$/s.exec(message) ?? [];
  return fault === undefined ? `${code}: ${printable(message)}; reconnecting` : `--resume: ${printable(fault)}`;
}

/** Parses `id` or `id:mode`. Throws a UsageError for a list of rooms that every server would refuse. */
function readRooms(texts: readonly string[]): RoomJoin[] {
  const rooms = texts.map((text) => {
    const [, roomId = text, mode = "any"] = /^(.+):(any|first|last)$/s.exec(text) ?? [];
    return { roomId, mode: mode as JoinMode };
  });
  try {
    return new RoomJoins(rooms).list();
  } catch (error) {
    throw new UsageError(`--room: ${error instanceof Error ? error.message : error}`, "tail");
  }
}
