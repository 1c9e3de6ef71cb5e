/** node:http with JSON and nothing else: what a handler costs that parses a message, and answers with its id and time. */
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { serveCommands } from "../../process/commands.ts";

interface PublishCall {
  readonly audience: { readonly userId: string };
}

serveCommands({ start });

function start(): Promise<number> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { audience } = JSON.parse(Buffer.concat(chunks).toString()) as PublishCall;
      const body = JSON.stringify({
        messageId: randomUUID(),
        publishTime: new Date().toISOString(),
        receipts: [{ userId: audience.userId, stored: true }],
      });
      response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
      response.end(body);
    });
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port)));
}
