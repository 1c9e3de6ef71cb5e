/** @grpc/grpc-js: a server stream per subscriber, encoded with the same runtime as all others. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { type SubscribeResponse, SubscribeResponseSchema } from "../../gen/tidings/v1/push_service_pb.ts";
import { answerCommands } from "../commands.ts";
import { sampleEvent } from "../message.ts";

const message = sampleEvent();
const caughtUp = create(SubscribeResponseSchema, {
  event: { case: "caughtUp", value: { positions: [{ feed: "tenant", epoch: 1, seq: "1" }] } },
});
const streams = new Set<ServerWritableStream<Buffer, SubscribeResponse>>();

answerCommands({ start, send });

function start(): Promise<number> {
  const server = new Server();
  const subscribe = {
    path: "/tidings.v1.PushService/Subscribe",
    requestStream: false,
    responseStream: true,
    requestSerialize: (value: Buffer) => value,
    requestDeserialize: (value: Buffer) => value,
    responseSerialize: (value: SubscribeResponse) => Buffer.from(toBinary(SubscribeResponseSchema, value)),
    responseDeserialize: (value: Buffer) => value,
  };
  server.addService({ subscribe }, { subscribe: follow });
  return new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
}

function follow(call: ServerWritableStream<Buffer, SubscribeResponse>): void {
  streams.add(call);
  call.on("cancelled", () => streams.delete(call));
  call.write(caughtUp);
}

function send(count: number): void {
  for (const stream of streams) for (let index = 0; index < count; index++) stream.write(message);
}
