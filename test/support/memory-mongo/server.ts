/**
 * A server in memory that speaks the part of MongoDB's protocol that the store uses. It runs in a process of its own,
 * for loads that FerretDB cannot bear. It reports to be the primary of a replica set, so that nodes use majority
 * concerns, but nothing is durable, and there is no failover.
 *
 * node server.ts <port>
 */
import { createServer, type Socket } from "node:net";
import { BSON } from "mongodb";
import { carryOut } from "./commands.ts";
import type { Document } from "./documents.ts";

/** Source: https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/ */
const headerBytes = 16;
const opReply = 1;
const opQuery = 2004;
const opMessage = 2013;

/** Answers the messages of a connection. */
function serve(socket: Socket): void {
  let chunks: Buffer[] = [];
  let bytes = 0;
  socket.on("error", () => {});
  socket.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes < ((chunks[0]?.length ?? 0) < 4 ? 4 : (chunks[0]?.readInt32LE(0) ?? 0))) return;
    let rest: Buffer = Buffer.concat(chunks);
    while (rest.length >= 4 && rest.length >= rest.readInt32LE(0)) {
      const length = rest.readInt32LE(0);
      socket.write(answer(rest.subarray(0, length)));
      rest = rest.subarray(length);
    }
    chunks = [rest];
    bytes = rest.length;
  });
}

/** The reply to one message. */
function answer(message: Buffer): Buffer {
  const requestId = message.readInt32LE(4);
  if (message.readInt32LE(12) === opQuery) {
    // Flags, the name of the collection and two numbers come before the command. Only handshakes still use this opcode.
    const begin = message.indexOf(0, headerBytes + 4) + 1 + 8;
    const reply = BSON.serialize(carryOut(BSON.deserialize(message.subarray(begin))));
    const fields = Buffer.alloc(20);
    fields.writeInt32LE(1, 16);
    return frame(requestId, opReply, [fields, reply]);
  }
  const reply = BSON.serialize(carryOut(readMessage(message)));
  return frame(requestId, opMessage, [Buffer.alloc(5), reply]);
}

/** Reads a command, which is a body with lists of documents beside it. */
function readMessage(message: Buffer): Document {
  const lists: Document = {};
  let command: Document = {};
  for (let at = headerBytes + 4; at < message.length; ) {
    const kind = message[at];
    const length = message.readInt32LE(at + 1);
    const section = message.subarray(at + 1, at + 1 + length);
    at += 1 + length;
    if (kind === 0) command = BSON.deserialize(section);
    else {
      const nameEnd = section.indexOf(0, 4);
      lists[section.toString("utf8", 4, nameEnd)] = readList(section.subarray(nameEnd + 1));
    }
  }
  return { ...command, ...lists };
}

function readList(bytes: Buffer): Document[] {
  const documents: Document[] = [];
  for (let rest = bytes; rest.length > 0; rest = rest.subarray(rest.readInt32LE(0))) {
    documents.push(BSON.deserialize(rest.subarray(0, rest.readInt32LE(0))));
  }
  return documents;
}

function frame(responseTo: number, opcode: number, parts: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeInt32LE(headerBytes + parts.reduce((sum, part) => sum + part.length, 0), 0);
  header.writeInt32LE(responseTo, 8);
  header.writeInt32LE(opcode, 12);
  return Buffer.concat([header, ...parts]);
}

createServer({ noDelay: true }, serve).listen(Number(process.argv[2]), "127.0.0.1", () => console.log("listening"));
