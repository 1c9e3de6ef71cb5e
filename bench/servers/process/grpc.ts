/** @grpc/grpc-js: one server stream per subscriber, with the same Protobuf runtime as the other servers. */
import { create, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { type SubscribeResponse, SubscribeResponseSchema } from "../../../gen/tidings/v1/push_service_pb.ts";
import { serveCommands } from "../../process/commands.ts";
import { sampleEvent } from "../../workload/message.ts";

const message = sampleEvent();
const caughtUp = create(SubscribeResponseSchema, {
  event: { case: "caughtUp", value: { positions: [{ feed: "tenant", epoch: 1, seq: "1" }] } },
});
const streams = new Set<ServerWritableStream<Buffer, SubscribeResponse>>();

serveCommands({ start, send });

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
  server.addService({ subscribe }, { subscribe: onSubscribe });
  return new Promise((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) =>
      error ? reject(error) : resolve(port),
    ),
  );
}

function onSubscribe(call: ServerWritableStream<Buffer, SubscribeResponse>): void {
  streams.add(call);
  call.on("cancelled", () => streams.delete(call));
  call.write(caughtUp);
}

function send(count: number): void {
  for (const stream of streams) for (let index = 0; index < count; index++) stream.write(message);
}
