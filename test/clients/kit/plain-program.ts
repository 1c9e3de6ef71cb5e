/** The program of the plain client for `tidings test-client`. */
import { createInterface } from "node:readline";
import type {
  ListUnreadRequestJson,
  MarkReadResponseJson,
  PublishRequestJson,
  RoomJoinJson,
  RoomModeJson,
} from "../../../gen/tidings/v1/push_service_pb.ts";
import { asError, errorLine, type Line, PlainClient } from "./plain-client.ts";

/** The fields of all commands. */
interface Command {
  readonly type: string;
  readonly id?: string;
  readonly roomId?: string;
  readonly mode?: string;
  readonly rooms?: readonly { readonly roomId: string; readonly mode?: string }[];
  readonly request?: object;
  readonly requests?: readonly PublishRequestJson[];
}

const { TIDINGS_URL: url = "", TIDINGS_TOKEN_URL: tokenUrl = "" } = process.env;

const print = (line: Line) => void process.stdout.write(`${JSON.stringify(line)}\n`);

const client = new PlainClient({
  url,
  async token(refresh) {
    const response = await fetch(refresh ? `${tokenUrl}?refresh=1` : tokenUrl);
    if (!response.ok) throw new Error(`no token: HTTP ${response.status}`);
    return response.text();
  },
  on: print,
});

const modeOf = (mode = "ANY") => `ROOM_MODE_${mode}` as RoomModeJson;

async function run({ type, id, ...command }: Command): Promise<void> {
  const { roomId = "", request = {} } = command;
  switch (type) {
    case "subscribe": {
      const rooms = (command.rooms ?? []).map((room): RoomJoinJson => ({ ...room, mode: modeOf(room.mode) }));
      return client.subscribe({ ...command, rooms });
    }
    case "join":
      return client.join(roomId, modeOf(command.mode));
    case "leave":
      return client.leave(roomId);
    case "publish": {
      const { messageId, duplicate = false } = await client.publish(request);
      return print({ type: "published", id, messageId, duplicate });
    }
    case "publishBatch":
      return client.publishBatch(command.requests ?? [], (index, ok, error) =>
        print({ type: "outcome", id, index, ...(ok ? { messageId: ok.messageId } : { error }) }),
      );
    case "listUnread":
      for await (const message of client.listUnread(request as ListUnreadRequestJson))
        print({ type: "listed", id, messageId: message.id });
      return print({ type: "listEnd", id });
    case "markRead": {
      const { changed = 0 } = await client.call<MarkReadResponseJson>("MarkRead", request);
      return print({ type: "markedRead", id, changed });
    }
    case "close":
      return close();
    default:
      print({ type: "unsupported", command: type });
  }
}

function close(): void {
  client.close();
  process.stdout.write("", () => process.exit(0));
}

createInterface({ input: process.stdin })
  .on("line", (line) => {
    const command = JSON.parse(line) as Command;
    run(command).catch((error: unknown) => print({ ...errorLine(asError(error), true), id: command.id }));
  })
  .on("close", close);
