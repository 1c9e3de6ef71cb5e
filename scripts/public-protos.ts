/**
 * Writes the public protos, from which clients in other languages are generated: proto/ without its validation rules, which
 * only the server applies. They import nothing but google/protobuf, which every protoc brings, and keep their comments.
 * `npm run generate` writes them to gen/proto, and the package `tidings` has them as proto/.
 *
 *   node scripts/public-protos.ts <folder>
 */
import { execFileSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const contract = join(root, "proto");

/** Writes the public files below a folder, as `tidings/v1/message.proto`, and returns their names. */
export function writePublicProtos(outDir: string): readonly string[] {
  const names = globSync("**/*.proto", { cwd: contract, exclude: ["tidings/validate/**"] }).sort();
  for (const name of names) {
    const target = join(outDir, name);
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, withoutRules(readFileSync(join(contract, name), "utf8")));
  }
  // Removes the blank lines that the rules leave behind.
  execFileSync(join(root, "node_modules/.bin/buf"), ["format", outDir, "--write"]);
  return names;
}

/** A part of a source, and what stands there instead. */
interface Edit {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** The source of a file without its validation rules. Throws when one is left. */
export function withoutRules(source: string): string {
  const code = blankText(source);
  const edits = [
    ...removals(source, /^import "(?:buf|tidings)\/validate\/[^"]*";\n/gm),
    ...removals(code, /^ *option \(buf\.validate\.[^;]*;\n/gm),
    ...[...code.matchAll(/(?<== *\d+)\s*\[/g)].map(({ 0: match, index }) =>
      editOptions(source, code, index, index + match.length),
    ),
  ];
  let result = "";
  let end = 0;
  for (const { from, to, text } of edits.sort((a, b) => a.from - b.from)) {
    result += source.slice(end, from) + text;
    end = to;
  }
  result += source.slice(end);
  if (/\b(buf|tidings)[./]validate\b/.test(result)) throw new Error(`a validation rule is left in:\n${result}`);
  return result;
}

/** The source with spaces instead of comments and strings, so that every bracket and semicolon is one of the syntax. */
function blankText(source: string): string {
  const text = /\/\/.*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'/g;
  return source.replace(text, (match) => match.replace(/[^\n]/g, " "));
}

function removals(text: string, pattern: RegExp): Edit[] {
  return [...text.matchAll(pattern)].map(({ 0: match, index }) => ({
    from: index,
    to: index + match.length,
    text: "",
  }));
}

/** Removes the rules from the options of a field. `from`: the end of its number; `start`: the first option. */
function editOptions(source: string, code: string, from: number, start: number): Edit {
  const kept: string[] = [];
  let depth = 1;
  let first = start;
  let at = start;
  for (; depth > 0; at++) {
    const character = code[at];
    if (character === undefined) throw new Error(`the options of a field have no end: ${source.slice(from)}`);
    if ("[({".includes(character)) depth++;
    if ("])}".includes(character)) depth--;
    if (depth > 0 && (depth > 1 || character !== ",")) continue;
    const option = source.slice(first, at).trim();
    if (!option.startsWith("(buf.validate.")) kept.push(option);
    first = at + 1;
  }
  return { from, to: at, text: kept.length > 0 ? ` [${kept.join(", ")}]` : "" };
}

if (import.meta.main) {
  const [outDir] = process.argv.slice(2);
  if (outDir === undefined) throw new Error("usage: node scripts/public-protos.ts <folder>");
  writePublicProtos(outDir);
}
