/** Arbitrary unary requests as they are on the wire: mostly good, with one or two things wrong or unusual. */
import { gzipSync } from "node:zlib";
import type { DescMethod } from "@bufbuild/protobuf";
import fc from "fast-check";
import { AdminService, PushService } from "../../src/gen.ts";
import { wildRequest } from "../support/wild-requests.ts";

/** Tokens of callers by name. */
export type Tokens = Readonly<Record<"user" | "service" | "admin" | "expired", string>>;

/** A request, apart from how its bytes are framed. */
export interface WireRequest {
  readonly verb: string;
  readonly path: string;
  /** With names as they are sent, and repeated where the request repeats them. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
}

const methods = [...PushService.methods, ...AdminService.methods].filter(({ methodKind }) => methodKind === "unary");

/** Good requests by method. */
const good: Readonly<Record<string, readonly string[]>> = {
  Publish: [
    '{"audience":{"userId":"ann"},"message":{"kind":"KIND_NOTIFICATION","title":"hi"}}',
    '{"audience":{"user_id":"ann"},"message":{"kind":2,"title":"hi","json":{"a":[1,null,"ü",{"b":1e3}]}},"requestId":"r1"}',
    '{"audience":{"users":{"userIds":["ann","bob","cé"]}},"message":{"kind":"KIND_EVENT","content":"€uro \\u0000","ttl":"3.5s"}}',
    '{"audience":{"tenant":true},"message":{"kind":"KIND_ACTIVITY","title":"t","expireTime":"2126-01-01T00:00:00Z"},"replace":false}',
    '{"audience":{"userId":null},"message":{"kind":1}}',
    '{"audience":{"userId":"ann","tenant":true},"message":{"kind":1,"title":"x"}}',
    '{"audience":{"userId":"ann"},"message":{"kind":1,"title":"x","title":"y"},"unknown":1}',
    '{"audience":{"userId":"ann"},"message":{"kind":1,"title":12345678901234567890}}',
    '{"audience":{"userId":"\\ud800"},"message":{"kind":1,"title":"x"}}',
  ],
  PublishBatch: [
    '{"requests":[{"audience":{"userId":"ann"},"message":{"kind":1,"title":"a"}},{"audience":{},"message":{}}]}',
    `{"requests":[${Array(60).fill('{"audience":{"userId":"bob"},"message":{"kind":1,"title":"many"}}').join()}]}`,
    '{"requests":[]}',
  ],
  ListUnread: ["{}", '{"pageSize":2}', '{"page_size":"3","pageToken":"x"}', '{"pageSize":1.5}', '{"pageSize":-1}'],
  ListMessages: ["{}", '{"pageSize":200}', '{"roomId":"/a"}', '{"pageSize":1e2}'],
  MarkRead: ['{"all":true}', '{"ids":{"messageIds":["x"]}}', "{}", '{"all":false}', '{"all":true,"ids":{}}'],
  DeleteMessages: ['{"all":true}', '{"ids":{"messageIds":["x"]},"recall":true}', '{"batchId":"b"}'],
  OnlineCount: ["{}", '{"users":{"userIds":["ann","bob"]}}', '{"roomId":"team/1"}', "null", "[]", "1"],
  Disconnect: ['{"userId":"zoe"}', "{}", '{"userId":"zoe","reason":"r","block":"1s"}'],
};

function body(method: DescMethod, isJson: boolean): fc.Arbitrary<Buffer> {
  const wild = wildRequest(method.input).map(({ binary, json }) => Buffer.from(isJson ? json : binary));
  const fixed = fc.constantFrom(...(good[method.name] ?? ["{}"])).map((json) => Buffer.from(json));
  const plain = isJson ? fc.oneof({ arbitrary: fixed, weight: 4 }, { arbitrary: wild, weight: 2 }) : wild;
  const cut = fc.tuple(plain, fc.nat(1000)).map(([bytes, at]) => bytes.subarray(0, at % (bytes.length + 1)));
  const longer = plain.map((bytes) => Buffer.concat([bytes, Buffer.from(" {}")]));
  const flipped = fc.tuple(plain, fc.nat(1000), fc.nat(255)).map(([bytes, at, value]) => {
    const copy = Buffer.from(bytes);
    if (copy.length > 0) copy[at % copy.length] = value;
    return copy;
  });
  const odd = fc.constantFrom(
    Buffer.alloc(0),
    Buffer.from("\uFEFF{}"),
    Buffer.from([0xff, 0xfe]),
    Buffer.from('{"a":'.repeat(200)),
    Buffer.from("[".repeat(10_000)),
    Buffer.alloc(300_000, 0x20),
    Buffer.from(`{"tenantId":"${"x".repeat(70_000)}"}`),
  );
  return fc.oneof(
    { arbitrary: plain, weight: 12 },
    { arbitrary: cut, weight: 2 },
    { arbitrary: longer, weight: 1 },
    { arbitrary: flipped, weight: 2 },
    { arbitrary: odd, weight: 1 },
  );
}

/** Returns one of the first values mostly, and one of the others now and then. */
export function mostly<T>(usual: readonly T[], unusual: readonly T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { arbitrary: fc.constantFrom(...usual), weight: 9 },
    { arbitrary: fc.constantFrom(...unusual), weight: 1 },
  );
}

/** Headers by name. */
export type Fields = readonly (readonly [string, string])[];

function contentTypes(isJson: boolean): fc.Arbitrary<Fields> {
  const name = isJson ? "application/json" : "application/proto";
  const other = isJson ? "application/proto" : "application/json";
  return mostly<Fields>(
    [[["content-type", name]], [["Content-Type", name]]],
    [
      [],
      [["content-type", `${name}; charset=utf-8`]],
      [["content-type", `${name};charset=UTF-8`]],
      [["content-type", `${name}; charset=latin1`]],
      [["content-type", `${name}; foo=bar`]],
      [["content-type", `${name} `]],
      [["content-type", name.toUpperCase()]],
      [["content-type", ""]],
      [["content-type", "text/plain"]],
      [["content-type", other]],
      [["content-type", "application/connect+json"]],
      [["content-type", "application/grpc-web+json"]],
      [["content-type", "application/json, application/json"]],
      [
        ["content-type", name],
        ["content-type", other],
      ],
    ],
  );
}

/** The header Authorization: mostly a good one. */
export function credentials(tokens: Tokens): fc.Arbitrary<Fields> {
  const bearer = (token: string) => [["authorization", `Bearer ${token}`]] as Fields;
  return mostly<Fields>(
    [bearer(tokens.user), bearer(tokens.service), [["Authorization", `Bearer ${tokens.service}`]]],
    [
      bearer(tokens.admin),
      [],
      bearer(tokens.expired),
      bearer("x.y.z"),
      bearer(`${tokens.user}x`),
      [["authorization", `bearer   ${tokens.user}  `]],
      [["authorization", `Basic ${tokens.user}`]],
      [["authorization", ""]],
      [...bearer(tokens.user), ...bearer(tokens.service)],
      [["authorization", `Bearer ${tokens.user}, Bearer ${tokens.user}`]],
    ],
  );
}

const none: Fields = [];
/** Headers that any call may have. */
export const extras: readonly fc.Arbitrary<Fields>[] = [
  mostly<Fields>(
    [none, [["x-request-id", "abc-1"]]],
    [
      [["X-Request-Id", "a b"]],
      [["x-request-id", "x".repeat(65)]],
      [
        ["x-request-id", "a"],
        ["x-request-id", "b"],
      ],
      [["x-request-id", "\u00e9"]],
    ],
  ),
  mostly<Fields>(
    [none, [["accept-encoding", "gzip, deflate, br"]]],
    [
      [["accept-encoding", "identity"]],
      [["accept-encoding", "br"]],
      [["accept-encoding", ""]],
      [["accept-encoding", "gzip;q=0, br"]],
      [["Accept-Encoding", "zstd,br , gzip"]],
      [
        ["accept-encoding", "x"],
        ["accept-encoding", "gzip"],
      ],
    ],
  ),
  mostly<Fields>(
    [none, [["connect-protocol-version", "1"]]],
    [[["Connect-Protocol-Version", "2"]], [["connect-protocol-version", ""]]],
  ),
  mostly<Fields>(
    [none],
    [
      [["connect-timeout-ms", "60000"]],
      [["connect-timeout-ms", "0"]],
      [["connect-timeout-ms", ""]],
      [["connect-timeout-ms", "-1"]],
      [["connect-timeout-ms", "1e3"]],
      [["connect-timeout-ms", "12345678901"]],
      [["grpc-timeout", "1n"]],
      [
        ["connect-timeout-ms", "60000"],
        ["connect-timeout-ms", "60001"],
      ],
    ],
  ),
  mostly<Fields>(
    [none],
    [
      [["traceparent", `00-${"a".repeat(32)}-${"b".repeat(16)}-01`]],
      [["traceparent", "nonsense"]],
      [["origin", "https://example.com"]],
      [["origin", "null"]],
      [["x-forwarded-for", "192.0.2.1"]],
      [["cookie", "a=b"]],
      [["__proto__", "x"]],
      [["trailer", "x"]],
      [["x-odd", "\u00ff\u0001"]],
    ],
  ),
];

/** Requests to any unary method. `host` is what their Host header says. */
export function wireRequests(tokens: Tokens): fc.Arbitrary<WireRequest> {
  const called = fc.tuple(fc.constantFrom(...methods), mostly([true, true, false], [false]));
  return called.chain(([method, isJson]) => {
    const path = `/${method.parent.typeName}/${method.name}`;
    const encoding = mostly<string | undefined>([undefined], ["identity", "gzip", "br", "nonsense", "", "Gzip"]);
    return fc
      .record({
        verb: mostly(["POST"], ["GET", "PUT", "HEAD", "OPTIONS", "DELETE", "PATCH"]),
        path: mostly(
          [path],
          [`${path}?`, `${path}?a=b&connect=v1`, `${path}?encoding=json&message=%7B%7D`, `${path}/`],
        ),
        type: contentTypes(isJson),
        token: credentials(tokens),
        more: fc.tuple(...extras),
        encoding,
        body: body(method, isJson),
      })
      .map(({ verb, path, type, token, more, encoding, body }) => ({
        verb,
        path,
        headers: [
          ...type,
          ...token,
          ...more.flat(),
          ...(encoding === undefined ? [] : [["content-encoding", encoding] as const]),
        ],
        body: encoding === "gzip" ? gzipSync(body) : body,
      }));
  });
}
