/**
 * Writes gen/openapi.json: the Connect JSON interface in OpenAPI 3.1, made from gen/descriptor.binpb with its rules and
 * comments, and from the table of errors. A server serves the file at /openapi.json.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DescMethod, DescService } from "@bufbuild/protobuf";
import { MethodOptions_IdempotencyLevel as Idempotency } from "@bufbuild/protobuf/wkt";
import { loadDescriptors } from "../src/contract/descriptors.ts";
import { toNativePatterns } from "../src/contract/native-patterns.ts";
import { errorResponses, errorSchemas, errorStatuses } from "./openapi/errors.ts";
import { feedPaths } from "./openapi/feeds.ts";
import { type Schema, Schemas } from "./openapi/schemas.ts";

const root = join(import.meta.dirname, "..");
const serviceNames = ["tidings.v1.PushService", "tidings.v1.AdminService"];

const parameters = {
  requestId: {
    name: "X-Request-Id",
    in: "header",
    description: "Identifies the call in the log of the server; the response repeats it. Default: a fresh one.",
    schema: { type: "string", pattern: "^[A-Za-z0-9_.:-]{1,64}$" },
  },
  timeout: {
    name: "Connect-Timeout-Ms",
    in: "header",
    description: "The time after which the caller gives up, in ms; the server then answers with `deadline_exceeded`.",
    schema: { type: "integer", minimum: 1, maximum: 9_999_999_999 },
  },
};

const headers = {
  requestId: {
    description: "The id of the call in the log of the server.",
    schema: { type: "string" },
  },
};

/** Describes the interface whose contract the registry has. `homepage` is the URL of the project, without a fragment. */
export function openApi(version: string, homepage: string): Schema {
  const { registry } = toNativePatterns(loadDescriptors());
  const services = serviceNames.map((name) => registry.getService(name) as DescService);
  const methods = services.flatMap((service) => service.methods);
  const schemas = new Schemas(
    registry,
    methods.map(({ input }) => input),
    methods.map(({ output }) => output),
  );
  const docs = `${homepage}/blob/main/docs`;
  return {
    openapi: "3.1.1",
    info: {
      title: "Tidings",
      version,
      summary: "A typed push service: live events and a durable inbox",
      description: description(docs),
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    externalDocs: { description: "Guides and sources", url: homepage },
    // Relative to the URL of this document, so that it is right below a path, too.
    servers: [{ url: ".", description: "The server that this document comes from" }],
    security: [{ token: [] }],
    tags: [
      ...services.map((service) => ({ name: service.name, description: schemas.describe(service) })),
      { name: "Feeds", description: "Feeds over plain HTTP, unless the server has them turned off." },
      { name: "Probes", description: "For load balancers and orchestrators. They need no token." },
    ],
    paths: {
      ...Object.fromEntries(
        methods.map((method) => [`/${method.parent.typeName}/${method.name}`, path(method, schemas)]),
      ),
      ...feedPaths(docs),
      "/livez": probe("livez", "Whether the server is alive: 503 once its store has failed for good"),
      "/readyz": probe("readyz", "Whether the server takes calls: 503 while its store cannot be used, or it drains"),
    },
    components: {
      securitySchemes: {
        token: {
          type: "http",
          scheme: "bearer",
          bearerFormat: "JWT",
          description: `A JWT with the claims \`sub\`, \`role\` (user, service or admin), \`tenant\` and \`exp\`: see ${docs}/operations.md#tokens.`,
        },
      },
      parameters,
      headers,
      responses: errorResponses(docs),
      schemas: { ...schemas.all(), ...errorSchemas() },
    },
  };
}

function description(docs: string): string {
  return [
    "The unary methods of Tidings as plain HTTP with JSON: the Connect protocol, made from the contract in Protobuf.",
    `A call is a POST with the header \`Content-Type: application/json\`. Names are in lowerCamelCase; a name that is not in the contract is refused. The schemas are those of Protobuf's canonical JSON; a server also takes names in snake_case, enums by number, and null for a field that is not set. Reasons of errors, and what to do about them: ${docs}/errors.md.`,
    `To receive live messages in JSON, use the WebSocket bridge at \`/ws\`, which OpenAPI cannot describe (${docs}/bridge.md), or read a feed at \`/stream/…\`.`,
  ].join("\n\n");
}

function path(method: DescMethod, schemas: Schemas): Schema {
  if (method.methodKind !== "unary") return { post: stream(method, schemas) };
  return {
    post: {
      ...operation(method, schemas),
      requestBody: { required: true, content: { "application/json": { schema: schemas.ref(method.input) } } },
      responses: responses(method, schemas),
    },
    ...(method.idempotency === Idempotency.NO_SIDE_EFFECTS ? { get: query(method, schemas) } : {}),
  };
}

function operation(method: DescMethod, schemas: Schemas, suffix = ""): Schema {
  const text = schemas.describe(method);
  return {
    operationId: `${method.localName}${suffix}`,
    tags: [method.parent.name],
    summary: /^.*?[.:](?=\s|$)/s.exec(text)?.[0].slice(0, -1) ?? method.name,
    description: text,
    parameters: Object.keys(parameters).map((name) => ({ $ref: `#/components/parameters/${name}` })),
  };
}

/** The GET of a method without side effects, whose request is in the query. */
function query(method: DescMethod, schemas: Schemas): Schema {
  const { parameters: common, ...rest } = operation(method, schemas, "ByGet");
  const message = {
    name: "message",
    in: "query",
    required: true,
    description: "The request, in JSON. Over HTTP/1.1, the URL and the headers have room for 16 KiB.",
    // Not `content`, which generators leave out of their clients without a word.
    schema: { type: "string", contentMediaType: "application/json", contentSchema: schemas.ref(method.input) },
  };
  const encoding = { name: "encoding", in: "query", required: true, schema: { type: "string", const: "json" } };
  return { ...rest, parameters: [...(common as Schema[]), encoding, message], responses: responses(method, schemas) };
}

function responses(method: DescMethod, schemas: Schemas): Schema {
  const errors = errorStatuses.map((status) => [status, { $ref: `#/components/responses/Error${status}` }]);
  return {
    200: {
      description: "The response.",
      headers: { "X-Request-Id": { $ref: "#/components/headers/requestId" } },
      content: { "application/json": { schema: schemas.ref(method.output) } },
    },
    ...Object.fromEntries(errors),
  };
}

/** A stream of the Connect protocol, whose bodies are no JSON text. */
function stream(method: DescMethod, schemas: Schemas): Schema {
  const type = "application/connect+json";
  const enveloped = (content: Schema) => ({
    [type]: { schema: { type: "string", contentMediaType: type, contentSchema: content } },
  });
  const envelope =
    "Each message is in an envelope: a byte of flags, the length in four bytes, big endian, and the message in JSON.";
  const { description: text, ...rest } = operation(method, schemas);
  return {
    ...rest,
    description: `${text}\n\nThis is a stream of the Connect protocol: ${envelope} It takes a client of Connect; without one, use the WebSocket bridge, or read a feed at \`/stream/…\`.`,
    requestBody: {
      required: true,
      description: `One message. ${envelope}`,
      content: enveloped(schemas.ref(method.input)),
    },
    responses: {
      200: {
        description: `Any number of messages. ${envelope} The last envelope has the flag 2, and JSON with the \`error\` with which the stream ended.`,
        headers: { "X-Request-Id": { $ref: "#/components/headers/requestId" } },
        content: enveloped(schemas.ref(method.output)),
      },
      default: {
        description: "A proxy, or a body that is no Connect stream. Errors of the server are at the end of the stream.",
      },
    },
  };
}

function probe(operationId: string, summary: string): Schema {
  const text = { "text/plain": { schema: { type: "string" } } };
  const responses = {
    200: { description: "Yes.", content: text },
    503: { description: "No, with the reason.", content: text },
  };
  return { get: { operationId, tags: ["Probes"], summary, security: [], responses } };
}

if (import.meta.main) {
  const { version, homepage } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<string, string>;
  const document = openApi(version ?? "", (homepage ?? "").replace(/#.*/, ""));
  writeFileSync(join(root, "gen/openapi.json"), `${JSON.stringify(document, null, 2)}\n`);
}
