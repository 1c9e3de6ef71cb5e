/** `buf curl`, from the npm package: the Go implementation of all three protocols. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "vitest";
import { root } from "../../support/run.ts";
import { decodeDetails, type WireError } from "./details.ts";
import { CallError, type Driver } from "./driver.ts";
import { processDriver, processTraits } from "./process.ts";
import { scenario } from "./scenario/index.ts";

/** The binary itself: killing the npm script that starts it would leave it running. */
function findProgram(): string {
  const folder = join(root, "node_modules/@bufbuild");
  const platform = readdirSync(folder).find((name) => name.startsWith(`buf-${process.platform}-`));
  if (platform === undefined) throw new Error("@bufbuild/buf is installed without the program for this platform");
  return join(folder, platform, "bin/buf");
}

const program = findProgram();

function bufCurl(url: string, ...flags: string[]): Driver {
  return processDriver({
    program,
    args: ({ method, request, token, timeoutMs = 0 }) => [
      "curl",
      ...flags,
      // 0 means no deadline; by default, buf ends a call after two minutes.
      ...["--timeout", `${timeoutMs}ms`],
      ...(token === undefined ? [] : ["--header", `Authorization: Bearer ${token}`]),
      ...["--data", JSON.stringify(request)],
      `${url}/${method.parent.typeName}/${method.name}`,
    ],
    readError(printed) {
      if (!printed.startsWith("{")) return new Error(`buf curl says ${printed}`);
      const error = JSON.parse(printed) as WireError;
      return new CallError(error.code ?? "", error.message ?? "", decodeDetails(error));
    },
  });
}

const schema = ["--schema", "gen/descriptor.binpb"];

if (process.env.TIDINGS_TEST_CONFORMANCE === "whole") {
  scenario(
    "buf curl: gRPC, contract by reflection",
    (url) => bufCurl(url, "--protocol", "grpc", "--http2-prior-knowledge"),
    // The deadline of buf curl includes reflection.
    { ...processTraits, deadlineMs: 2000 },
  );
  scenario(
    "buf curl: gRPC-Web, HTTP/2",
    (url) => bufCurl(url, "--protocol", "grpcweb", "--http2-prior-knowledge", ...schema),
    processTraits,
  );
  scenario("buf curl: Connect, HTTP/1.1", (url) => bufCurl(url, "--protocol", "connect", ...schema), processTraits);
} else {
  const reason = "buf curl over gRPC, gRPC-Web and Connect (npm run test:conformance)";
  console.log(`skipped: ${reason}`);
  test.skip(reason, () => {});
}
