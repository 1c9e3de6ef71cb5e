/**
 * Lets the examples import `tidings/client` as your own code would, though they run inside Tidings' repository without a
 * build. In a project that has installed the package, none of this is needed.
 */
import { registerHooks } from "node:module";

/** The entries of the package, as files of this repository. For tsc and esbuild, `paths` of tsconfig.json says the same. */
const sources: Readonly<Record<string, URL>> = {
  tidings: new URL("../../src/index.ts", import.meta.url),
  "tidings/client": new URL("../../src/client/index.ts", import.meta.url),
  "tidings/gen": new URL("../../src/gen.ts", import.meta.url),
};

/** From now on, Node finds the package's entries here. Modules that use them must be imported after this call. */
export function resolveEntries(): void {
  registerHooks({ resolve: (name, context, next) => next(sources[name]?.href ?? name, context) });
}
