import { expect, test } from "vitest";
import { keepMessageLegible } from "../../src/rpc/grpc-message.ts";

test("The trailer grpc-message escapes only the characters that gRPC escapes", () => {
  const trailer = new Headers();
  keepMessageLegible(trailer);
  const text = 'message.url: 100% of 任务, "quoted" <a&b>\t~';
  trailer.set("Grpc-Message", encodeURIComponent(text));
  const escaped = trailer.get("grpc-message") ?? "";
  expect(escaped).toBe('message.url: 100%25 of %E4%BB%BB%E5%8A%A1, "quoted" <a&b>%09~');
  expect(decodeURIComponent(escaped)).toBe(text);
  expect(decodeURI(escaped)).toBe(text);
});

test("Other trailers stay as they are", () => {
  const trailer = new Headers();
  keepMessageLegible(trailer);
  trailer.set("other", "%3A");
  expect(trailer.get("other")).toBe("%3A");
});
