#!/usr/bin/env node
/**
 * The program `tidings`. This file has no imports and no recent syntax, so that an older Node can still read it and say what
 * is missing, instead of failing at the first module that it does not have.
 */
const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
/** As in `engines` of package.json. */
const isSupported = major > 22 || (major === 22 && minor >= 16);

if (isSupported) import("./program.ts");
else {
  process.stderr.write(`tidings needs Node 22.16 or later; this is Node ${process.versions.node}\n`);
  process.exitCode = 1;
}

export {};
