/** The order in which test files start. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Files that take many seconds, the longest first: one that started last would run alone on an idle machine. */
const longest = [
  "test/e2e/browser/clients.test.ts",
  "test/docs/code.test.ts",
  "test/e2e/kill.test.ts",
  "test/e2e/browser/demo.test.ts",
  "test/cli/process/threads.test.ts",
  "test/adapters/sqlite/store.test.ts",
  "test/cli/process/cluster.test.ts",
  "test/rpc/short-subscribe.test.ts",
  "test/adapters/sqlite/files.test.ts",
  "test/rpc/unary.test.ts",
  "test/adapters/threads/threads.test.ts",
  "test/adapters/threads/contracts.test.ts",
  "test/e2e/store-health.test.ts",
  "test/e2e/bad-input/rooms.test.ts",
  "test/examples/programs.test.ts",
  "test/docs/readme.test.ts",
  "test/properties/crowd.property.test.ts",
  "test/properties/delivery.property.test.ts",
];

/** Starts the longest files first, and the others in Vitest's order, by earlier runs or by size. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification) => {
      const index = longest.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index === -1 ? longest.length : index;
    };
    return (await super.sort(files)).sort((a, b) => rank(a) - rank(b));
  }
}
