/** The rows of the table of settings that describe a single call, and so are flags only. */
import { dayMs } from "../../util/durations.ts";
import { kindNames } from "./kind-names.ts";
import { choice, duration, instant, json, list, path, repeated, runName, text, toggle, whole } from "./value-types.ts";

const publish = ["publish"] as const;
const disconnect = ["disconnect"] as const;
const testClient = ["test-client"] as const;
/** The longest lifetime that the contract allows: 10 years. */
const maxLifetimeMs = 3_650 * dayMs;

/** The settings of single calls. */
export const callSettings = {
  sub: { type: text, help: "Id of the user or service.", for: ["token"], flagOnly: true },
  tenant: {
    type: text,
    help: "Id of the tenant. Required for a user.",
    for: ["token"],
    flagOnly: true,
  },
  role: {
    type: choice("user", "service", "admin"),
    default: "user",
    help: "Role of the bearer.",
    for: ["token"],
    flagOnly: true,
  },
  ttl: {
    type: duration(1_000, maxLifetimeMs),
    defaultOf: { token: "1h" },
    help: "Lifetime of the token or message. Without it a message lives as long as the retention allows; an event is not stored.",
    for: ["token", "publish"],
    flagOnly: true,
  },
  iss: { type: text, help: "The claim `iss`. Default: --jwt-issuer.", for: ["token"], flagOnly: true },
  aud: { type: text, help: "The claim `aud`. Default: --jwt-audience.", for: ["token"], flagOnly: true },
  id: {
    type: text,
    help: "Id of the token (the claim `jti`), by which it can be blocked.",
    for: ["token"],
    flagOnly: true,
  },
  name: {
    type: text,
    help: "Name of the user, which messages of the user show (the claim `name`).",
    for: ["token"],
    flagOnly: true,
  },
  picture: {
    type: text,
    help: "URL of the user's picture, which messages of the user show (the claim `picture`).",
    for: ["token"],
    flagOnly: true,
  },
  canPublish: {
    type: repeated(text),
    help: "Room that the user may publish to. May be repeated.",
    for: ["token"],
    flagOnly: true,
  },
  canTakeOver: {
    type: repeated(text),
    help: "Room that the user may take over, by entering with LAST, which kicks everybody else. May be repeated.",
    for: ["token"],
    flagOnly: true,
  },
  toUser: { type: text, help: "Publish to one user.", for: publish, flagOnly: true },
  toUsers: { type: list(text), help: "Publish to several users, at most 10,000.", for: publish, flagOnly: true },
  toRoom: {
    type: text,
    help: "Publish to the members of a room; dm/ada/bob is the direct room of ada and bob.",
    for: publish,
    flagOnly: true,
  },
  toTenant: { type: toggle, help: "Publish to every user of the tenant.", for: publish, flagOnly: true },
  toEveryone: { type: toggle, help: "Publish to every user of every tenant.", for: publish, flagOnly: true },
  kind: {
    type: choice(...kindNames),
    default: "notification",
    help: "Kind of the message. A notification is unread until it is marked as read.",
    for: publish,
    flagOnly: true,
  },
  title: { type: text, help: "One line of plain text.", for: publish, flagOnly: true },
  content: { type: text, help: "Plain text.", for: publish, flagOnly: true },
  category: {
    type: text,
    help: "Category by which readers filter and count, such as system.",
    for: publish,
    flagOnly: true,
  },
  link: { type: text, help: "URL that a click opens: https, http or relative.", for: publish, flagOnly: true },
  event: { type: text, help: "Event name that pages listen for.", for: publish, flagOnly: true },
  jsonPayload: { type: json, help: "Payload for programs: any JSON value.", for: publish, flagOnly: true },
  requestId: {
    type: text,
    help: "Idempotency key: a repeated command with the same id publishes only once.",
    for: publish,
    flagOnly: true,
  },
  replace: {
    type: toggle,
    default: "false",
    help: "Recall the message that was published with this --request-id, and publish this one instead, as unread.",
    for: publish,
    flagOnly: true,
  },
  file: {
    type: path,
    help: "Publish the lines of this file, or of the standard input (-): one JSON object each, a PublishRequest or, with an audience, the message alone. Fields that a line leaves out are those of the other options.",
    for: publish,
    flagOnly: true,
  },
  rate: {
    type: whole(1, 1_000_000),
    help: "Maximum number of messages of --file to publish in a second. Default: as fast as the server takes them.",
    for: publish,
    flagOnly: true,
  },
  run: {
    type: runName,
    help: "Name of a run of --file. Repeated under the same name, a run publishes no line twice. Default: a digest of the file and of the other options; for the standard input, a random name.",
    for: publish,
    flagOnly: true,
  },
  fromLine: {
    type: whole(1),
    help: "Number of the first line of --file to publish; earlier ones are skipped.",
    for: publish,
    flagOnly: true,
  },
  batchId: { type: text, help: "Id that groups related messages.", for: publish, flagOnly: true },
  tenantId: {
    type: text,
    help: "Id of the tenant. Required when the token is not bound to one.",
    for: ["publish", "online", "disconnect"],
    flagOnly: true,
  },
  room: {
    type: repeated(text),
    help: "Room to enter (tail), to count (online), or that the user may enter (token). May be repeated for tail and token.",
    for: ["token", "tail", "online"],
    flagOnly: true,
  },
  users: { type: list(text), help: "Only these users, with one line for each.", for: ["online"], flagOnly: true },
  categories: { type: list(text), help: "Only these categories.", for: ["tail", "unread"], flagOnly: true },
  kinds: {
    type: list(choice(...kindNames)),
    help: "Only these kinds.",
    for: ["tail"],
    flagOnly: true,
  },
  events: { type: list(text), help: "Only messages with these event names.", for: ["tail"], flagOnly: true },
  limit: {
    type: whole(1, 100_000),
    default: "20",
    help: "Maximum number of messages to list.",
    for: ["unread"],
    flagOnly: true,
  },
  mark: {
    type: toggle,
    default: "false",
    help: "Mark the listed messages as read.",
    for: ["unread"],
    flagOnly: true,
  },
  user: { type: text, help: "Id of the user whose streams end.", for: disconnect, flagOnly: true },
  tokenId: {
    type: text,
    help: "End and block only streams that were opened with the token of this id.",
    for: disconnect,
    flagOnly: true,
  },
  blockFor: {
    type: duration(1_000, maxLifetimeMs),
    help: "Block the user, or the token, for this time.",
    for: disconnect,
    flagOnly: true,
  },
  blockUntil: {
    type: instant,
    help: "Block the user, or the token, until this time. A time in the past lifts an earlier block.",
    for: disconnect,
    flagOnly: true,
  },
  only: {
    type: list(text),
    help: "Only these scenarios, or groups of them: subscriber, publisher.",
    for: testClient,
    flagOnly: true,
  },
  list: {
    type: toggle,
    default: "false",
    help: "List the scenarios with their rules, and run none.",
    for: testClient,
    flagOnly: true,
  },
  allowUnsupported: {
    type: list(text),
    help: "Scenarios that may be left out because the program does not know one of their commands.",
    for: testClient,
    flagOnly: true,
  },
  parallel: {
    type: whole(1, 64),
    default: "8",
    help: "Maximum number of programs that run at the same time.",
    for: testClient,
    flagOnly: true,
  },
  stepTimeout: {
    type: duration(1_000, dayMs),
    default: "20s",
    help: "Longest wait for one step of the program. Slow machines need more.",
    for: testClient,
    flagOnly: true,
  },
  reason: { type: text, help: "Reason that the ended streams report to the client.", for: disconnect, flagOnly: true },
} as const;
