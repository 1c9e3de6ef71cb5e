/** Drives grpcurl, which uses the Go implementation of gRPC and learns the contract by reflection. */
import type { JsonObject } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { expect, onTestFinished } from "vitest";
import { describeWith, testWith } from "../../support/require.ts";
import { run } from "../../support/run.ts";
import { startServer } from "../../support/server.ts";
import { findTool, pathOf } from "../../support/tools.ts";
import { CallError, codeName, type Driver } from "./driver.ts";
import { processDriver, processTraits } from "./process.ts";
import { scenario } from "./scenario/index.ts";

interface PrintedError {
  readonly code: number;
  readonly message: string;
  readonly details?: readonly ({ readonly "@type": string } & JsonObject)[];
}

const tool = findTool("grpcurl", "go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4");

function grpcurl(url: string): Driver {
  return processDriver({
    program: pathOf(tool),
    args: ({ method, request, token, timeoutMs }) => [
      ...["-plaintext", "-format-error"],
      ...(timeoutMs === undefined ? [] : ["-max-time", String(timeoutMs / 1000)]),
      ...(token === undefined ? [] : ["-H", `Authorization: Bearer ${token}`]),
      ...["-d", JSON.stringify(request)],
      ...[new URL(url).host, `${method.parent.typeName}/${method.name}`],
    ],
    readError(printed) {
      if (!printed.startsWith("{")) return new Error(`grpcurl says ${printed}`);
      const { code, message, details = [] } = JSON.parse(printed) as PrintedError;
      const named = details.map(({ "@type": type, ...value }) => ({ type: type.replace(/.*\//, ""), value }));
      return new CallError(codeName(Code[code] ?? ""), message, named);
    },
  });
}

describeWith(tool)("with grpcurl installed", () => scenario("grpcurl", grpcurl, processTraits));

testWith(tool)("grpcurl describe shows the comments of the contract", async () => {
  const server = await startServer();
  onTestFinished(() => server.stop());
  const describeSymbol = (name: string) => run(pathOf(tool), "-plaintext", server.host, "describe", name);
  const service = await describeSymbol("tidings.v1.PushService");
  expect(service).toContain("  // Publishes one message to one audience.");
  expect(service).toContain("// Publishing, receiving and the inbox.");
  expect(await describeSymbol("tidings.v1.PublishRequest")).toContain("  // Makes a retry safe, ");
  expect(await describeSymbol("tidings.v1.RoomMode")).toContain("  // Enters whether or not others are in the room.");
});
