import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type DescField, type DescMessage, getOption } from "@bufbuild/protobuf";
import { field as fieldRules } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import { Code } from "@connectrpc/connect";
import { codeToHttpStatus } from "@connectrpc/connect/protocol-connect";
import { expect, test } from "vitest";
import { environmentName, flagName, settings } from "../../../src/cli/config/settings.ts";
import { loadDescriptors } from "../../../src/contract/descriptors.ts";
import { errorTable, fail, type Reason, webSocketCloseCode } from "../../../src/errors.ts";
import { defaultLimits, limitNames, quotaNames } from "../../../src/limit-options.ts";
import { resolveOptions } from "../../../src/options.ts";
import type { Rate } from "../../../src/ports/rate-limiter.ts";
import { root } from "../../support/run.ts";
import { secret } from "../../support/token.ts";

/** The rows of the table whose header row begins with this column. */
function tableOf(file: string, firstColumn: string): string[][] {
  const lines = readFileSync(join(root, "docs", file), "utf8").split("\n");
  const start = lines.findIndex((line) => line.startsWith(`| ${firstColumn} |`));
  if (start < 0) throw new Error(`${file} has no table that begins with ${firstColumn}`);
  const rest = lines.slice(start + 2);
  const end = rest.findIndex((line) => !line.startsWith("|"));
  return rest.slice(0, end < 0 ? undefined : end).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", "")),
  );
}

test("docs/errors.md lists every reason, with its codes", () => {
  const expected = Object.entries(errorTable).map(([reason, { code, retry }]) => [
    reason,
    (Code[code] ?? "").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toLowerCase(),
    String(code),
    String(codeToHttpStatus(code)),
    String(webSocketCloseCode(fail(reason as Reason, ""))),
    retry ? "yes" : "no",
  ]);
  expect(tableOf("errors.md", "Reason").map((row) => row.slice(0, -1))).toEqual(expected);
});

/** The limits of a field, such as `128 characters`. */
function ruleOf(field: DescField): string | undefined {
  const { type } = getOption(field, fieldRules);
  const most = type.case === "string" && type.value.maxLen > 0n ? `${type.value.maxLen} characters` : undefined;
  if (type.case !== "repeated") return most;
  const each = type.value.items?.type.case === "string" ? type.value.items.type.value.maxLen : 0n;
  const items = type.value.maxItems > 0n ? `${type.value.maxItems} items` : undefined;
  return [items, each > 0n ? `each ${each} characters` : undefined].filter(Boolean).join(", ") || undefined;
}

test("docs/limits.md lists every limit of the contract's fields", () => {
  const messages = [...loadDescriptors()].filter(
    (type): type is DescMessage => type.kind === "message" && type.typeName.startsWith("tidings.v1."),
  );
  const expected = messages.flatMap(({ name, fields }) =>
    fields.flatMap((field) => {
      const rule = ruleOf(field);
      return rule === undefined ? [] : [[`${name}.${field.name}`, rule.replace(/\B(?=(\d{3})+(?!\d))/g, ",")]];
    }),
  );
  const sorted = (rows: string[][]) => rows.map((row) => row.join(": ")).sort();
  expect(sorted(tableOf("limits.md", "Field"))).toEqual(sorted(expected));
});

/** The names in code of the settings of the command line. In code, times are in ms. */
const inCode: Readonly<Record<string, string>> = {
  retentionDays: "retention.days",
  retentionCount: "retention.count",
  maxMessageBytes: "maxMessageBytes",
  maxBatchEntries: "maxBatchEntries",
  maxStreamsPerUser: "maxStreamsPerUser",
  newStreamsPerSecond: "admission.perSecond",
  inFlightConnectionBytes: "inFlight.connectionBytes",
  inFlightUserBytes: "inFlight.userBytes",
  publicStreams: "publicStreams",
  rapidResets: "rapidResets",
  newcomerDays: "newcomerDays",
  heartbeat: "heartbeatMs",
  drain: "drainMs",
  drainDelay: "drainDelayMs",
  headersTimeout: "timeouts.headersMs",
  requestTimeout: "timeouts.requestMs",
  idleTimeout: "timeouts.idleMs",
  stallTimeout: "timeouts.stallMs",
  jwtLeeway: "auth.leewayMs",
  jwtMaxDays: "auth.maxTokenDays",
  jwtJwksRefresh: "auth.jwksRefreshMs",
  jwtJwksMaxStale: "auth.jwksMaxStaleMs",
};

test("docs/limits.md lists every limit that can be set, with its names and default", () => {
  const defaults = resolveOptions({ data: ":memory:", auth: { secret } }) as unknown as Record<string, unknown>;
  const expected = Object.entries(inCode).map(([name, path]) => {
    const value = path.split(".").reduce<unknown>((at, key) => (at as Record<string, unknown>)[key], defaults);
    const onCommandLine = settings[name as keyof typeof settings] as { default?: string };
    const text = String(onCommandLine.default);
    const [, number = text, unit] = /^(\d+)(ms|s)$/.exec(text) ?? [];
    expect.soft(Number(number) * (unit === "s" ? 1000 : 1), `the default of ${name}`).toBe(value);
    return [path, `--${flagName(name)}`, environmentName(name), Number(value).toLocaleString("en-US")];
  });
  expect(tableOf("limits.md", "Option").map((row) => row.slice(0, 4))).toEqual(expected);
});

test("docs/limits.md lists every rate limit, with its flag and default", () => {
  const spell = (rate: Rate | undefined) =>
    rate === undefined
      ? "none"
      : `${rate.perSecond.toLocaleString("en-US")} a second, burst ${rate.burst.toLocaleString("en-US")}`;
  const expected = limitNames.map((name) => [`limits.${name}`, `--${flagName(name)}`, spell(defaultLimits[name])]);
  expect(tableOf("limits.md", "Rate limit").map((row) => row.slice(0, 3))).toEqual(expected);
});

test("docs/limits.md lists every quota, with its flag", () => {
  const expected = quotaNames.map((name) => [`quotas.${name}`, `--${flagName(name)}`, "none"]);
  expect(tableOf("limits.md", "Quota").map((row) => row.slice(0, 3))).toEqual(expected);
});

test("docs/limits.md lists the limits of the authorize hook", () => {
  const { authorize } = resolveOptions({
    data: ":memory:",
    auth: { secret },
    authorize: { url: "https://app.example.com" },
  });
  const limits = { timeoutMs: authorize?.timeoutMs, cacheMs: authorize?.cacheMs };
  const expected = Object.entries(limits).map(([name, value]) => [`authorize.${name}`, value?.toLocaleString("en-US")]);
  expect(tableOf("limits.md", "Option of the hook").map((row) => row.slice(0, 2))).toEqual(expected);
});

/** Numbers that are no limits: the age of a message for which pages play a sound. */
const noLimits = ["alertMs"];

/** The paths of the numbers in a value, such as `timeouts.stallMs`. A rate is one number, and so is what is undefined. */
function numbersIn(value: unknown, path: string): string[] {
  if (typeof value === "number") return [path];
  if (typeof value !== "object" || value === null || Array.isArray(value)) return [];
  if (/^(clock|random|defer|logger|limits)$/.test(path)) return [];
  const prefix = path === "" ? "" : `${path}.`;
  return Object.entries(value).flatMap(([key, inner]) => numbersIn(inner, `${prefix}${key}`));
}

test("docs/limits.md names every option that is a number", () => {
  const text = readFileSync(join(root, "docs/limits.md"), "utf8");
  const authorize = { url: "https://app.example.com" };
  const options = resolveOptions({ data: ":memory:", auth: { secret }, authorize });
  const names = [...numbersIn(options, ""), ...limitNames.map((name) => `limits.${name}`)];
  expect(names.length).toBeGreaterThan(30);
  const missing = names.filter((name) => !text.includes(`\`${name}\``) && !noLimits.includes(name));
  expect(missing).toEqual([]);
});
