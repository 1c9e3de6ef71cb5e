/** The order of the test files. */
import { BaseSequencer, type TestSpecification } from "vitest/node";

/** Those that take many seconds, the longest first: begun last, one of them would keep the rest of the machine idle. */
const longest = [
  "test/e2e/browser/clients.test.ts",
  "test/package.test.ts",
  "test/adapters/sqlite/store.test.ts",
  "test/e2e/kill.test.ts",
  "test/cli/process/cluster.test.ts",
  "test/e2e/interop/buf-curl.test.ts",
  "test/properties/delivery.property.test.ts",
  "test/e2e/browser/demo.test.ts",
];

/** Vitest's own order, by what it remembers of earlier runs or else by size, after the longest. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const place = ({ moduleId }: TestSpecification) => {
      const index = longest.findIndex((file) => moduleId.endsWith(`/${file}`));
      return index === -1 ? longest.length : index;
    };
    return (await super.sort(files)).sort((a, b) => place(a) - place(b));
  }
}
