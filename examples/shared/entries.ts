/**
 * Resolves `tidings/client` to the sources of this repository, so that the examples import it as your own code would
 * but run without a build. A project that has installed the package does not need this.
 */
import { registerHooks } from "node:module";

/** The entries of the package and their sources. For tsc and esbuild, `paths` of tsconfig.json has the same. */
const sources: Readonly<Record<string, URL>> = {
  tidings: new URL("../../src/index.ts", import.meta.url),
  "tidings/client": new URL("../../src/client/index.ts", import.meta.url),
  "tidings/gen": new URL("../../src/gen.ts", import.meta.url),
};

/** Makes Node resolve the entries to their sources. Import modules that use them after this call. */
export function resolveEntries(): void {
  registerHooks({ resolve: (name, context, next) => next(sources[name]?.href ?? name, context) });
}
