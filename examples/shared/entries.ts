/**
 * Lets the examples import `tidings` and `tidings-client` as your own code would, although they run inside the repository,
 * without a build. A project that has installed the packages needs none of this.
 */
import { registerHooks } from "node:module";

/** The entries of the packages, as files of this repository. `paths` in tsconfig.json tells tsc and esbuild the same. */
const sources: Readonly<Record<string, URL>> = {
  tidings: new URL("../../src/index.ts", import.meta.url),
  "tidings/memory": new URL("../../src/adapters/memory/index.ts", import.meta.url),
  "tidings/mongodb": new URL("../../src/adapters/mongodb/index.ts", import.meta.url),
  "tidings/redis": new URL("../../src/adapters/redis/index.ts", import.meta.url),
  "tidings/sqlite": new URL("../../src/adapters/sqlite/index.ts", import.meta.url),
  "tidings/testing": new URL("../../src/testing/index.ts", import.meta.url),
  "tidings-client": new URL("../../src/client/index.ts", import.meta.url),
  "tidings-client/json": new URL("../../src/client/json.ts", import.meta.url),
  "tidings-client/gen": new URL("../../src/gen.ts", import.meta.url),
};

/** Makes Node resolve the entries to those files. Modules that import them must be loaded after this call. */
export function resolveEntries(): void {
  registerHooks({ resolve: (name, context, next) => next(sources[name]?.href ?? name, context) });
}
