import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type FileDescriptorProto, FileDescriptorProtoSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { type Client, type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { loadFileDescriptorSetFromBuffer } from "@grpc/proto-loader";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { loadDescriptors } from "../../src/contract/descriptors.ts";
import { createHealth } from "../../src/rpc/health.ts";
import { reflectionRoutes } from "../../src/rpc/reflection.ts";
import { describeWith } from "../support/require.ts";
import { root, run } from "../support/run.ts";
import { findTool, pathOf } from "../support/tools.ts";
import { loadClient, loaderOptions, makeClient, reader, serve, type TestServer } from "./server.ts";

interface Answer {
  valid_host: string;
  original_request: object;
  file_descriptor_response?: { file_descriptor_proto: Buffer[] };
  all_extension_numbers_response?: { base_type_name: string; extension_number: number[] };
  list_services_response?: { service: { name: string }[] };
  error_response?: { error_code: number; error_message: string };
}
interface ReflectionClient {
  ServerReflectionInfo(): ClientDuplexStream<object, Answer>;
}

const registered = ["tidings.v1.PushService", "tidings.v1.AdminService", "grpc.health.v1.Health"];
const listed = [
  "grpc.health.v1.Health",
  "grpc.reflection.v1.ServerReflection",
  "grpc.reflection.v1alpha.ServerReflection",
  "tidings.v1.AdminService",
  "tidings.v1.PushService",
];
let server: TestServer;

beforeEach(async () => {
  server = await serve((router) => {
    createHealth(registered).routes(router);
    reflectionRoutes(router, loadDescriptors(), registered);
  });
});

afterEach(() => server.close());

function filesOf({ file_descriptor_response }: Answer): FileDescriptorProto[] {
  return (file_descriptor_response?.file_descriptor_proto ?? []).map((bytes) =>
    fromBinary(FileDescriptorProtoSchema, bytes),
  );
}

const namesOf = (answer: Answer): string[] => filesOf(answer).map(({ name }) => name);

describe.each(["v1", "v1alpha"])("Reflection %s over @grpc/grpc-js", (version) => {
  let client: ReflectionClient & Client;
  let stream: ClientDuplexStream<object, Answer>;
  let ask: (request: object) => Promise<Answer>;

  beforeEach(() => {
    const file = `node_modules/@grpc/reflection/build/proto/grpc/reflection/${version}/reflection.proto`;
    client = loadClient(file, `grpc.reflection.${version}.ServerReflection`, server.host);
    stream = client.ServerReflectionInfo();
    const next = reader(stream);
    ask = (request) => {
      stream.write(request);
      return next();
    };
  });

  afterEach(() => client.close());

  test("lists the registered services only, sorted", async () => {
    const { list_services_response } = await ask({ list_services: "" });
    expect(list_services_response?.service.map(({ name }) => name)).toEqual(listed);
  });

  test("repeats the host and the request", async () => {
    const answer = await ask({ host: "push.example.com", file_containing_symbol: "no.Such" });
    expect(answer.valid_host).toBe("push.example.com");
    expect(answer.original_request).toMatchObject({ host: "push.example.com", file_containing_symbol: "no.Such" });
  });

  test.each([
    ["tidings.v1.PublishRequest", "tidings/v1/push_service.proto"],
    ["tidings.v1.PushService", "tidings/v1/push_service.proto"],
    ["tidings.v1.PushService.Publish", "tidings/v1/push_service.proto"],
    ["tidings.v1.PublishRequest.audience", "tidings/v1/push_service.proto"],
    ["tidings.v1.RoomState.Status", "tidings/v1/push_service.proto"],
    ["tidings.v1.RoomState.STATUS_KICKED", "tidings/v1/push_service.proto"],
    ["tidings.v1.Kind", "tidings/v1/message.proto"],
    ["tidings.v1.KIND_EVENT", "tidings/v1/message.proto"],
    ["tidings.v1.Audience.to", "tidings/v1/message.proto"],
    ["tidings.v1.UnreadTotals.ByCategoryEntry", "tidings/v1/message.proto"],
    ["buf.validate.field", "buf/validate/validate.proto"],
    ["google.protobuf.Duration", "google/protobuf/duration.proto"],
    ["grpc.health.v1.Health.Watch", "grpc/health/v1/health.proto"],
  ])("finds the symbol %s", async (file_containing_symbol, file) => {
    expect(namesOf(await ask({ file_containing_symbol }))[0]).toBe(file);
  });

  test.each([
    [{ file_containing_symbol: "tidings.v1.Nothing" }, status.NOT_FOUND],
    [{ file_containing_symbol: "tidings.v1" }, status.NOT_FOUND],
    [{ file_containing_symbol: "constructor" }, status.NOT_FOUND],
    [{ file_by_filename: "../package.json" }, status.NOT_FOUND],
    [{ file_containing_extension: { containing_type: "tidings.v1.Draft", extension_number: 1 } }, status.NOT_FOUND],
    [{ all_extension_numbers_of_type: "no.Such" }, status.NOT_FOUND],
    [{ all_extension_numbers_of_type: "tidings.v1.Draft.url" }, status.NOT_FOUND],
    [{}, status.INVALID_ARGUMENT],
  ])("responds to %j with an error inside the stream, which continues", async (request, error_code) => {
    expect((await ask(request)).error_response).toMatchObject({
      error_code,
      error_message: expect.stringMatching(/\w/),
    });
    expect(namesOf(await ask({ file_by_filename: "tidings/v1/message.proto" }))[0]).toBe("tidings/v1/message.proto");
  });

  test("sends a file with all its imports, and no file twice unless it is requested by name", async () => {
    const first = await ask({ file_by_filename: "tidings/v1/message.proto" });
    const names = namesOf(first);
    expect(new Set(names).size).toBe(names.length);
    const needed = filesOf(first).flatMap(({ dependency }) => dependency);
    expect(names).toEqual(expect.arrayContaining(needed));
    expect(needed).toContain("google/protobuf/descriptor.proto");
    expect(namesOf(await ask({ file_by_filename: "tidings/v1/push_service.proto" }))).toEqual([
      "tidings/v1/push_service.proto",
    ]);
    expect(namesOf(await ask({ file_by_filename: "tidings/v1/message.proto" }))).toEqual(["tidings/v1/message.proto"]);
  });

  test("finds extensions by the message that they extend", async () => {
    const { all_extension_numbers_response: numbers } = await ask({
      all_extension_numbers_of_type: "google.protobuf.FieldOptions",
    });
    expect(numbers?.base_type_name).toBe("google.protobuf.FieldOptions");
    expect(numbers?.extension_number).toContain(1159);
    const none = await ask({ all_extension_numbers_of_type: "tidings.v1.Draft" });
    expect(none.all_extension_numbers_response?.extension_number).toEqual([]);
    const found = await ask({
      file_containing_extension: { containing_type: "google.protobuf.FieldOptions", extension_number: 1159 },
    });
    expect(namesOf(found)[0]).toBe("buf/validate/validate.proto");
  });

  test("suffices to build a client that makes calls", async () => {
    const file = filesOf(await ask({ file_containing_symbol: "grpc.health.v1.Health" }));
    const set = toBinary(FileDescriptorSetSchema, create(FileDescriptorSetSchema, { file }));
    const loaded = loadFileDescriptorSetFromBuffer(Buffer.from(set), loaderOptions);
    type Callback = (error: ServiceError | null, answer: { status: string }) => void;
    const health = makeClient<{ Check(request: object, callback: Callback): void }>(
      loaded,
      "grpc.health.v1.Health",
      server.host,
    );
    const answer = await new Promise((resolve, reject) => {
      health.Check({ service: "tidings.v1.PushService" }, (error, value) => (error ? reject(error) : resolve(value)));
    });
    health.close();
    expect(answer).toEqual({ status: "SERVING" });
  });

  test("ends its stream when the client ends its side", async () => {
    await ask({ list_services: "" });
    const ended = new Promise((resolve) => stream.on("status", resolve));
    stream.on("data", () => {});
    stream.end();
    expect(await ended).toMatchObject({ code: status.OK });
  });

  test("does not delay a shutdown when its client is silent", async () => {
    await ask({ list_services: "" });
    const ended = new Promise((resolve) => stream.on("status", resolve));
    stream.on("error", () => {});
    server.shutdown(new ConnectError("draining", Code.Unavailable));
    expect(await ended).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe.each(["grpc-v1", "grpc-v1alpha"])("By reflection %s, buf curl", (protocol) => {
  const curl = (...args: string[]): Promise<string> =>
    run(`${root}/node_modules/.bin/buf`, "curl", "--http2-prior-knowledge", "--reflect-protocol", protocol, ...args);

  test("lists services", async () => {
    expect((await curl("--list-services", `http://${server.host}`)).trim().split("\n")).toEqual(listed);
  });

  test("lists methods", async () => {
    const methods = (await curl("--list-methods", `http://${server.host}`)).trim().split("\n");
    expect(methods).toEqual(
      expect.arrayContaining(["tidings.v1.PushService/Subscribe", "tidings.v1.AdminService/Disconnect"]),
    );
  });

  test("calls a method", async () => {
    const printed = await curl("--protocol", "grpc", "-d", "{}", `http://${server.host}/grpc.health.v1.Health/Check`);
    expect(JSON.parse(printed)).toEqual({ status: "SERVING" });
  });
});

const grpcurl = findTool("grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4");

describeWith(grpcurl)("By reflection, grpcurl", () => {
  const call = (...args: string[]): Promise<string> => run(pathOf(grpcurl), "-plaintext", ...args);

  test("lists services", async () => {
    expect((await call(server.host, "list")).trim().split("\n")).toEqual(listed);
  });

  test("describes a message with its validation rules", async () => {
    const printed = await call(server.host, "describe", "tidings.v1.PublishRequest");
    expect(printed).toContain("message PublishRequest {");
    expect(printed).toContain("(.buf.validate.field)");
  });

  test("calls a method", async () => {
    expect(
      JSON.parse(await call("-d", '{"service":"tidings.v1.PushService"}', server.host, "grpc.health.v1.Health/Check")),
    ).toEqual({ status: "SERVING" });
  });
});
