/** The errors of unary calls in OpenAPI: their schema, and a response for each HTTP status with the reasons that it has. */
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { codeName, errorDomain, errorTable, type Reason } from "../../src/errors.ts";
import type { Schema } from "./schemas.ts";

/** Reasons of calls that the document does not describe: health checks, and streams that nobody reads any more. */
export const reasonsOfOthers: readonly Reason[] = ["SERVICE_UNKNOWN", "STREAM_CLOSED"];

/** The status of POSITION_GONE, which only GET /stream/… answers with: not that of its code. */
export const goneStatus = 410;

const table = Object.entries(errorTable)
  .filter(([reason]) => !reasonsOfOthers.includes(reason as Reason))
  .map(([reason, { code, retry }]) => ({
    reason,
    code: codeName(code),
    status: reason === "POSITION_GONE" ? goneStatus : codeToHttpStatus(code),
    retry,
  }));

/** The statuses of calls that failed, in ascending order. */
export const errorStatuses: readonly number[] = [...new Set(table.map(({ status }) => status))]
  .filter((status) => status !== goneStatus)
  .sort((one, other) => one - other);

const titles: Readonly<Record<number, string>> = {
  400: "The request is invalid.",
  401: "There is no valid token.",
  403: "The caller may not do this.",
  409: "The request is in conflict with another one.",
  410: "Messages after the offset are gone; Stream-Next-Offset says where the feed goes on.",
  429: "A limit is exceeded.",
  500: "A mistake in the server.",
  501: "The server does not support this form of the request.",
  503: "The server, or what it depends on, is unavailable.",
  504: "The time of the caller ran out.",
};

/** The schemas of errors by name. */
export function errorSchemas(): Readonly<Record<string, Schema>> {
  const violation = {
    type: "object",
    properties: {
      field: { type: "string", description: "The path of the field, as in the contract: `message.url`." },
      description: { type: "string", description: "One English sentence." },
      reason: { $ref: "#/components/schemas/Reason" },
    },
  };
  const content = {
    type: "object",
    description: `The detail in JSON. Of an ErrorInfo, \`domain\` (always \`${errorDomain}\`), \`reason\` and \`metadata\`, which has the path of an invalid field under \`field\`; of a BadRequest, all \`fieldViolations\`; of a RetryInfo, \`retryDelay\`.`,
    properties: {
      domain: { type: "string" },
      reason: { $ref: "#/components/schemas/Reason" },
      metadata: { type: "object", additionalProperties: { type: "string" } },
      fieldViolations: { type: "array", items: violation },
      retryDelay: { type: "string", description: "The delay before a retry, such as `1.5s`." },
    },
  };
  const detail = {
    type: "object",
    description: "A detail of an error: a message of google.rpc.",
    properties: {
      type: { type: "string", examples: ["google.rpc.ErrorInfo", "google.rpc.BadRequest", "google.rpc.RetryInfo"] },
      value: { type: "string", contentEncoding: "base64", description: "The detail in Protobuf." },
      debug: content,
    },
    required: ["type", "value"],
  };
  return {
    Error: {
      type: "object",
      description:
        "An error of the Connect protocol. Read the code and, in the detail `google.rpc.ErrorInfo`, the reason; the message is for people.",
      properties: {
        code: { type: "string", enum: [...new Set(table.map(({ code }) => code))] },
        message: { type: "string", description: "One English sentence, which names the invalid field." },
        details: { type: "array", items: { $ref: "#/components/schemas/ErrorDetail" } },
      },
      required: ["code"],
    },
    ErrorDetail: detail,
    Reason: {
      type: "string",
      description: "Why a call failed, for programs.",
      enum: table.map(({ reason }) => reason),
    },
  };
}

/** The responses with errors by name, `Error` and the HTTP status. `docs` is the URL of the guides. */
export function errorResponses(docs: string): Readonly<Record<string, Schema>> {
  return Object.fromEntries(
    [...errorStatuses, goneStatus].map((status) => {
      const rows = table.filter((row) => row.status === status);
      const list = rows.map(
        ({ reason, code, retry }) => `- \`${reason}\` (\`${code}\`${retry ? ", retry later" : ""})`,
      );
      const reasons = rows.map(({ reason }) => reason);
      const debug = { properties: { reason: { enum: reasons } } };
      const response = {
        description: `${titles[status] ?? ""} Reasons, which ${docs}/errors.md explains:\n\n${list.join("\n")}`,
        headers: { "X-Request-Id": { $ref: "#/components/headers/requestId" } },
        content: {
          "application/json": {
            schema: {
              $ref: "#/components/schemas/Error",
              properties: {
                code: { enum: [...new Set(rows.map(({ code }) => code))] },
                details: { items: { properties: { debug } } },
              },
            },
          },
        },
      };
      return [`Error${status}`, response];
    }),
  );
}
